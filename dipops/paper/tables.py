"""An experiment's runs as one table: what the paper prints, what was run here, and how far that is from the oracle."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from dipops._tools import tables
from dipops.errors import BadValue
from dipops.paper.combined import Systems, combined
from dipops.paper.config import RunConfig
from dipops.paper.contestants import ANSWER, AVERAGE, DEBIASED, LAST, ORACLE, PROJECTED, STOPPED
from dipops.paper.experiments import Experiment, mean_over
from dipops.paper.runs import Run
from dipops.study import Record, Store, machine, scores_of, versions
from dipops.study.statistics import deviation
from dipops.study.statistics import mean as mean_of_scores

COLUMNS = {
    AVERAGE: "average",
    ANSWER: "answer",
    LAST: "last output",
    STOPPED: "stopped without ground truth",
    DEBIASED: "answer, debiased",
    PROJECTED: "average, projected onto A x = y",
    ORACLE: "oracle: the answer's best step",
}
_EMPTY = "–"

Key = tuple[str, str]
"""A column and a metric."""
Scores = dict[str, dict[int, float]]
"""By image, then by seed."""


@dataclass(frozen=True)
class Table:
    """A table with its title and notes."""

    title: str
    notes: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table under its title and notes."""
        return f"## {self.title}\n\n{self.notes}\n\n{tables.markdown(self.heads, self.rows)}\n"

    def csv(self) -> str:
        """Heads and rows alone."""
        return tables.csv(self.heads, self.rows) + "\n"

    def latex(self) -> str:
        """The table, with its title and notes in a comment."""
        return f"% {self.title}: {self.notes}\n{tables.latex(self.heads, self.rows)}\n"


def runs_at(row: Experiment, config: RunConfig, runs: Mapping[Run, Record]) -> dict[Run, Record]:
    """Those of an experiment that are of one configuration.

    Raises:
        BadValue: there is none.
    """
    chosen = {run: record for run, record in runs.items() if run.experiment == row.name and run.config == config}
    if not chosen:
        raise BadValue(f"no run of {row.name} at {config} by today's settings", "at least one", "run it with the same options")
    return chosen


def every_run(row: Experiment, runs: Mapping[Run, Record]) -> Table:
    """One row for each run, column and metric: what a table is made of."""
    rows = [
        [run.image, run.contestant, str(run.seed), str(run.config), column, metric, repr(value), str(record["seconds"])]
        for run, record in runs.items()
        for column, values in scores_of(record).items()
        for metric, value in values.items()
    ]
    heads = ["image", "system", "seed", "size", "column", "metric", "value", "seconds"]
    return Table(row.title, "every run", heads, rows)


def table(row: Experiment, config: RunConfig, runs: Mapping[Run, Record], store: Store, data: Path | None = None) -> Table:
    """The table of an experiment: each system that was run, then what is printed of others.

    With ``data`` there are rows of what is computed from the runs' images: the mean of several, fused and debiased ones.

    Raises:
        BadValue: no run is there.
    """
    runs = runs_at(row, config, runs)
    systems = {name: {run: record for run, record in runs.items() if run.contestant == name} for name in row.contestants}
    return table_of(row, config, systems | ({} if data is None else combined(row, runs, store, data)))


def table_of(row: Experiment, config: RunConfig, systems: Systems) -> Table:
    """The table of systems whose runs, or what stands for them, are known: by name, in the order of the table."""
    systems = {name: own for name, own in systems.items() if own}
    runs = {run: record for name in row.contestants for run, record in systems.get(name, {}).items()}
    systems |= {name: {} for name in row.printed if name not in systems and config.is_full_size}
    heads, names = _score_heads(runs), {run.image for run in runs}
    lines = [_line(row, config, name, own, heads, names) for name, own in systems.items()]
    oracle = [head for (column, _), head in heads.items() if column == ORACLE]
    ours = [head for head in heads.values() if head not in oracle]
    order = ["system", "printed", *ours, "ours - printed", "seconds", *oracle]
    filled = [head for head in order if any(line.get(head) for line in lines)]
    rows = [[line.get(head) or _EMPTY for head in filled] for line in lines]
    is_debiased = any(head in filled for (column, _), head in heads.items() if column == DEBIASED)
    return Table(row.title, _notes(row, config, runs, is_debiased), filled, rows)


def _score_heads(runs: Mapping[Run, Record]) -> dict[Key, str]:
    """Heads by column and metric, in the order of the table; they name the metric where there are several."""
    metrics = _metrics(runs)
    return {
        (column, metric): f"{head}, {metric}" if len(metrics) > 1 else head
        for column, head in COLUMNS.items()
        for metric in metrics
    }


def _metrics(runs: Mapping[Run, Record]) -> list[str]:
    scores = (scores for record in runs.values() for scores in record["scores"].values())
    return list(dict.fromkeys(metric for by_metric in scores for metric in by_metric))


def _line(
    row: Experiment, config: RunConfig, name: str, runs: Mapping[Run, Record], heads: Mapping[Key, str], images: Collection[str]
) -> dict[str, str]:
    """The cells of one system by their heads: of its runs, or only what is printed of it.

    What is printed is of the images that the system was run on, and compared with ours where it is of the same images. Nothing
    printed is shown beside a smaller version.
    """
    scores, seeds = _by_key(runs), Counter(run.image for run in runs)
    label, covered = next((run.contestant for run in runs), name), seeds or images
    figures = row.printed.get(name, {}) if config.is_full_size else {}
    printed = {column: mean_over(figure, covered) for column, figure in figures.items()}
    columns = {column: f" ({COLUMNS[column]})" if len(printed) > 1 else "" for column in printed}
    is_same = all(row.prints_for(figure, covered) for figure in figures.values())
    return {
        "system": label + _missing(seeds, images),
        "printed": ", ".join(f"{value:.2f}{columns[column]}" for column, value in printed.items()),
        **{heads[key]: _mean_and_deviation(by_image) for key, by_image in scores.items()},
        "ours - printed": _differences(printed, scores, row.metric) if is_same else "",
        "seconds": _seconds(mean(record["seconds"] for record in runs.values())) if runs else "published",
    }


def _by_key(runs: Mapping[Run, Record]) -> dict[Key, Scores]:
    scores: dict[Key, Scores] = defaultdict(lambda: defaultdict(dict))
    for run, record in runs.items():
        for column, values in scores_of(record).items():
            for metric, value in values.items():
                scores[column, metric][run.image][run.seed] = value
    return scores


def _mean_and_deviation(scores: Scores) -> str:
    """The mean, and over the seeds that every image has the standard deviation of the mean over the images."""
    spread = deviation(scores)
    return f"{mean_of_scores(scores):.2f}{'' if spread is None else f' ± {spread:.2f}'}"


def _differences(printed: Mapping[str, float], scores: Mapping[Key, Scores], metric: str | None) -> str:
    """Ours minus each printed figure, in its column; one figure without a column of ours is compared with our answer."""
    ours = {column: mean_of_scores(by_image) for (column, name), by_image in scores.items() if name == metric}
    if len(printed) == 1 and ours:
        ours = dict.fromkeys(printed, next(iter(ours.values()))) | ours
    return ", ".join(f"{ours[column] - value:+.2f}" for column, value in printed.items() if column in ours)


def _missing(seeds: Mapping[str, int], images: Collection[str]) -> str:
    """What a system lacks against the others."""
    if seeds and len(seeds) < len(images):
        return f" ({len(seeds)} of these images)"
    return " (not every image with every seed)" if len(set(seeds.values())) > 1 else ""


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"


def _notes(row: Experiment, config: RunConfig, runs: Mapping[Run, Record], is_debiased: bool) -> str:
    records, metrics = runs.values(), " and ".join(_metrics(runs))
    images, seeds = len({run.image for run in runs}), len({run.seed for run in runs})
    seeds_text = f"up to {seeds} seeds, ± their deviation" if seeds > 1 else "one seed"
    parts = [f"Means of {metrics} over" if metrics else "Without a score, see the figure:"]
    parts += [f"{images} of {len(row.images)} images, {seeds_text}; {config}."]
    if not config.is_full_size:
        parts += ["This is a smaller version: its figures are not to be compared with the printed ones."]
    if any(record["facts"].get("stops") for record in records):
        parts += ["Runs with a stop of their own end there, and so does what the oracle sees."]
    if is_debiased:
        parts += ["Debiased: σ and that the noise was clipped are known; the other columns are blind to the clipping."]
    machines = " and on ".join(sorted({machine(record) for record in records}))
    return " ".join([*parts, f"Source: {row.source}. Run on {machines}, with {versions(records)}."])
