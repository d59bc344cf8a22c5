"""Runs measurements once each and keeps a record of every one.

A record is one line of ``results/<report>.jsonl``: task, settings, result, seconds, environment and commit. A task that has
a record is not run again; delete the line to repeat it. A record counts where its commit is an ancestor of HEAD and a task
asks for its settings.
"""

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import torch
from filelock import FileLock

from dipops._tools.files import environment, write_whole
from dipops._tools.tables import markdown

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LOCKS = Path(tempfile.gettempdir())
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

Record = dict[str, Any]
Records = dict[str, Record]
Row = tuple[Sequence[object], Sequence[Record]]
"""The cells of a table's row, and the records that they are made from."""


@dataclass(frozen=True)
class Task:
    """One measurement.

    Attributes:
        name: its first word is the report, and so the file, that its record belongs to.
        run: does the work and returns plain values.
        settings: plain values, handed to ``run``; another value makes another task.
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
    def report(self) -> str:
        return self.name.partition("-")[0]

    @property
    def key(self) -> str:
        return _key(self.name, self.settings)

    @property
    def seconds(self) -> float:
        return self.steps * self.seconds_per_step


def run(tasks: Iterable[Task], folder: Path = RESULTS, echo: Callable[[str], None] = print) -> Records:
    """Run the tasks that have no record yet, one at a time; returns every record by the task's name.

    Several processes may share a folder: each skips what another has finished, and waits for what another is running.
    """
    tasks, commit = list(tasks), current_commit()
    folder.mkdir(parents=True, exist_ok=True)
    finished = records_of(tasks, folder)
    missing = [task for task in tasks if task.name not in finished]
    for task in missing:
        echo(f"{task.key}: {task.steps} steps of {task.seconds_per_step:g} s, about {task.seconds:.0f} s")
    if missing:
        echo(f"{len(missing)} of {len(tasks)} tasks to run, about {sum(task.seconds for task in missing) / 60:.1f} minutes")
    for task in missing:
        with FileLock(LOCKS / f"dipops-{'timing' if task.alone else task.key}.lock"):
            if not records_of([task], folder):
                echo(f"{task.key}: done in {measure(task, folder, commit)['seconds']:.0f} s")
    return records_of(tasks, folder)


def measure(task: Task, folder: Path, commit: str | None) -> Record:
    """Run a task and append its record."""
    start = time.perf_counter()
    record = {"task": task.name, "settings": task.settings, "result": task.run(task.settings)}
    record |= {"seconds": round(time.perf_counter() - start, 2), "environment": environment(DEVICE), "commit": commit}
    append(folder / f"{task.report}.jsonl", record)
    return record


def chosen(tasks: Iterable[Task], parts: Sequence[str]) -> list[Task]:
    """The tasks whose names contain one of the parts; all tasks without parts."""
    return [task for task in tasks if not parts or any(part in task.name for part in parts)]


def append(path: Path, record: Record) -> None:
    """Add a line to a file, which is replaced as a whole; what is not finite becomes null, for JSON has no word for it."""
    plain = json.loads(json.dumps(record), parse_constant=lambda _: None)
    line = json.dumps(plain, ensure_ascii=False) + "\n"
    with FileLock(LOCKS / f"dipops-{path.name}.lock"):
        before = path.read_bytes() if path.exists() else b""
        write_whole(path, lambda file: file.write(before + line.encode()), path.with_suffix(".part"))


def lines(path: Path) -> Iterator[Record]:
    """The records of a file, if there is one."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return map(json.loads, filter(None, text.split("\n")))


def records_of(tasks: Iterable[Task], folder: Path = RESULTS) -> Records:
    """The newest record of each finished task, by the task's name."""
    tasks = list(tasks)
    newest: Records = {}
    for report in dict.fromkeys(task.report for task in tasks):
        newest |= {_key(record["task"], record["settings"]): record for record in _read(folder / f"{report}.jsonl")}
    return {task.name: newest[task.key] for task in tasks if task.key in newest}


def require_records(tasks: Iterable[Task], command: str) -> Records:
    """The records of all tasks; ends here, naming the first few, where tasks are not finished."""
    tasks = list(tasks)
    records = records_of(tasks)
    if missing := [task.name for task in tasks if task.name not in records]:
        sys.exit(f"run {command} first: {len(missing)} measurements are missing, {', '.join(missing[:5])}, ...")
    return records


def require_one_machine(tasks: Iterable[Task], records: Records) -> None:
    """End here where tasks that time anything were not all measured on one machine with one PyTorch."""
    machines: dict[tuple[str, ...], str] = {}
    for task in tasks:
        if task.alone:
            machine = records[task.name]["environment"]
            machines.setdefault((machine["processor"], machine["gpu"], machine["packages"]["torch"]), task.name)
    if len(machines) > 1:
        sys.exit(f"timings of several machines cannot be compared: {machines}; delete the records of all but one")


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


def table(header: Sequence[object], rows: Iterable[Row]) -> str:
    """A Markdown table that names the machine of each row: in a sentence below, or where they differ in a column."""
    rows = list(rows)
    machines = list(dict.fromkeys(machine_of(record) for _, records in rows for record in records))
    cells = [list(row) for row, _ in rows]
    if len(machines) > 1:
        header = [*header, "machine"]
        for row, (_, records) in zip(cells, rows, strict=True):
            row.append(", ".join(map(str, sorted({machines.index(machine_of(record)) + 1 for record in records}))))
    return f"{markdown(header, cells)}\n\n{_sentence(machines)}"


def measured_on(*records: Record) -> str:
    """One sentence: the machine of some records."""
    return _sentence(list(dict.fromkeys(map(machine_of, records))))


def machine_of(record: Record) -> str:
    """The machine and the versions that a record was made with."""
    machine = record["environment"]
    return (
        f"{machine['gpu'] or machine['processor']}, {machine['cores']} cores, "
        f"{machine.get('instructions') or 'instructions unknown'}, torch {machine['packages']['torch']}, "
        f"Python {machine['python']}"
    )


def render(name: str, **values: object) -> str:
    """The template ``<name>.md.j2`` with its values."""
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined)
    return templates.get_template(f"{name}.md.j2").render(values, measured_on=measured_on) + "\n"


def write_report(name: str, text: str) -> None:
    write_whole(RESULTS / f"{name}.md", lambda file: file.write(text.encode()))
    print(f"Look at {RESULTS / name}.md")


def current_commit() -> str | None:
    """The commit of this tree, with "+changes" where files other than results differ from it; None without git."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return f"{commit}+changes" if changes else commit


def full_commit(commit: str | None) -> str | None:
    """A commit by its full name, where git knows it."""
    return commit and (_git("rev-parse", "--verify", f"{commit}^{{commit}}") or commit)


@cache
def ancestors() -> frozenset[str] | None:
    """HEAD and every commit before it; None where git cannot tell: without a repository, or with a part of its history."""
    if _git("rev-parse", "--is-shallow-repository") != "false":
        return None
    return frozenset((_git("rev-list", "HEAD") or "").split())


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], cwd=HERE.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _read(path: Path) -> Iterator[Record]:
    """The records of a file whose commits are ancestors, where git can tell."""
    known = ancestors()
    for record in lines(path):
        if known is None or str(record["commit"]).removesuffix("+changes") in known:
            yield record


def _key(name: str, settings: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:8]}"


def _sentence(machines: list[str]) -> str:
    if len(machines) == 1:
        return f"Measured on {machines[0]}."
    return f"Machines: {'; '.join(f'{number} is {machine}' for number, machine in enumerate(machines, 1))}."
