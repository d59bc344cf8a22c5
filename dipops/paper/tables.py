"""An experiment's runs as one table: what the paper prints, what we get, and how far that is from the oracle."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from dipops import images
from dipops.errors import BadValue
from dipops.paper.contestants import ANSWER, AVERAGE, LAST, ORACLE, PROJECTED, STOPPED
from dipops.paper.experiments import MEAN_OF_RUNS, Experiment
from dipops.paper.store import Store
from dipops.paper.tasks import Size, Task

COLUMNS = {
    LAST: "last output",
    AVERAGE: "average",
    ANSWER: "answer",
    STOPPED: "stopped without truth",
    PROJECTED: "average, made to explain y",
    ORACLE: "oracle",
}
_PUBLISHED, _EMPTY = "published", "–"


@dataclass(frozen=True)
class Run:
    """A finished run: its task and its record."""

    task: Task
    record: dict[str, Any]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """By column and metric; a record keeps what is infinite, such as the PSNR of what is exact, as null."""
        return {
            column: {metric: inf if value is None else value for metric, value in found.items()}
            for column, found in self.record["scores"].items()
        }


@dataclass(frozen=True)
class Row:
    """One system in a table.

    Attributes:
        system: its name.
        values: by (column, metric): the mean over the pictures, one for each seed.
        printed: by column, the paper's figures.
        seconds: a picture took on average, or None where nothing was run.
        pictures: those of the experiment's that were run, by name.
        comparable: whether the printed figures are of these pictures, at this size.
    """

    system: str
    values: dict[tuple[str, str], list[float]]
    printed: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    pictures: frozenset[str] = frozenset()
    comparable: bool = False


@dataclass(frozen=True)
class Table:
    """A table as rows and heads, in the form that is asked for."""

    title: str
    notes: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]

    def markdown(self) -> str:
        rows = [self.heads, ["---"] * len(self.heads), *self.lines]
        return f"## {self.title}\n\n{self.notes}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"

    def csv(self) -> str:
        out = io.StringIO()
        csv.writer(out).writerows([self.heads, *self.lines])
        return out.getvalue()

    def latex(self) -> str:
        rows = [" & ".join(map(_escaped, row)) + r" \\" for row in (self.heads, *self.lines)]
        columns = "l" + "r" * (len(self.heads) - 1)
        body = "\n".join([rows[0], r"\midrule", *rows[1:]])
        lines = [f"% {self.title}: {self.notes}", f"\\begin{{tabular}}{{{columns}}}", r"\toprule", body, r"\bottomrule"]
        return "\n".join([*lines, r"\end{tabular}", ""])


def finished(row: Experiment, store: Store) -> list[Run]:
    """The runs of an experiment that are there; those of other settings than today's are left out."""
    found = []
    for key in store.runs():
        record = store.record(key)
        if record["task"]["experiment"] == row.name and record["task"]["contestant"] in row.contestants:
            task = Task.of(record["task"])
            found += [Run(task, record)] if task.key == key else []
    return sorted(found, key=lambda run: run.task.seed)


def table(row: Experiment, size: Size, runs: Sequence[Run], store: Store, data: Path | None = None) -> Table:
    """The table of an experiment.

    With ``data`` there is a row of the mean of the runs, where there are several.

    Raises:
        BadValue: no run is there.
    """
    runs = [run for run in runs if run.task.experiment == row.name and run.task.size == size]
    if not runs:
        raise BadValue(f"{row.name} at {size} without a run", "at least one", "run it first, with the same options")
    by_system = {name: [run for run in runs if run.task.contestant == name] for name in row.contestants}
    rows = [_row(row, name, found) for name, found in by_system.items() if found]
    pooled = None if data is None or row.score is None else _mean_of_runs(row, runs, store, data)
    rows += [pooled] if pooled else []
    known = {*row.contestants, *([MEAN_OF_RUNS] if pooled else [])}
    shown = frozenset(run.task.case for run in runs)
    rows += [Row(one.system, {}, {one.column: one.over(shown)}) for one in row.printed if one.system not in known]
    columns = [column for column in COLUMNS if any(column == key[0] for one in rows for key in one.values)]
    metrics = list(dict.fromkeys(metric for one in rows for _, metric in one.values))
    keys = [(column, metric) for column in columns for metric in metrics if any((column, metric) in one.values for one in rows)]
    heads = ["system", "printed", *(_head(key, metrics) for key in keys if key[0] != ORACLE), "ours - printed", "± over seeds"]
    heads += ["seconds", *(_head(key, metrics) for key in keys if key[0] == ORACLE)]
    lines = [_line(one, keys, shown) for one in rows]
    filled = [index for index in range(len(heads)) if any(line[index] != _EMPTY for line in lines)]
    heads, *lines = ([line[index] for index in filled] for line in (heads, *lines))
    return Table(row.title, _notes(row, size, runs), heads, lines)


def every_run(row: Experiment, runs: Sequence[Run]) -> Table:
    """One line for each run, picture and column: what a table is made of."""
    lines = [
        [*_named(run), column, metric, repr(value), str(run.record["seconds"])]
        for run in runs
        for column, values in run.scores.items()
        for metric, value in values.items()
    ]
    heads = ["picture", "system", "seed", "size", "column", "metric", "value", "seconds"]
    return Table(row.title, "every run", heads, lines)


def _named(run: Run) -> list[str]:
    return [run.task.case, run.task.contestant, str(run.task.seed), str(run.task.size)]


def _row(row: Experiment, name: str, runs: Sequence[Run]) -> Row:
    values: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for column, scores in run.scores.items():
            for metric, value in scores.items():
                values[column, metric][run.task.seed].append(value)
    means = {key: [mean(found) for found in of_seed.values()] for key, of_seed in values.items()}
    seconds = mean(run.record["seconds"] for run in runs)
    return _compared(row, name, Row(name, means, seconds=seconds, pictures=frozenset(run.task.case for run in runs)), runs)


def _mean_of_runs(row: Experiment, runs: Sequence[Run], store: Store, data: Path) -> Row | None:
    """The answers of all seeds of the first contestant, averaged picture by picture."""
    first = next(iter(row.contestants))
    of_case: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.task.contestant == first:
            of_case[run.task.case].append(run)
    fewest = min((len(found) for found in of_case.values()), default=0)
    if fewest < 2 or row.score is None:
        return None
    scores = []
    for name, found in of_case.items():
        problem = row.problem(name, row.case(name).read(data, found[0].task.size.crop))
        if problem.truth is None:
            return None
        pictures = torch.stack([images.load(store.picture(run.task.key)) for run in found])
        scores.append(float(row.score(pictures.mean(0, keepdim=True), problem.truth)))
    seconds = mean(sum(run.record["seconds"] for run in found) for found in of_case.values())
    label = f"{first}, mean of {fewest} runs"
    made = Row(label, {(AVERAGE, row.metric): [mean(scores)]}, seconds=seconds, pictures=frozenset(of_case))
    return _compared(row, MEAN_OF_RUNS, made, runs)


def _compared(row: Experiment, system: str, made: Row, runs: Sequence[Run]) -> Row:
    """The row with what the paper prints of a system, over the same pictures where that is known."""
    printed = [one for one in row.printed if one.system == system]
    same = len(made.pictures) == len(row.cases) or all(one.by_picture for one in printed)
    whole = all(run.task.size.whole for run in runs)
    return replace(made, printed={one.column: one.over(made.pictures) for one in printed}, comparable=whole and same)


def _line(one: Row, keys: Sequence[tuple[str, str]], pictures: frozenset[str]) -> list[str]:
    cells = {key: f"{mean(one.values[key]):.2f}" if key in one.values else _EMPTY for key in keys}
    printed = ", ".join(
        f"{value:.2f}" + (f" ({COLUMNS[column]})" if len(one.printed) > 1 else "") for column, value in one.printed.items()
    )
    seconds = _PUBLISHED if one.seconds is None else f"{one.seconds:.1f}"
    shown = [cells[key] for key in keys if key[0] != ORACLE]
    fewer = f" ({len(one.pictures)} of these pictures)" if one.pictures and one.pictures != pictures else ""
    return [
        one.system + fewer,
        printed or _EMPTY,
        *shown,
        _difference(one) if one.comparable else _EMPTY,
        _spread(one),
        seconds,
        *(cells[key] for key in keys if key[0] == ORACLE),
    ]


def _difference(one: Row) -> str:
    """Ours minus the printed, in the column that the printed figure is of."""
    found = []
    for column, value in one.printed.items():
        ours = next((values for (name, _), values in one.values.items() if name == column), None)
        ours = ours or (next(iter(one.values.values())) if len(one.values) == 1 else None)
        found += [f"{mean(ours) - value:+.2f}"] if ours else []
    return ", ".join(found) or _EMPTY


def _spread(one: Row) -> str:
    """Standard deviation over the seeds, of the column that comes first."""
    several = [values for values in one.values.values() if len(values) > 1]
    return f"{stdev(several[0]):.2f}" if several and all(map(isfinite, several[0])) else _EMPTY


def _head(key: tuple[str, str], metrics: Sequence[str]) -> str:
    column, metric = key
    return f"{COLUMNS[column]}, {metric}" if len(metrics) > 1 else COLUMNS[column]


def _notes(row: Experiment, size: Size, runs: Sequence[Run]) -> str:
    pictures = len({run.task.case for run in runs})
    seeds = len({run.task.seed for run in runs})
    metrics = dict.fromkeys(metric for run in runs for found in run.scores.values() for metric in found)
    scored = f"Means of {' and '.join(metrics)} over" if metrics else "Without a score, see the figure:"
    runs_each = f"up to {seeds} seeds" if seeds > 1 else "one seed"
    machine, threads = runs[0].record["environment"], runs[0].record["environment"]["torch_threads"]
    packages = {name: version for run in runs for name, version in run.record["environment"]["packages"].items()}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    share = "" if size.whole else " This is a smaller version: its figures are not to be compared with the printed ones."
    return (
        f"{scored} {pictures} of {len(row.cases)} pictures, {runs_each}; {size}.{share} "
        f"From the paper: {row.source}. Run on {machine['gpu'] or machine['processor']}, threads: {threads}, with {versions}."
    )


def _escaped(text: str) -> str:
    for plain in "&%_#":
        text = text.replace(plain, f"\\{plain}")
    return text.replace("±", r"$\pm$").replace("–", "--").replace("σ", r"$\sigma$").replace("‖", r"$\|$")
