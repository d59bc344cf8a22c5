"""What competes in an experiment: a recipe with every column of a fair table, a convex prior at its best weight, a library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from dipops.classical import require_packages
from dipops.methods.projection import project
from dipops.operators.interface import LinearOperator
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.recipes import VARIANCE, Recipe, Variant
from dipops.solver.solve import solve
from dipops.stopping.averages import Average
from dipops.stopping.discrepancy import Residual
from dipops.stopping.interface import StopRule
from dipops.stopping.oracle import Observed, Oracle
from dipops.tune import SURE, Limit, tune

ANSWER, LAST, AVERAGE, STOPPED, PROJECTED, ORACLE = "answer", "last", "average", "stopped", "projected", "oracle"
_POINTS = 200


@dataclass(frozen=True)
class Outcome:
    """What a contestant made of one problem.

    Attributes:
        pictures: by column: what it is judged by, each (1, C, H, W). The first is the answer that is kept as a file.
        facts: plain values for the record.
        scores: figures that the contestant knows by itself, by their names.
    """

    pictures: Mapping[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Effort:
    """How much of the paper's effort a run makes.

    Attributes:
        data: the folder of pictures and weights.
        variant: the paper's settings or the light ones.
        steps: as a part of the recipe's steps.
        seed: of everything random.
        progress: whether bars are shown.
    """

    data: Path
    variant: Variant = Variant.PAPER
    steps: float = 1.0
    seed: int = 0
    progress: bool = False

    def of(self, steps: int) -> int:
        """That part of a number of steps, at least one."""
        return max(round(self.steps * steps), 1)


class Contestant(Protocol):
    """Anything that makes a picture of a problem."""

    random: bool

    def settings(self, variant: Variant) -> str:
        """All that its result depends on beside problem and seed, as one text: another text is another run."""
        ...

    def require(self, data: Path) -> None:
        """Refuse a run for which something is not installed, or not in the folder ``data``."""
        ...

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        """Solve the problem (a batch of one)."""
        ...


@dataclass(frozen=True)
class ByRecipe:
    """A recipe. Its columns are the average, the last output, what a stop without the truth keeps, and the oracle's.

    The stop looks on: all steps are made, unless the recipe itself has a stop. One that has not kept anything by the end is
    charged what there is then. Where y has no noise and A is linear there is one more column, the average moved to the nearest
    picture that explains y wholly.

    Attributes:
        recipe: of a variant.
    """

    recipe: Callable[[Variant], Recipe]
    random = True

    def settings(self, variant: Variant) -> str:
        return f"{self.recipe(variant)!r}, watched by the residual where there is noise, else by {VARIANCE!r}"

    def require(self, data: Path) -> None:
        pass

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        recipe = self.recipe(effort.variant)
        averaged = any(isinstance(one, Average) for one in recipe.monitors)
        obeyed = any(isinstance(one, StopRule) for one in recipe.monitors)
        stop = Observed(Residual(problem.sigma) if problem.sigma else VARIANCE)
        oracle = Oracle() if problem.truth is not None else None
        watching = [*([stop] if averaged and not obeyed else []), *([oracle] if oracle else [])]
        result = solve(
            problem,
            recipe.prior,
            recipe.method,
            steps=effort.of(recipe.steps),
            seed=effort.seed,
            monitors=[*recipe.monitors, *watching],
            progress=effort.progress,
        )
        pictures = {ANSWER: result.image} if result.average is None else {AVERAGE: result.average, LAST: result.last}
        at = {}
        if stop in watching and int(stop.at):
            pictures[STOPPED], at[STOPPED] = stop.kept, int(stop.at)
        elif averaged:
            pictures[STOPPED], at[STOPPED] = result.image, int(result.at)
        if oracle:
            pictures[ORACLE], at[ORACLE] = oracle.kept, int(oracle.at)
        if problem.sigma == 0 and isinstance(problem.operator, LinearOperator):
            pictures[PROJECTED] = project(problem.operator, next(iter(pictures.values())), problem.y)
        curves = {name: _thin(curve[:, 0]) for name, curve in result.trace.items()}
        return Outcome(pictures, {"steps": result.steps, "ended": result.stopped, "stops": obeyed, "at": at, "curves": curves})


@dataclass(frozen=True)
class Convex:
    """A convex prior at its best weight: SURE's where there is noise, else the limit Ax = y, in a part of its steps."""

    prior: Callable[[float], Prior]
    name: str
    random = False

    def settings(self, variant: Variant) -> str:
        return f"{self.name}, weight by SURE, or without noise {Limit().recipe(self.prior)!r}"

    def require(self, data: Path) -> None:
        pass

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        if problem.sigma:
            tuned = tune(problem, self.prior, SURE(problem.sigma), seed=effort.seed, progress=False)
            recipe, result = tuned.recipe, tuned.result
        else:
            recipe = Limit().recipe(self.prior)
            result = recipe.solve(problem, effort.seed, effort.of(recipe.steps), progress=False)
        return Outcome({ANSWER: result.image}, {"prior": repr(recipe.prior), "steps": result.steps, "ended": result.stopped})


@dataclass(frozen=True)
class ByLibrary:
    """A function of problem to picture, and the packages that it needs.

    Attributes:
        function: one of ``comparators``; the defaults of its arguments are its settings.
        packages: modules that must be there.
    """

    function: Callable[..., Tensor]
    packages: tuple[str, ...]
    random = False

    def settings(self, variant: Variant) -> str:
        chosen = {name: one.default for name, one in signature(self.function).parameters.items() if name != "problem"}
        return self.function.__name__ + "".join(f", {name} = {value}" for name, value in chosen.items())

    def require(self, data: Path) -> None:
        require_packages(*self.packages)

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        return Outcome({ANSWER: self.function(problem).to(problem.y)})


def _thin(curve: Tensor) -> dict[str, list[float]]:
    """At most 200 points of a curve over its steps, counted from 1; steps in which nothing was measured are left out."""
    every = max(len(curve) // _POINTS, 1)
    points = [(index, value) for index, value in enumerate(curve.tolist(), 1) if index % every == 0 and isfinite(value)]
    return {"step": [index for index, _ in points], "value": [value for _, value in points]}
