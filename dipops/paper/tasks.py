"""One run of the paper's: which experiment, picture, contestant and seed, how large, and what comes of it."""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dipops._tools.files import environment
from dipops.errors import BadValue, nearest
from dipops.paper.contestants import ANSWER, Contestant, Effort, Outcome
from dipops.paper.experiments import EXPERIMENTS, OBJECTIVE, Experiment, experiment
from dipops.problem import Problem
from dipops.recipes import Variant

ALL = "all"


@dataclass(frozen=True)
class Size:
    """How much of the paper's experiment is run.

    Attributes:
        crop: sides are cut to at most so many pixels, the middle; None leaves them.
        steps: as a part of the recipe's.
        variant: the paper's settings or the light ones.

    Raises:
        BadValue: the crop is under 32 pixels, or steps not above 0 and up to 1.
    """

    crop: int | None = None
    steps: float = 1.0
    variant: Variant = Variant.PAPER

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop < 32:
            raise BadValue(f"a crop of {self.crop}", "at least 32 pixels", "the paper's pictures have 256 and more")
        if not 0 < self.steps <= 1:
            raise BadValue(f"{self.steps} of the steps", "a part above 0 and up to 1", "0.1 makes a tenth of them")

    @property
    def whole(self) -> bool:
        """Whether this is the paper's own size."""
        return self == Size()

    def __str__(self) -> str:
        parts = ["the whole pictures" if self.crop is None else f"crops of {self.crop} pixels"]
        parts.append("all steps" if self.steps == 1 else f"{100 * self.steps:g}% of the steps")
        parts.append("the paper's settings" if self.variant is Variant.PAPER else "light settings where there are any")
        return ", ".join(parts)

    @property
    def options(self) -> str:
        """As the command line takes it."""
        crop = "" if self.crop is None else f" --crop {self.crop}"
        steps = "" if self.steps == 1 else f" --steps {self.steps:g}"
        return f"{crop}{steps}{' --light' if self.variant is Variant.LIGHT else ''}"


@dataclass(frozen=True)
class Task:
    """One run, by names and numbers alone, so that another machine can make it.

    Attributes:
        experiment, case, contestant: their names.
        seed: of everything random.
        size: how much of it.
    """

    experiment: str
    case: str
    contestant: str
    seed: int
    size: Size

    @property
    def key(self) -> str:
        """A file's name: the names, and a digest of all that the result depends on."""
        settings = experiment(self.experiment).contestants[self.contestant].settings(self.size.variant)
        text = json.dumps({**self.values(), "settings": settings}, sort_keys=True)
        name = re.sub(r"[^a-z0-9]+", "-", f"{self.experiment}-{self.case}-{self.contestant}".lower())
        return f"{name}-{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def values(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "size": {**asdict(self.size), "variant": self.size.variant.value}}

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Task":
        """The task of which these are the values."""
        size = values["size"]
        return cls(**{**values, "size": Size(size["crop"], size["steps"], Variant(size["variant"]))})


def plan(
    names: Sequence[str],
    seeds: int,
    size: Size,
    layers: Iterable[str] | None = None,
    contestants: Iterable[str] | None = None,
    pictures: int | None = None,
) -> list[Task]:
    """All runs of some experiments; in each, first what draws nothing at random, which is quick.

    Args:
        names: of experiments; "all" among them means every one.
        seeds: runs of each contestant that draws at random.
        size: how much of each.
        layers: of the pre-images, only these.
        contestants: only these.
        pictures: of each experiment only the first so many.

    Raises:
        BadValue: an experiment, a layer or a contestant is unknown, or nothing is left.
    """
    chosen = list(EXPERIMENTS.values()) if ALL in names else [experiment(name) for name in names]
    known_layers = {_layer(name) for name in experiment("preimage").contestants}
    for layer in layers or ():
        if layer not in known_layers:
            raise BadValue(f"layer {layer!r}", f"some of {', '.join(sorted(known_layers))}", "look at --layers")
    known = {name for row in chosen for name in row.contestants}
    for name in contestants or ():
        if name not in known:
            advice = f"the nearest are {nearest(name, known)}"
            raise BadValue(f"system {name!r}", "one that takes part in the experiments", advice)
    tasks = [
        Task(row.name, case.name, name, seed, size)
        for row in chosen
        for name, contestant in sorted(row.contestants.items(), key=lambda item: item[1].random)
        if _wanted(row, name, layers, contestants)
        for seed in range(seeds if contestant.random else 1)
        for case in row.cases[:pictures]
    ]
    if not tasks:
        raise BadValue("nothing to run", "a contestant that the experiment has", "see dipops paper list")
    return tasks


def perform(task: Task, data: Path, place: str = "cpu", progress: bool = False) -> tuple[dict[str, Any], Tensor]:
    """Make a run: its record, and the picture that is its answer (1, C, H, W).

    Raises:
        BadFile: a picture or a file of weights is missing or another one.
    """
    row = experiment(task.experiment)
    case = row.case(task.case)
    problem = row.posed(task.case, data, task.size.crop).to(torch.device(place))
    contestant: Contestant = row.contestants[task.contestant]
    started = time.perf_counter()
    outcome = contestant.restore(problem, Effort(data, task.size.variant, task.size.steps, task.seed, progress))
    record = {
        "task": task.values(),
        "settings": contestant.settings(task.size.variant),
        "pictures": case.digest(data),
        "operator": repr(problem.operator),
        "scores": _scores(row, problem, outcome),
        "facts": outcome.facts,
        "seconds": round(time.perf_counter() - started, 3),
        "shape": list(problem.operator.in_shape),
        "device": place,
        "environment": environment(),
    }
    return record, next(iter(outcome.pictures.values())).cpu()


def _scores(row: Experiment, problem: Problem, outcome: Outcome) -> dict[str, dict[str, float]]:
    """By column, then by metric."""
    found = {ANSWER: dict(outcome.scores)} if outcome.scores else {}
    if row.metric == OBJECTIVE:
        found[ANSWER] = {OBJECTIVE: outcome.facts["curves"][OBJECTIVE]["value"][-1]}
    if row.score is None or problem.truth is None:
        return found
    for column, picture in outcome.pictures.items():
        found.setdefault(column, {})[row.metric] = float(row.score(picture.clamp(0, 1), problem.truth))
    return found


def _wanted(row: Experiment, name: str, layers: Iterable[str] | None, contestants: Iterable[str] | None) -> bool:
    if contestants is not None and name not in contestants:
        return False
    return row.name != "preimage" or layers is None or _layer(name) in layers


def _layer(inverted: str) -> str:
    """Of a contestant's name for pre-images."""
    return inverted.partition(",")[0]
