"""An experiment's runs as one table: what the paper prints, what we get, and how far that is from the oracle."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
    AVERAGE: "average",
    ANSWER: "answer",
    LAST: "last output",
    STOPPED: "stopped without truth",
    PROJECTED: "average, made to explain y",
    ORACLE: "oracle: the answer's best step",
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
class Value:
    """A figure of a table: over the seeds of each picture, then over the pictures.

    Attributes:
        mean: of both.
        spread: standard deviation over the seeds that every picture has, of the mean over the pictures; None of one seed.
    """

    mean: float
    spread: float | None = None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.spread is None else f" ± {self.spread:.2f}")


@dataclass(frozen=True)
class Row:
    """One system in a table.

    Attributes:
        label: its name, and what it is made of.
        values: by (column, metric).
        seconds: a picture took on average, or None where nothing was run.
        seeds: by picture that was run, how many times.
    """

    label: str
    values: Mapping[tuple[str, str], Value] = field(default_factory=dict)
    seconds: float | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)


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


def runs_of(row: Experiment, size: Size, runs: Sequence[Run]) -> list[Run]:
    """Those of an experiment at a size.

    Raises:
        BadValue: there is none.
    """
    found = [run for run in runs if run.task.experiment == row.name and run.task.size == size]
    if not found:
        came = f"{row.name} at {size} without a run by today's settings"
        raise BadValue(came, "at least one", "run it first, with the same options")
    return found


def table(row: Experiment, size: Size, runs: Sequence[Run], store: Store, data: Path | None = None) -> Table:
    """The table of an experiment: each system that was run, then what is printed of others.

    With ``data`` there is a row of the mean of the runs, where there are several.

    Raises:
        BadValue: no run is there.
    """
    runs = runs_of(row, size, runs)
    by_system = {name: [run for run in runs if run.task.contestant == name] for name in row.contestants}
    rows = {name: _row(name, found) for name, found in by_system.items() if found}
    if data is not None and row.score is not None and (pooled := _mean_of_runs(row, runs, store, data)):
        rows[MEAN_OF_RUNS] = pooled
    shown = {run.task.case for run in runs}
    rows |= {one.system: Row(one.system) for one in row.printed if one.system not in rows}
    columns = [column for column in COLUMNS if any(column == key[0] for one in rows.values() for key in one.values)]
    metrics = list(dict.fromkeys(metric for one in rows.values() for _, metric in one.values))
    every = {key for one in rows.values() for key in one.values}
    keys = [(column, metric) for column in columns for metric in metrics if (column, metric) in every]
    heads = ["system", "printed", *(_head(key, metrics) for key in keys if key[0] != ORACLE), "ours - printed"]
    heads += ["seconds", *(_head(key, metrics) for key in keys if key[0] == ORACLE)]
    lines = [_line(one, keys, shown, *_printed(row, size, name, one.seeds or shown)) for name, one in rows.items()]
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


def _row(name: str, runs: Sequence[Run]) -> Row:
    scores: dict[tuple[str, str], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        for column, found in run.scores.items():
            for metric, value in found.items():
                scores[column, metric][run.task.case][run.task.seed] = value
    values = {key: _value(by_picture) for key, by_picture in scores.items()}
    seeds = Counter(run.task.case for run in runs)
    return Row(name, values, mean(run.record["seconds"] for run in runs), seeds)


def _value(scores: Mapping[str, Mapping[int, float]]) -> Value:
    """Of scores by picture and seed."""
    common = set.intersection(*(set(by_seed) for by_seed in scores.values()))
    of_seed = [mean(by_seed[seed] for by_seed in scores.values()) for seed in sorted(common)]
    spread = stdev(of_seed) if len(of_seed) > 1 and all(map(isfinite, of_seed)) else None
    return Value(mean(mean(by_seed.values()) for by_seed in scores.values()), spread)


def _mean_of_runs(row: Experiment, runs: Sequence[Run], store: Store, data: Path) -> Row | None:
    """The kept pictures of the first contestant, averaged over as many seeds as every picture has."""
    first = next(iter(row.contestants))
    of_case: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.task.contestant == first:
            of_case[run.task.case].append(run)
    fewest = min(map(len, of_case.values()), default=0)
    if fewest < 2 or row.score is None:
        return None
    scores = []
    for name, found in of_case.items():
        problem = row.posed(name, data, found[0].task.size.crop)
        if problem.truth is None:
            return None
        pictures = torch.stack([images.load(store.picture(run.task.key)) for run in found[:fewest]])
        scores.append(float(row.score(pictures.mean(0, keepdim=True), problem.truth)))
    seconds = mean(sum(run.record["seconds"] for run in found[:fewest]) for found in of_case.values())
    values = {(AVERAGE, row.metric): Value(mean(scores))}
    return Row(f"{first}, mean of {fewest} runs", values, seconds, dict.fromkeys(of_case, 1))


def _printed(row: Experiment, size: Size, system: str, pictures: Collection[str]) -> tuple[dict[str, float], bool]:
    """By column, what the paper prints of a system, and whether that is of these pictures at this size."""
    found = [one for one in row.printed if one.system == system]
    same = len(pictures) == len(row.cases) or all(one.by_picture for one in found)
    return {one.column: one.over(pictures) for one in found}, size.whole and same


def _line(
    one: Row, keys: Sequence[tuple[str, str]], pictures: Collection[str], printed: Mapping[str, float], comparable: bool
) -> list[str]:
    cells = {key: str(one.values[key]) if key in one.values else _EMPTY for key in keys}
    figures = (f"{value:.2f}" + (f" ({COLUMNS[column]})" if len(printed) > 1 else "") for column, value in printed.items())
    return [
        one.label + _unfinished(one, pictures),
        ", ".join(figures) or _EMPTY,
        *(cells[key] for key in keys if key[0] != ORACLE),
        _difference(one, printed) if comparable else _EMPTY,
        _duration(one.seconds),
        *(cells[key] for key in keys if key[0] == ORACLE),
    ]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _PUBLISHED
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"


def _unfinished(one: Row, pictures: Collection[str]) -> str:
    """What a row lacks against the others."""
    if one.seeds and len(one.seeds) < len(pictures):
        return f" ({len(one.seeds)} of these pictures)"
    return " (not every picture with every seed)" if len(set(one.seeds.values())) > 1 else ""


def _difference(one: Row, printed: Mapping[str, float]) -> str:
    """Ours minus the printed, in the column that the printed figure is of; of a single column, in that."""
    found = []
    for column, value in printed.items():
        ours = next((found for (name, _), found in one.values.items() if name == column), None)
        ours = next(iter(one.values.values())) if ours is None and len(one.values) == 1 else ours
        found += [f"{ours.mean - value:+.2f}"] if ours else []
    return ", ".join(found) or _EMPTY


def _head(key: tuple[str, str], metrics: Sequence[str]) -> str:
    column, metric = key
    return f"{COLUMNS[column]}, {metric}" if len(metrics) > 1 else COLUMNS[column]


def _notes(row: Experiment, size: Size, runs: Sequence[Run]) -> str:
    pictures = len({run.task.case for run in runs})
    seeds = len({run.task.seed for run in runs})
    metrics = dict.fromkeys(metric for run in runs for found in run.scores.values() for metric in found)
    scored = f"Means of {' and '.join(metrics)} over" if metrics else "Without a score, see the figure:"
    runs_each = f"up to {seeds} seeds, ± their deviation" if seeds > 1 else "one seed"
    share = "" if size.whole else " This is a smaller version: its figures are not to be compared with the printed ones."
    stops = " Runs with a stop of their own end there, and so does what the oracle sees." if any(map(_stops, runs)) else ""
    return (
        f"{scored} {pictures} of {len(row.cases)} pictures, {runs_each}; {size}.{share}{stops} "
        f"Source: {row.source}. Run on {' and on '.join(sorted({machine(run) for run in runs}))}, with {versions(runs)}."
    )


def _stops(run: Run) -> bool:
    return bool(run.record["facts"].get("stops"))


def machine(run: Run) -> str:
    """What it ran on: the GPU, or the processor with as many threads."""
    environment = run.record["environment"]
    if run.record["device"] != "cpu":
        return str(environment["gpu"])
    threads = environment["torch_threads"]
    return f"{environment['processor']}, {threads} thread{'s' if threads > 1 else ''}"


def versions(runs: Sequence[Run]) -> str:
    """Of every package, all that took part."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for name, version in run.record["environment"]["packages"].items():
            found[name].add(version)
    return ", ".join(f"{name} {' and '.join(sorted(versions))}" for name, versions in found.items())


def _escaped(text: str) -> str:
    for plain in "&%_#":
        text = text.replace(plain, f"\\{plain}")
    return text.replace("±", r"$\pm$").replace("–", "--").replace("σ", r"$\sigma$").replace("‖", r"$\|$")
