"""One task in several packages, as docs/coming.md shows it: ``python -m benchmarks.peers``, where they are all installed."""

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Records, Task, in_turn, render, run, table, write_report
from benchmarks.pages import code_of

PAGE = Path(__file__).parents[1] / "docs" / "coming.md"
PEERS = {"PyLops": "# PyLops", "SCICO": "# SCICO"}


def blocks() -> dict[str, str]:
    """The code of the page: ours, then each peer's, which uses the names of ours."""
    code = code_of(PAGE)
    theirs = {name: next(block for block in code if block.startswith(head)) for name, head in PEERS.items()}
    return {"dipops": code[0], **theirs}


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


TASKS = [Task("peers", solve_all, {"blocks": blocks(), "rounds": 3}, 12, 4)]


def main() -> None:
    write_report("peers", report(run(TASKS)))


def report(records: Records) -> str:
    record = records["peers"]
    rows = [([name, f"{of['psnr']:.2f}", f"{of['seconds']:.1f}"], [record]) for name, of in record["result"].items()]
    return render("peers", packages=table(["package", "PSNR (dB)", "seconds"], rows))


if __name__ == "__main__":
    main()
