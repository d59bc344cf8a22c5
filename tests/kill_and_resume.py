"""Kill a solve at random moments, resume it until it ends, and compare with one that was not killed.

python tests/kill_and_resume.py FOLDER KILLS     kills and resumes, prints the counts, exit 1 where bits differ
python tests/kill_and_resume.py solve CHECKPOINT OUT STEPS
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

STEPS = "1000"


def main() -> None:
    if sys.argv[1] == "solve":
        solve_to(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        kill(Path(sys.argv[1]), int(sys.argv[2]))


def solve_to(checkpoint: Path, out: Path, steps: int) -> None:
    """A small deep image prior: its answer, its last output and its curves as bytes."""
    import torch

    from dipops import DeepImagePrior, Descent, Hourglass, Identity, Problem, images, solve
    from dipops.stopping import ExponentialVariance

    torch.set_num_threads(1)
    problem = Problem.simulate(Identity((3, 32, 32)), images.portrait(32), 0.1)
    prior = DeepImagePrior(Hourglass((8, 8)))
    method, rule = Descent(average=0.98), ExponentialVariance(patience=steps)
    result = solve(problem, prior, method, steps=steps, callbacks=[rule], checkpoint=checkpoint, progress=False)
    tensors = (result.image, result.last, *result.trace.values())
    out.write_bytes(b"".join(tensor.numpy().tobytes() for tensor in tensors))


def kill(folder: Path, kills: int) -> None:
    """As many solves as kills, each killed once at a random moment, then resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "solve"]
    start = time.perf_counter()
    subprocess.run([*command, folder / "reference.pt", folder / "reference.out", STEPS], check=True)
    seconds, draw = time.perf_counter() - start, random.Random(0)
    number = landed = differing = 0
    part = folder / ".killed.pt.part"
    while number < kills:
        checkpoint, out = folder / "killed.pt", folder / "killed.out"
        process = subprocess.Popen([*command, checkpoint, out, STEPS])
        if number % 2:
            _wait(part.exists, seconds)  # in the middle of a write
        else:
            time.sleep(draw.uniform(0.2, 0.9) * seconds)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:  # it had ended before: kill the next one earlier
            seconds *= 0.8
            out.unlink()
            checkpoint.unlink()
            continue
        number += 1
        landed += part.exists()
        subprocess.run([*command, checkpoint, out, STEPS], check=True)
        differing += out.read_bytes() != (folder / "reference.out").read_bytes()
        left = sorted(path.name for path in folder.iterdir())
        _require(left == ["killed.out", "killed.pt", "reference.out", "reference.pt"], f"left behind: {left}")
        out.unlink()
        checkpoint.unlink()
    print(f"{kills} kills, {landed} of them in the middle of a write; {differing} resumed solves ended with other bits")
    _require(not differing, "bits differ")


def _wait(condition, seconds: float) -> None:
    deadline = time.perf_counter() + 2 * seconds
    while not condition():
        _require(time.perf_counter() < deadline, "no checkpoint was written")


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        sys.exit(complaint)


if __name__ == "__main__":
    main()
