"""One prepared run on a GPU, of at most ten minutes: ``python -m benchmarks.gpu``, with ``--out FOLDER`` on another machine.

Each phase is a process with a limit of its own: one that hangs or crashes loses only its unfinished measurements. Records
go to gpu.jsonl as they are made; after each phase gpu.md and laws-cuda.txt are written, and all is packed in gpu-run.tar.gz.
What another machine has written is taken over by ``python -m benchmarks.gpu_report FOLDER``.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu_phases import Phases
from benchmarks.gpu_report import LAWS, page
from benchmarks.gpu_work import versions
from benchmarks.harness import HERE, RESULTS, Task, current_commit, measure
from dipops._tools.files import write_whole

ROOT = HERE.parent
LIMITS = {"laws": 150, "steps": 120, "whole": 130, "bits": 60, "profile": 40, "compiled": 140}
"""Seconds of each phase."""
TOTAL = 585
_ENOUGH_CORES, _WORKERS = 4, 8
_OUTCOME = "(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)"
_LINES = re.compile(rf"^(?:\[gw\d+\].*?{_OUTCOME} (.+?)|(\S*::.+?) {_OUTCOME}\b.*?)\s*$", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.inside:
        measure_all(Phases(options.small).all()[options.inside], options.out, options.commit, options.seconds)
        return
    ending = time.perf_counter() + options.seconds
    with tempfile.TemporaryDirectory() as logs:
        for phase in options.phases:
            limit = min(LIMITS[phase], ending - time.perf_counter())
            if limit < 1:
                print(f"{phase}: no time is left")
                continue
            log = Path(logs) / f"{phase}.log"
            ended = run_limited(command(phase, options, limit), limit, log, variables(phase, options.data))
            print(f"{phase}: {ended}", *log.read_text(errors="replace").splitlines()[-12:], sep="\n", flush=True)
            if phase == "laws":
                write_laws(log.read_text(errors="replace"), ended, options.out, options.commit)
            finish(options.out, Path(logs), options.small)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of records and reports")
    parser.add_argument("--data", type=Path, help="folder of test images, in place of DIPOPS_DATA")
    parser.add_argument("--phases", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="PHASE", help=", ".join(LIMITS))
    parser.add_argument("--small", action="store_true", help="small sizes, to try the run on any machine")
    parser.add_argument("--seconds", type=float, default=TOTAL, help="limit of the whole run")
    parser.add_argument("--commit", default=current_commit(), help="of this tree, where git cannot tell")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="tests of the phase laws")
    parser.add_argument("--inside", choices=LIMITS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measure_all(tasks: list[Task], out: Path, commit: str | None, seconds: float) -> None:
    """Make a record of each task while there is time; a failure is recorded, and the next task begins."""
    ending = time.perf_counter() + seconds
    for task in tasks:
        if time.perf_counter() + task.seconds > ending:
            print(f"{task.name}: no time is left", flush=True)
            continue
        record = measure(replace(task, run=_guarded(task.run)), out, commit)
        print(f"{task.name}: {record['result']}", flush=True)


def command(phase: str, options: argparse.Namespace, limit: float) -> list[str]:
    """What runs in the process of a phase."""
    if phase != "laws":
        again = ["--out", options.out, "--seconds", limit, *(["--commit", options.commit] if options.commit else [])]
        small = ["--small"] if options.small else []
        return [sys.executable, "-m", "benchmarks.gpu", "--inside", phase, *map(str, again), *small]
    usual = ["-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "--tb=short", "--continue-on-collection-errors"]
    shared = (os.cpu_count() or 1) > _ENOUGH_CORES and find_spec("xdist")
    workers = ["-n", str(_WORKERS)] if shared else []
    each = ["--timeout", "100"] if find_spec("pytest_timeout") else []
    settings = ["-c", str(ROOT / "pyproject.toml"), "-v", "-m", "cuda and not slow", *usual, *workers, *each]
    return [sys.executable, "-m", "pytest", *settings, str(options.tests)]


def variables(phase: str, data: Path | None) -> dict[str, str]:
    """The environment of a phase; cuBLAS is deterministic only with a workspace of a fixed size."""
    own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "agg"}
    fixed = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} if phase in ("bits", "laws") else {}
    return {**os.environ, **own, **fixed, **({"DIPOPS_DATA": str(data.resolve())} if data else {})}


def run_limited(command: list[str], limit: float, log: Path, environment: dict[str, str]) -> str:
    """Run a command, its output in a file, and end it with all that it started once its time is over; says how it ended."""
    started = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"cut off after {limit:.0f} s"
        finally:
            _end_group(process)
    return f"{'done' if status == 0 else f'ended with status {status}'} in {time.perf_counter() - started:.0f} s"


def write_laws(output: str, ended: str, out: Path, commit: str | None) -> None:
    """What pytest said of each test, a line each, below the device and its software."""
    lines = sorted({f"{a or d} {b or c}" for a, b, c, d in _LINES.findall(output)})
    errors = sorted(set(re.findall(r"^ERROR \S+\.py\b.*$", output, re.MULTILINE)))
    counts = {
        outcome: sum(line.startswith(f"{outcome} ") for line in [*lines, *errors])
        for outcome in ("PASSED", "FAILED", "ERROR", "SKIPPED")
    }
    head = [
        f"pytest -m 'cuda and not slow', {ended}",
        f"commit {commit}",
        ", ".join(f"{name} {value}" for name, value in versions().items()),
        ", ".join(f"{count} {outcome.lower()}" for outcome, count in counts.items()),
    ]
    text = "\n".join([*head, "", *errors, *lines]) + "\n"
    write_whole(out / LAWS, lambda file: file.write(text.encode()))


def finish(out: Path, logs: Path, small: bool) -> None:
    """Write the report of what there is, and pack everything."""
    text = page(out, Phases(small))
    write_whole(out / "gpu.md", lambda file: file.write(text.encode()))
    part = out / "gpu-run.tar.gz.part"
    with tarfile.open(part, "w:gz") as archive:
        for path in [*(out / name for name in ("gpu.jsonl", "gpu.md", LAWS)), *sorted(logs.glob("*.log"))]:
            if path.exists():
                archive.add(path, path.name)
    part.replace(out / "gpu-run.tar.gz")


def _guarded(work: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The work, whose failure is a result."""

    def done(settings: dict[str, Any]) -> dict[str, Any]:
        try:
            return work(settings)
        except Exception as error:
            traceback.print_exc()
            return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}

    return done


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process and of all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


if __name__ == "__main__":
    main()
