"""One task in several packages, as docs/coming.md shows it: ``python -m benchmarks.peers``, where they are all installed."""

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, Task, in_turn, markdown, provenance, record_of, run
from benchmarks.pages import code_of
from dipops._tools.files import write_whole

PAGE = Path(__file__).parents[1] / "docs" / "coming.md"
PEERS = {"PyLops": "# PyLops", "SCICO": "# SCICO"}


def blocks() -> dict[str, str]:
    """The code of the page: ours, which a peer's goes on from, and each peer's."""
    found = code_of(PAGE)
    theirs = {name: next(block for block in found if block.startswith(head)) for name, head in PEERS.items()}
    return {"dipops": found[0], **theirs}


def solve_all(settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Seconds and PSNR of each block: medians of runs in turn, after one in which everything is imported and compiled."""
    ours, *_ = settings["blocks"].values()
    shared: dict[str, Any] = {"__name__": "page"}
    exec(compile(ours, PAGE.name, "exec"), shared)
    names = {package: dict(shared) for package in settings["blocks"]}
    work = {
        package: partial(exec, compile(code, PAGE.name, "exec"), names[package]) for package, code in settings["blocks"].items()
    }
    seconds = in_turn(work, settings["rounds"])["median_seconds"]
    return {package: {"seconds": seconds[package], "psnr": float(names[package]["psnr"])} for package in work}


TASK = Task("peers", solve_all, {"blocks": blocks(), "rounds": 3}, 12, 4)


def main() -> None:
    run([TASK])
    record = record_of(TASK)
    rows = [[name, f"{made['psnr']:.2f}", f"{made['seconds']:.1f}"] for name, made in record["result"].items()]
    words = f"{provenance(record, 'python -m benchmarks.peers')} Seconds without imports and compilation.\n\n"
    table = markdown(["package", "PSNR (dB)", "seconds"], rows)
    write_whole(RESULTS / "peers.md", lambda file: file.write(f"{words}{table}\n".encode()))


if __name__ == "__main__":
    main()
