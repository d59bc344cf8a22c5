"""What competes in an experiment: a recipe, a convex prior at its best weight, or a function of a library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor

from dipops._tools.fingerprints import description
from dipops.classical import require_packages
from dipops.contestants import ANSWER, AVERAGE, LAST, ORACLE, STOPPED, BestWeight, followed
from dipops.errors import BadFile
from dipops.methods import project
from dipops.paper.config import RunConfig
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.recipes import VARIANCE, Recipe, Settings, debiased, limit
from dipops.solver import Result
from dipops.solver.corrections import is_exact
from dipops.tune import Tuned

PROJECTED, DEBIASED = "projected", "debiased"
_POINTS = 200


@dataclass(frozen=True)
class Outcome:
    """What a contestant made of one problem.

    Attributes:
        images: by column of the table, each (1, C, H, W). The first is the answer, which is kept as a file.
        facts: plain values for the record.
        scores: figures by name, where the contestant knows them itself.
    """

    images: Mapping[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


Restore = Callable[[Problem, RunConfig, int, Path, bool], Outcome]
"""Solves a problem (a batch of one), given how much to run, a seed, the data folder, and whether to show bars."""


@dataclass(frozen=True)
class Contestant:
    """Anything that makes an image of a problem.

    Attributes:
        restore: makes it.
        settings: all that the result depends on besides problem and seed, as one text: another text is another run.
        is_random: whether the seed matters.
        packages: modules that must be installed.
        weights: files that must be in the folder ``weights`` of the data.
    """

    restore: Restore
    settings: Callable[[Settings], str]
    is_random: bool = False
    packages: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    def require(self, data: Path) -> None:
        """Raise BadValue if a package is not installed, or BadFile if a file of weights is missing."""
        require_packages(*self.packages)
        for path in (data / "weights" / name for name in self.weights):
            if not path.is_file():
                raise BadFile(f"no file {path}", f"the weights of {path.name}", "put it there, or leave the experiment out")


def by_recipe(recipe_of: Callable[[Settings], Recipe]) -> Contestant:
    """A recipe. Its columns are the average, the last output, what a stop without the ground truth keeps, and the oracle.

    The stop only observes: all steps are made, unless the recipe itself has a stop, whose image then is the answer. A stop that
    has kept nothing by the end gets the image of the end. Where y has no noise and A is linear there is one more column, the
    average projected onto A x = y; where the noise is clipped one of the answer debiased.

    Args:
        recipe_of: the recipe of given settings.
    """

    def restore(problem: Problem, config: RunConfig, seed: int, data: Path, progress: bool) -> Outcome:
        recipe = replace(recipe_of(config.settings).at(problem), projects=False, debiases=False, adapt=None)
        result, columns = followed(problem, recipe, seed, config.steps_of(recipe.steps), progress)
        names = [ANSWER, ORACLE]
        if result.average is not None:
            names = [AVERAGE, LAST, STOPPED, ORACLE]
            if recipe.callbacks:
                names = [STOPPED, *names]  # the answer is first
        images = {name: columns[name][0] for name in names if name in columns}
        steps = {name: columns[name][1] for name in (STOPPED, ORACLE) if name in images}
        images |= projected(problem, next(iter(images.values()))) | _debiased(problem, result)
        curves = {name: _thin(curve[:, 0]) for name, curve in result.trace.items()}
        facts = {"steps": result.steps, "ended": result.message, "at": steps, "curves": curves}
        return Outcome(images, {**facts, "stops": bool(recipe.callbacks)})

    def describe(settings: Settings) -> str:
        observed = f"observed by the discrepancy where there is noise, else by {VARIANCE!r}"
        recipe = recipe_of(settings)
        return f"{recipe!r}, adapted by {description(recipe.adapt)}, {observed}, debiased where it is clipped"

    return Contestant(restore, describe, is_random=True)


def by_weight(prior_of_weight: Callable[[float], Prior], name: str) -> Contestant:
    """A convex prior at its best weight: SURE's where there is noise, else in the limit Ax = y, in a share of its steps.

    Where the noise is clipped there is one more column, of the answer debiased.
    """

    def restore(problem: Problem, config: RunConfig, seed: int, data: Path, progress: bool) -> Outcome:
        best = BestWeight(prior_of_weight).at(problem, seed)
        recipe = replace(best.recipe, debiases=False) if isinstance(best, Tuned) else best
        steps = None if isinstance(best, Tuned) else config.steps_of(recipe.steps)
        result = recipe.solve(problem, seed, steps, progress=False)
        facts = {"prior": repr(recipe.prior), "steps": result.steps, "ended": result.message}
        return Outcome({ANSWER: result.image, **_debiased(problem, result)}, facts)

    text = f"{name}, weight by SURE, or without noise {limit(prior_of_weight)!r}, debiased where the noise is clipped"
    return Contestant(restore, lambda settings: text)


def by_library(function: Callable[..., Tensor], *packages: str) -> Contestant:
    """A function of ``dipops.classical``; the defaults of its arguments are its settings."""
    _, *parameters = signature(function).parameters.values()
    text = ", ".join([function.__name__, *(f"{parameter.name} = {parameter.default}" for parameter in parameters)])

    def restore(problem: Problem, *unused: object) -> Outcome:
        return Outcome({ANSWER: function(problem).to(problem.y)})

    return Contestant(restore, lambda settings: text, packages=packages)


def projected(problem: Problem, image: Tensor) -> dict[str, Tensor]:
    """The nearest image that satisfies Ax = y, where y has no noise and A is linear."""
    return {PROJECTED: project(problem, image)} if is_exact(problem) else {}


def _debiased(problem: Problem, result: Result) -> dict[str, Tensor]:
    """The answer corrected for clipped noise, where it is clipped."""
    corrected = debiased(problem, result)
    return {DEBIASED: corrected.image} if bool(corrected.debiased.all()) else {}


def _thin(curve: Tensor) -> dict[str, list[float]]:
    """At most 200 points of a curve over its steps, counted from 1, without steps in which nothing was measured."""
    every = max(len(curve) // _POINTS, 1)
    points = [(step, value) for step, value in enumerate(curve.tolist(), 1) if step % every == 0 and isfinite(value)]
    return {"step": [step for step, _ in points], "value": [value for _, value in points]}
