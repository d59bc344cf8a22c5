"""The weight of a prior, chosen by a rule, with the whole path as data."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from math import log10
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue, require_positive
from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.default import default_method
from dipops.methods.interface import Method
from dipops.methods.primal_dual import PrimalDual
from dipops.metrics import psnr
from dipops.operators.interface import LinearOperator
from dipops.priors.interface import PixelPrior, Prior
from dipops.priors.proximal import ProximalPrior
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.result import Result
from dipops.solver.solve import solve
from dipops.solver.trace import progress_bar
from dipops.stopping import Monitor, Tolerance

_GRID_PER_DECADE = 3
_REFINEMENTS = 3
_EXTENSIONS = 4
_ALIKE = Tolerance(change=2e-6)  # SURE takes the difference of two solutions, which a gap of 1e-4 would drown
_LIMIT_WEIGHT = 0.01  # under a constraint its size is indifferent; this one makes the dual variables alike in size


@dataclass(frozen=True)
class Point:
    """One weight that was tried.

    Attributes:
        weight: of the penalty.
        objective: the minimum that was reached, the mean over the batch; for Limit, R(x) over the weight.
        residual: root mean square of A(x) - y over what was measured, in image units.
        penalty: R(x) over the weight, the mean over the batch.
        estimate: what the rule makes of it, such as SURE's estimate of the mean squared error; NaN where it makes nothing.
        psnr: in dB, where the truth is known; only Oracle looks at it.
    """

    weight: float
    objective: float
    residual: float
    penalty: float
    estimate: float
    psnr: float | None


class Rule(Protocol):
    """Says which of several weights is best."""

    @property
    def uses_truth(self) -> bool:
        """Whether it looks at the truth, and so cannot be used in earnest."""
        ...

    def problem(self, problem: Problem) -> Problem:
        """The problem to solve at each weight; the first N members of its batch are the given ones."""
        ...

    def estimate(self, problem: Problem, images: Tensor) -> float:
        """What to record for the solution of ``self.problem(problem)`` at one weight."""
        ...

    def scores(self, path: Sequence[Point]) -> list[float]:
        """One figure for each point of a path of rising weights; the smallest is best."""
        ...


class _Plain:
    """What most rules share: they solve the problem as it is."""

    uses_truth = False

    def problem(self, problem: Problem) -> Problem:
        return problem

    def estimate(self, problem: Problem, images: Tensor) -> float:
        return float("nan")


@dataclass(frozen=True)
class SURE:
    """Stein's unbiased estimate of the error of A(x), by one random direction: the fair rule where there is noise.

    Ramani, Blu and Unser, "Monte-Carlo SURE: a black-box optimization of regularization parameters", IEEE TIP 2008,
    equation 11. It needs σ and no truth, and solves each weight twice, in one batch.

    Attributes:
        sigma: standard deviation of the noise in image units.

    Raises:
        BadValue: sigma is not positive.
    """

    sigma: float
    uses_truth = False

    def __post_init__(self) -> None:
        _require_noise(self.sigma, "SURE")

    def problem(self, problem: Problem) -> Problem:
        truth = None if problem.truth is None else torch.cat([problem.truth] * 2)
        return replace(problem, y=torch.cat([problem.y, problem.y + self._probe(problem)]), truth=truth)

    def estimate(self, problem: Problem, images: Tensor) -> float:
        """(‖Ax - y‖² + 2 σ² div) / m - σ², an estimate of the mean squared error of Ax."""
        first, second = problem.operator(images).chunk(2)
        probe = self._probe(problem)
        divergence = float((probe * (second - first)).sum()) / float(probe[0].abs().max()) ** 2
        return (float((first - problem.y).square().sum()) + 2 * self.sigma**2 * divergence) / problem.y.numel() - self.sigma**2

    def scores(self, path: Sequence[Point]) -> list[float]:
        return [point.estimate for point in path]

    def _probe(self, problem: Problem) -> Tensor:
        """A direction of signs, a tenth of the noise long."""
        signs = torch.randint(0, 2, problem.y.shape, generator=stream(0, "SURE")).to(problem.y)
        return (2 * signs - 1) * (self.sigma / 10)


@dataclass(frozen=True)
class Discrepancy(_Plain):
    """Morozov's principle: the residual is as large as the noise. It tends to smooth too much.

    Attributes:
        sigma: standard deviation of the noise in image units.

    Raises:
        BadValue: sigma is not positive.
    """

    sigma: float

    def __post_init__(self) -> None:
        _require_noise(self.sigma, "the discrepancy principle")

    def scores(self, path: Sequence[Point]) -> list[float]:
        return [abs(log10(max(point.residual, 1e-30) / self.sigma)) for point in path]


@dataclass(frozen=True)
class LCurve(_Plain):
    """The corner of the curve of log penalty against log residual. It needs neither truth nor σ.

    Hansen, "Analysis of discrete ill-posed problems by means of the L-curve", SIAM Review 1992.
    """

    def scores(self, path: Sequence[Point]) -> list[float]:
        """Minus the curvature along the path, positive at the corner; infinite at the two ends."""
        along = np.log([point.weight for point in path])
        x, y = (np.log(np.maximum(values, 1e-30)) for values in ([p.residual for p in path], [p.penalty for p in path]))
        dx, dy = np.gradient(x, along), np.gradient(y, along)
        ddx, ddy = np.gradient(dx, along), np.gradient(dy, along)
        curvature = (dx * ddy - dy * ddx) / np.maximum(dx**2 + dy**2, 1e-30) ** 1.5
        return [float("inf"), *(-curvature[1:-1]).tolist(), float("inf")]


@dataclass(frozen=True)
class Oracle(_Plain):
    """The best PSNR: it needs the truth, so it is a yardstick and no method."""

    uses_truth = True

    def problem(self, problem: Problem) -> Problem:
        if problem.truth is None:
            raise BadValue(
                "Oracle without a truth", "a problem with its truth", "use SURE(sigma), Discrepancy(sigma) or LCurve()"
            )
        return problem

    def scores(self, path: Sequence[Point]) -> list[float]:
        return [float("inf") if point.psnr is None else -point.psnr for point in path]


@dataclass(frozen=True)
class Limit:
    """The limit of a vanishing weight, for noise-free problems: the smallest penalty among all x with Ax = y."""

    uses_truth = False

    def recipe(self, prior_of_weight: Callable[[float], Prior], monitors: Sequence[Monitor] = ()) -> Recipe:
        """What solves it; there is nothing to try.

        Args:
            prior_of_weight: such as TotalVariation.
            monitors: as for ``solve``.
        """
        method = PrimalDual(exact=True)
        return Recipe(prior_of_weight(_LIMIT_WEIGHT), method, method.steps, monitors, "the limit of a vanishing weight, Ax = y")


@dataclass(frozen=True)
class Tuned:
    """What ``tune`` found.

    Attributes:
        weight: the chosen one; 0 for Limit.
        result: of the solve at that weight.
        path: every point that was tried, by rising weight.
        rule: the rule.
        recipe: prior, method and stop rule at that weight, for ``compare`` or another solve; its source says by which rule,
            and whether the weight lies at an end of the path.
    """

    weight: float
    result: Result
    path: tuple[Point, ...]
    rule: Rule | Limit
    recipe: Recipe = field(repr=False)

    @property
    def uses_truth(self) -> bool:
        """Whether the rule looked at the truth."""
        return self.rule.uses_truth


def tune(
    problem: Problem,
    prior_of_weight: Callable[[float], Prior],
    rule: Rule | Limit,
    *,
    method: Method | None = None,
    weights: tuple[float, float] = (1e-3, 1.0),
    monitors: Sequence[Monitor] = (),
    seed: int = 0,
    progress: bool = True,
) -> Tuned:
    """Solve a problem over a path of weights and choose one by a rule.

    A grid of weights, three a decade, from the largest down, each started from the last; then the space around the best is
    halved three times. Where the best lies at an end the path goes on beyond it.

    Args:
        problem: a batch is tuned together, to one weight.
        prior_of_weight: makes the prior of a weight, such as ``TotalVariation`` itself.
        rule: SURE(sigma), Discrepancy(sigma), LCurve(), Limit(), or Oracle() as a yardstick.
        method: as for ``solve``.
        weights: the smallest and the largest of the grid.
        monitors: as for ``solve``.
        seed: as for ``solve``.
        progress: whether to show a bar of the weights.

    Raises:
        BadValue: the weights are not positive and rising, or the rule lacks something (a truth).
        BadType: Limit with an operator that is not linear or a prior without a prox.
    """
    low, high = weights
    if not 0 < low < high < float("inf"):
        raise BadValue(f"weights = {weights}", "two positive numbers, rising", "the default is (1e-3, 1)")
    if isinstance(rule, Limit):
        if method is not None:
            raise BadValue(f"Limit by {method!r}", "no method, for it is PrimalDual(exact=True)", "leave method out")
        return _limit(problem, prior_of_weight, monitors, seed, progress)
    count = max(round(_GRID_PER_DECADE * log10(high / low)) + 1, 3)
    with progress_bar(count + 2 * _REFINEMENTS + 1, progress, "weight") as bar:
        path = _Path(problem, prior_of_weight, rule, method, monitors, seed, bar)
        for weight in np.geomspace(high, low, count):
            path.visit(float(weight))
        path.extend(10 ** (1 / _GRID_PER_DECADE))
        for _ in range(_REFINEMENTS):
            path.halve()
        return path.chosen()


class _Path:
    """The weights tried so far."""

    def __init__(
        self,
        problem: Problem,
        prior_of_weight: Callable[[float], Prior],
        rule: Rule,
        method: Method | None,
        monitors: Sequence[Monitor],
        seed: int,
        bar: Any,
    ) -> None:
        self._problem, self._solved, self._prior_of_weight, self._rule = problem, rule.problem(problem), prior_of_weight, rule
        self._method, self._monitors, self._seed, self._bar = method, monitors, seed, bar
        self._points: dict[float, Point] = {}
        self._images: dict[float, Tensor] = {}

    def visit(self, weight: float) -> None:
        """Solve at one weight, from the solution at the nearest one."""
        prior = self._prior_of_weight(weight)
        if isinstance(self._rule, SURE) and not isinstance(prior, PixelPrior):
            raise BadType(f"SURE with {prior!r}", "a prior on pixels", "use Discrepancy(sigma) for a generator")
        if self._images and isinstance(prior, PixelPrior):
            nearest = min(self._images, key=lambda other: abs(log10(other / weight)))
            prior.initial = self._images[nearest]
        method = self._method or default_method(self._solved, prior)
        monitors = self._monitors
        if isinstance(self._rule, SURE) and not monitors and isinstance(method, PrimalDual | ConjugateGradient):
            monitors = (_ALIKE,)
        result = solve(self._solved, prior, method, monitors=monitors, seed=self._seed, progress=False)
        self._images[weight] = result.image
        self._points[weight] = _point(self._problem, prior, weight, result, self._rule)
        self._bar.update()

    def extend(self, ratio: float) -> None:
        """Go on beyond an end while the best lies there."""
        for _ in range(_EXTENSIONS):
            path, best = self._ranked()
            if 0 < best < len(path) - 1:
                return
            self._bar.total += 1
            self.visit(path[0].weight / ratio if best == 0 else path[-1].weight * ratio)

    def halve(self) -> None:
        """Try the geometric means of the best weight and its neighbours."""
        path, best = self._ranked()
        for neighbour in (best - 1, best + 1):
            if 0 <= neighbour < len(path):
                self.visit((path[best].weight * path[neighbour].weight) ** 0.5)

    def chosen(self) -> Tuned:
        path, best = self._ranked()
        weight = path[best].weight
        prior = self._prior_of_weight(weight)
        method = self._method or default_method(self._problem, prior)
        end = "" if 0 < best < len(path) - 1 else ", at the end of the path: nothing inside it is better"
        recipe = Recipe(
            prior,
            method,
            method.steps,
            self._monitors,
            f"weight {weight:.4g} by {self._rule!r}, residual {path[best].residual:.4g}{end}",
        )
        result = recipe.solve(self._problem, self._seed, progress=False)
        self._bar.update(self._bar.total - self._bar.n)
        return Tuned(weight, result, tuple(path), self._rule, recipe)

    def _ranked(self) -> tuple[list[Point], int]:
        path = [self._points[weight] for weight in sorted(self._points)]
        return path, int(np.argmin(self._rule.scores(path)))


def _point(problem: Problem, prior: Prior, weight: float, result: Result, rule: Rule) -> Point:
    image = result.image[: len(problem.y)]
    prior = deepcopy(prior).to(image)
    with torch.no_grad():
        misfit = problem.misfit(image)
        penalty = prior.value(image) if isinstance(prior, ProximalPrior) else prior.penalty(image)
        return Point(
            weight=weight,
            objective=float((misfit + penalty).mean()),
            residual=float(problem.residual(image).square().mean().sqrt()),
            penalty=float(penalty.mean()) / weight,
            estimate=rule.estimate(problem, result.image),
            psnr=None if problem.truth is None else float(psnr(image, problem.truth).mean()),
        )


def _limit(
    problem: Problem, prior_of_weight: Callable[[float], Prior], monitors: Sequence[Monitor], seed: int, progress: bool
) -> Tuned:
    if not isinstance(problem.operator, LinearOperator):
        raise BadType(f"Limit on {problem.operator!r}", "a LinearOperator", "choose a small weight for a nonlinear one")
    recipe = Limit().recipe(prior_of_weight, monitors)
    result = recipe.solve(problem, seed, progress=progress)
    point = _point(problem, recipe.prior, _LIMIT_WEIGHT, result, LCurve())
    point = replace(point, weight=0.0, objective=point.penalty)
    return Tuned(0.0, result, (point,), Limit(), recipe)


def _require_noise(sigma: float, name: str) -> None:
    advice = f"without noise use Limit() or LCurve() instead of {name}"
    require_positive("sigma", sigma, "a positive standard deviation", advice)
