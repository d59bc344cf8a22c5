"""What a run is: a task before it is made, and a record of plain values afterwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dipops._tools.files import environment

Record = dict[str, Any]
Name = tuple[str | None, str]
"""Of an operator, or None where problems are named by the image alone, and of an image."""


@dataclass(frozen=True)
class Task:
    """A run that can be made here or on another machine; all of it can be pickled.

    Attributes:
        key: a file name that differs wherever something differs that the result depends on.
        label: the run in a few words.
        inputs: a digest of the files that the run reads.
        perform: makes the run on a target of ``Problem.to``, such as "cuda", with or without progress bars; returns its record
            and its image (1, *in_shape), or None where it failed, and the record says by "failure" why.
    """

    key: str
    label: str
    inputs: str
    perform: Callable[[str, bool], tuple[Record, Tensor | None]]

    def run(self, target: str = "cpu", progress: bool = False) -> tuple[Record, Tensor | None]:
        """Make the run: its record, with what it read, its device and all versions, and its image."""
        record, image = self.perform(target, progress)
        about = {"inputs": self.inputs, "device": target, "environment": environment(target)}
        return {**record, **about}, None if image is None else image.cpu()


def scores_of(record: Record) -> dict[str, dict[str, float]]:
    """The scores by column and metric. What is infinite, such as the PSNR of an exact image, is "inf" in the file."""
    return {column: {metric: float(value) for metric, value in scores.items()} for column, scores in record["scores"].items()}


def machine(record: Record) -> str:
    """What the run was made on: the GPU, or the processor and the number of threads."""
    environment = record["environment"]
    if record["device"] != "cpu":
        return str(environment["gpu"])
    threads = environment["torch_threads"]
    return f"{environment['processor']}, {threads} thread{'s' if threads > 1 else ''}"


def versions(records: Iterable[Record]) -> str:
    """All versions of each package that the runs were made with."""
    versions_of: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, version in record["environment"]["packages"].items():
            versions_of[name].add(version)
    return ", ".join(f"{name} {' and '.join(sorted(versions))}" for name, versions in versions_of.items())
