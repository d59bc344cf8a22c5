"""One run of the paper: which experiment, image, contestant and seed, how much of it, and what its record says."""

import hashlib
import json
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from dipops.errors import BadFile, BadValue, first_line
from dipops.paper.config import RunConfig
from dipops.paper.contestants import ANSWER, Outcome
from dipops.paper.data import PaperImage, require_images
from dipops.paper.experiments import EXPERIMENTS, OBJECTIVE, Experiment, experiment, require_known
from dipops.problem import Problem
from dipops.study import Record, Store, Task, machine, scores_of, versions

ALL = "all"


@dataclass(frozen=True)
class Run:
    """One run, by names and numbers alone.

    Attributes:
        experiment, image, contestant: their names.
        seed: of everything random.
        config: how much of the experiment is run.
    """

    experiment: str
    image: str
    contestant: str
    seed: int
    config: RunConfig

    @property
    def key(self) -> str:
        """A file name: the names, and a digest of all that the result depends on."""
        settings = experiment(self.experiment).contestants[self.contestant].settings(self.config.settings)
        text = json.dumps({**asdict(self), "settings": settings}, sort_keys=True)
        name = re.sub(r"[^a-z0-9]+", "-", f"{self.experiment}-{self.image}-{self.contestant}".lower())
        return f"{name}-{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Run":
        """The run that has these values."""
        return cls(**{**values, "config": RunConfig(**values["config"])})


def plan(
    names: Sequence[str],
    seeds: int,
    config: RunConfig,
    layers: Collection[str] | None = None,
    contestants: Collection[str] | None = None,
    images: int | None = None,
) -> list[Run]:
    """All runs of some experiments; in each, first the runs that draw nothing at random, which are quick.

    Args:
        names: of experiments; "all" among them means every one.
        seeds: runs of each contestant that draws at random.
        config: how much of each experiment is run.
        layers: of the pre-images, only these.
        contestants: only these.
        images: of each experiment only the first so many.

    Raises:
        BadValue: an experiment, a layer or a contestant is unknown, or nothing is left.
    """
    chosen = list(EXPERIMENTS.values()) if ALL in names else [experiment(name) for name in names]
    require_known("layer", layers or (), {_layer(name) for name in experiment("preimage").contestants})
    require_known("system", contestants or (), {name for row in chosen for name in row.contestants})
    runs = [
        Run(row.name, image.name, name, seed, config)
        for row in chosen
        for name, contestant in sorted(row.contestants.items(), key=lambda item: item[1].is_random)
        if contestants is None or name in contestants
        if layers is None or row.name != "preimage" or _layer(name) in layers
        for seed in range(seeds if contestant.is_random else 1)
        for image in row.images[:images]
    ]
    if not runs:
        raise BadValue("nothing to run", "a system that the experiment has", "see dipops paper list")
    return runs


def require_runnable(runs: Sequence[Run], data: Path) -> None:
    """Raise BadFile if images or weights are missing, or BadValue if a package is not installed, before anything is run."""
    require_images(data, _images_of(runs).values())
    for run in runs:
        experiment(run.experiment).contestants[run.contestant].require(data)


def tasks(runs: Sequence[Run], data: Path) -> list[Task]:
    """The tasks that make these runs from the files of a folder."""
    data = data.resolve()
    digests = {names: image.digest(data) for names, image in _images_of(runs).items()}
    return [
        Task(
            key=run.key,
            label=f"{run.experiment}: {run.image}, {run.contestant}",
            inputs=digests[run.experiment, run.image],
            perform=partial(perform, run, data),
        )
        for run in runs
    ]


def perform(run: Run, data: Path, target: str = "cpu", progress: bool = False) -> tuple[Record, Tensor]:
    """Make a run: its record, and the image (1, C, H, W) that is its answer.

    Raises:
        BadFile: an image or a file of weights is missing or differs.
    """
    row = experiment(run.experiment)
    problem = row.problem_for(run.image, data, run.config.crop).to(target)
    contestant = row.contestants[run.contestant]
    started = time.perf_counter()
    outcome = contestant.restore(problem, run.config, run.seed, data, progress)
    record = {
        "run": asdict(run),
        "settings": contestant.settings(run.config.settings),
        "operator": repr(problem.operator),
        "shape": list(problem.operator.in_shape),
        "scores": _scores(row, problem, outcome),
        "facts": outcome.facts,
        "seconds": round(time.perf_counter() - started, 3),
    }
    return record, next(iter(outcome.images.values()))


def finished(row: Experiment, store: Store) -> dict[Run, Record]:
    """The records of an experiment's runs, in the order of their seeds, without those of other settings than today's."""
    runs = {}
    for key in store.runs():
        record = store.record(key)
        run = _run_of(record, store.folder / key)
        if run.experiment == row.name and run.contestant in row.contestants and run.key == key:
            runs[run] = record
    return {run: runs[run] for run in sorted(runs, key=lambda run: run.seed)}


def _run_of(record: Record, path: Path) -> Run:
    """The run of a record, or BadFile where the record is not as ``Task.run`` makes it."""
    try:
        _ = scores_of(record), machine(record), versions([record])
        return Run.of(record["run"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        came = f"{path}.json has missing or wrong fields ({first_line(error)})"
        raise BadFile(came, "a record of dipops paper run", "delete it to make the run again") from error


def _images_of(runs: Sequence[Run]) -> dict[tuple[str, str], PaperImage]:
    """The images of runs by the names of experiment and image."""
    return {(run.experiment, run.image): experiment(run.experiment).image(run.image) for run in runs}


def _scores(row: Experiment, problem: Problem, outcome: Outcome) -> dict[str, dict[str, float]]:
    """The scores by column, then by metric."""
    if row.metric == OBJECTIVE:
        return {ANSWER: {OBJECTIVE: outcome.facts["curves"][OBJECTIVE]["value"][-1]}}
    if row.score is None or problem.truth is None:
        return {ANSWER: dict(outcome.scores)} if outcome.scores else {}
    assert row.metric is not None
    return {
        column: {row.metric: float(row.score(image.clamp(0, 1), problem.truth))} for column, image in outcome.images.items()
    }


def _layer(contestant: str) -> str:
    """The layer in the name of a contestant for pre-images."""
    return contestant.partition(",")[0]
