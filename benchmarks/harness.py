"""Runs rows of measurements once each, in turn, and keeps what they found with what it was found on.

A finished task is not run again: its file is named by its name and a hash of its settings. Delete the file to repeat it.
"""

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from dipops._tools.files import environment, write_json

RESULTS = Path(__file__).parent / "results"
LOCK = Path(tempfile.gettempdir()) / "dipops-timing.lock"


@dataclass(frozen=True)
class Task:
    """One measurement.

    Attributes:
        name: becomes part of the file's name.
        settings: plain values, handed to ``run``; another value makes another task.
        run: does the work and returns plain values.
        steps, seconds_per_step: the expected cost, printed before the start.
        alone: whether it times anything, and so must be the only one on the machine.
    """

    name: str
    run: Callable[[dict[str, Any]], dict[str, Any]]
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int = 1
    seconds_per_step: float = 1.0
    alone: bool = True

    @property
    def key(self) -> str:
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"

    @property
    def seconds(self) -> float:
        return self.steps * self.seconds_per_step


def run(tasks: Iterable[Task], folder: Path = RESULTS, say: Callable[[str], None] = print) -> dict[str, dict[str, Any]]:
    """Run what is not finished yet, one at a time; returns every record by the task's name.

    Several processes may share a folder: they skip each other's finished tasks and wait for the one under way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records: dict[str, dict[str, Any]] = {}
    tasks = list(tasks)
    missing = [task for task in tasks if not (folder / f"{task.key}.json").exists()]
    for task in missing:
        say(f"{task.key}: {task.steps} steps of {task.seconds_per_step:g} s, about {task.seconds:.0f} s")
    if missing:
        say(f"{len(missing)} of {len(tasks)} tasks to run, about {sum(task.seconds for task in missing) / 60:.1f} minutes")
    for task in tasks:
        path = folder / f"{task.key}.json"
        with FileLock(LOCK if task.alone else LOCK.with_name(f"dipops-{task.key}.lock")):
            if not path.exists():
                start = time.perf_counter()
                result = task.run(task.settings)
                seconds = round(time.perf_counter() - start, 2)
                record = {"task": task.name, "settings": task.settings, "result": result, "seconds": seconds}
                write_json(path, {**record, "environment": environment()})
                say(f"{task.key}: done in {seconds:.0f} s")
        records[task.name] = json.loads(path.read_text())
    return records


def require_measured(tasks: Iterable[Task], command: str) -> None:
    """End here, naming the first few, where tasks are not finished that a report is made of."""
    if missing := [task.name for task in tasks if not _kept(task).exists()]:
        sys.exit(f"run {command} first: {len(missing)} measurements are missing, {', '.join(missing[:5])}, ...")


def require_one_machine(tasks: Iterable[Task]) -> None:
    """End here where tasks that time anything were not all measured on one machine with one PyTorch."""
    found: dict[str, str] = {}
    for task in tasks:
        if task.alone:
            machine = record_of(task)["environment"]
            found.setdefault(f"{machine['processor']}, {machine['gpu']}, torch {machine['packages']['torch']}", task.name)
    if len(found) > 1:
        sys.exit(f"timings of several machines cannot be compared: {found}; delete the records of all but one")


def record_of(task: Task) -> dict[str, Any]:
    """The record of a finished task."""
    return json.loads(_kept(task).read_text())


def result_of(task: Task) -> dict[str, Any]:
    """What a finished task found."""
    return record_of(task)["result"]


def _kept(task: Task) -> Path:
    return RESULTS / f"{task.key}.json"


def in_turn(candidates: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, Any]:
    """Seconds of each candidate, run A B A B ... after one warm-up each: medians, all values, and ratios to the first."""
    for function in candidates.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, function in candidates.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(medians.values()))
    ratios = {name: median / first for name, median in medians.items()}
    return {"median_seconds": medians, "ratio_to_first": ratios, "seconds": seconds}


def markdown(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(map(str, row)) for row in (header, *rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def provenance(record: dict[str, Any], command: str) -> str:
    """One sentence: which command, on what, with which versions."""
    machine = record["environment"]
    return (
        f"Made by `{command}` on {machine['gpu'] or machine['processor']}, {machine['cores']} cores, "
        f"{machine.get('instructions', 'instructions unknown')}, torch {machine['packages']['torch']}, "
        f"Python {machine['python']}."
    )
