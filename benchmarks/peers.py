"""One task in several packages, as docs/coming.md shows it: ``python -m benchmarks.peers``, where they are all installed."""

import re
import time
from pathlib import Path

import torch

from benchmarks.harness import RESULTS, Task, markdown, provenance, record_of, run
from dipops.files import write_whole

PAGE = Path(__file__).parents[1] / "docs" / "coming.md"
PEERS = {"PyLops": "# PyLops", "SCICO": "# SCICO"}


def blocks() -> dict[str, str]:
    """The code of the page: ours, which a peer's goes on from, and each peer's."""
    found = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    theirs = {name: next(block for block in found if block.startswith(head)) for name, head in PEERS.items()}
    return {"dipops": found[0], **theirs}


def solve_all(settings: dict[str, str]) -> dict[str, dict[str, float]]:
    """Seconds and PSNR of each block; imports and what a package compiles count, as they do for who runs it once."""
    names: dict[str, object] = {"__name__": "page"}
    results = {}
    for package, code in settings.items():
        begun = time.perf_counter()
        exec(compile(code, "coming.md", "exec"), names)
        seconds = time.perf_counter() - begun
        results[package] = {"seconds": seconds, "psnr": float(torch.as_tensor(names["psnr"]))}
    return results


TASK = Task("peers", solve_all, blocks(), 3, 10)


def main() -> None:
    run([TASK])
    record = record_of(TASK)
    rows = [[name, f"{made['psnr']:.2f}", f"{made['seconds']:.1f}"] for name, made in record["result"].items()]
    words = f"{provenance(record, 'python -m benchmarks.peers')} Imports and compilation are counted.\n\n"
    table = markdown(["package", "PSNR (dB)", "seconds"], rows)
    write_whole(RESULTS / "peers.md", lambda file: file.write(f"{words}{table}\n".encode()))


if __name__ == "__main__":
    main()
