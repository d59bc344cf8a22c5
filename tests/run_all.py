"""What the processes do that share a folder; they import this file and nothing else of the tests."""

from pathlib import Path

import torch

from dipops.paper.runs import Run, tasks
from dipops.study import runner
from dipops.study.store import Store


def run_all(runs: list[Run], out: Path, data: Path) -> None:
    """Make these runs of the paper, in one thread."""
    torch.set_num_threads(1)
    runner.run(tasks(runs, data), Store(out), progress=False)
