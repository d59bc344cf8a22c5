"""The weight of a prior, chosen by a rule, with every trial as data."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import log10
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops._tools.progress import progress_bar
from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue, require_instance, safe_repr
from dipops.methods import Method, PrimalDual, default_method
from dipops.methods.interface import require_method
from dipops.metrics import psnr
from dipops.noise import Gaussian, Noise, require_noise, require_sigma
from dipops.operators import is_identity
from dipops.priors import PixelPrior, Prior
from dipops.problem import Problem, require_problem
from dipops.recipes import Recipe, debiased
from dipops.solver import Result
from dipops.solver.solve import solve

_GRID_PER_DECADE = 3
_REFINEMENTS = 3
_EXTENSIONS = 4
_FINE_GAP = 3e-5
_TINY = 1e-30
_PROBE = 10


@dataclass(frozen=True)
class Trial:
    """One weight that was tried.

    Attributes:
        weight: of the penalty.
        objective: the minimum that was reached, the mean over the batch.
        rms_residual: root mean square of A(x) - y over what was measured, in image units.
        penalty: R(x) over the weight, the mean over the batch.
        estimate: what the rule computes of it: SURE's estimate of the mean squared error, Discrepancy's ratio; else NaN.
        psnr: in dB, of the image corrected for clipped noise, where the ground truth is known; only Oracle uses it.
    """

    weight: float
    objective: float
    rms_residual: float
    penalty: float
    estimate: float
    psnr: float | None


class Rule:
    """Chooses one of several weights.

    Attributes:
        uses_truth: whether it needs the ground truth, and so is a reference only.
        needs_pixels: whether it holds for priors on pixels alone.
        label: name of the value that figures show of a trial.
    """

    uses_truth = False
    needs_pixels = False
    label = "residual, root mean square"

    def problem(self, problem: Problem) -> Problem:
        """The problem to solve at each weight; the first N members of its batch are the given ones."""
        return problem

    def method(self, problem: Problem, prior: Prior) -> Method:
        """The method to solve it by, where the user names none."""
        return default_method(problem, prior)

    def estimate(self, problem: Problem, images: Tensor) -> float:
        """What to record for the solution of ``self.problem(problem)`` at one weight."""
        return float("nan")

    def scores(self, trials: Sequence[Trial]) -> list[float]:
        """One score for each trial, by rising weights; the smallest is best."""
        raise NotImplementedError

    def plotted(self, trial: Trial) -> float:
        """The value that figures show of a trial."""
        return trial.rms_residual


@dataclass(frozen=True)
class SURE(Rule):
    """Stein's unbiased estimate of the error of A(x), by one random direction: the fair rule where there is noise.

    Ramani, Blu and Unser, "Monte-Carlo SURE: a black-box optimization of regularization parameters", IEEE TIP 2008,
    equation 11. It needs the σ of normal noise and no ground truth, and solves each weight twice, in one batch.

    For members with clipped noise, see :attr:`dipops.Problem.is_clipped`, it estimates the distance to the mean of y, to which
    least squares lead, with the variance of clipped noise instead of σ². That is exact where Ax is linear in each value of y
    over the range of its noise: Stein's lemma holds for normal noise alone.

    Raises:
        BadValue: on use, the noise is not known, zero, or not Gaussian.
    """

    needs_pixels = True
    label = "estimated mean squared error"

    def problem(self, problem: Problem) -> Problem:
        weights, truth = problem.weights, problem.truth
        return replace(
            problem,
            y=torch.cat([problem.y, problem.y + self._probe(problem)]),
            weights=weights if weights is None or len(weights) == 1 else torch.cat([weights] * 2),
            truth=None if truth is None else torch.cat([truth] * 2),
        )

    def method(self, problem: Problem, prior: Prior) -> Method:
        """SURE takes the difference of two solutions, in which the default gap would drown."""
        method = default_method(problem, prior)
        if isinstance(method, PrimalDual) and is_identity(problem.operator) and problem.weights is None:
            return replace(method, tolerance=_FINE_GAP)
        return method

    def estimate(self, problem: Problem, images: Tensor) -> float:
        """The mean of (Ax - y)² + v (2 ∂(Ax)/∂y - 1) over what was measured, v = σ²: an estimate of the mean squared error."""
        first, second = problem.operator(images).chunk(2)
        derivatives = (second - first) / self._probe(problem)
        variances = problem.by_noise(partial(_variances, problem.y))
        errors = (first - problem.y).square() + variances * (2 * derivatives - 1)
        return float((errors if problem.weights is None else errors[(problem.weights > 0).expand_as(errors)]).mean())

    def scores(self, trials: Sequence[Trial]) -> list[float]:
        return [trial.estimate for trial in trials]

    def plotted(self, trial: Trial) -> float:
        return trial.estimate

    def _probe(self, problem: Problem) -> Tensor:
        """Random signs times a tenth of σ."""
        signs = torch.randint(0, 2, problem.y.shape, generator=stream(0, "SURE")).to(problem.y)
        return (2 * signs - 1) * (self._sigma(problem) / _PROBE)

    def _sigma(self, problem: Problem) -> float:
        return require_sigma(problem.noise, "SURE()", "use Discrepancy()")


@dataclass(frozen=True)
class Discrepancy(Rule):
    """Morozov's principle: the data term is what the noise leaves on average. It tends to smooth too much.

    Normal noise is taken to be clipped as by :class:`dipops.stopping.Discrepancy`.

    Raises:
        BadValue: on use, the noise is not known or zero.
    """

    label = "data term over that of the noise"

    def estimate(self, problem: Problem, images: Tensor) -> float:
        """The data term over its expectation, both summed over the batch."""
        require_noise(problem.noise, "Discrepancy()")
        reached, expected = problem.data_terms(problem.operator(images))
        return float(reached.sum() / expected.sum())

    def scores(self, trials: Sequence[Trial]) -> list[float]:
        return [abs(log10(max(trial.estimate, _TINY))) for trial in trials]

    def plotted(self, trial: Trial) -> float:
        return trial.estimate


@dataclass(frozen=True)
class LCurve(Rule):
    """The corner of the curve of log penalty against log residual. It needs neither ground truth nor σ.

    Hansen, "Analysis of discrete ill-posed problems by means of the L-curve", SIAM Review 1992.
    """

    def scores(self, trials: Sequence[Trial]) -> list[float]:
        """Minus the curvature along the trials, positive at the corner; infinite at the two ends."""
        along = np.log([trial.weight for trial in trials])
        residuals, penalties = [trial.rms_residual for trial in trials], [trial.penalty for trial in trials]
        x, y = (np.log(np.maximum(values, _TINY)) for values in (residuals, penalties))
        dx, dy = np.gradient(x, along), np.gradient(y, along)
        ddx, ddy = np.gradient(dx, along), np.gradient(dy, along)
        curvature = (dx * ddy - dy * ddx) / np.maximum(dx**2 + dy**2, _TINY) ** 1.5
        return [float("inf"), *(-curvature[1:-1]).tolist(), float("inf")]


@dataclass(frozen=True)
class Oracle(Rule):
    """The best PSNR: it needs the ground truth, so it is a reference only."""

    uses_truth = True

    def problem(self, problem: Problem) -> Problem:
        if problem.truth is None:
            advice = "use SURE(), Discrepancy() or LCurve()"
            raise BadValue("Oracle on a problem without its ground truth", "a problem with truth", advice)
        return problem

    def scores(self, trials: Sequence[Trial]) -> list[float]:
        return [float("inf") if trial.psnr is None else -trial.psnr for trial in trials]


@dataclass(frozen=True)
class Tuned:
    """What ``tune`` chose.

    Attributes:
        weight: the chosen one.
        result: of the solve at that weight. Its images are those of the trial, corrected for clipped noise; SURE solves each
            weight in a batch of twice the size, and the last bits may differ from those of a solve alone.
        trials: every weight that was tried, rising.
        rule: the rule.
        recipe: prior and method at that weight, for ``compare`` or another solve; its source says by which rule, and whether
            the weight lies at an end of the trials.
    """

    weight: float
    result: Result
    trials: tuple[Trial, ...]
    rule: Rule
    recipe: Recipe = field(repr=False)


@usual_defaults()
@full_float32()
def tune(
    problem: Problem,
    prior_of_weight: Callable[[float], Prior],
    rule: Rule,
    *,
    method: Method | None = None,
    weights: tuple[float, float] = (1e-3, 1.0),
    seed: int = 0,
    progress: bool = True,
) -> Tuned:
    """Solve a problem with several weights and choose one by a rule.

    A grid of weights, three a decade, from the largest down, each started from the last; then the two intervals next to the
    best are bisected, three times. Where the best lies at an end the grid is extended beyond it. Without noise there is
    nothing to choose: see ``recipes.limit``.

    Args:
        problem: a batch is tuned together, to one weight.
        prior_of_weight: makes the prior of a weight, such as ``TotalVariation`` itself.
        rule: SURE(), Discrepancy(), LCurve(), or Oracle() as a reference.
        method: as for ``solve``.
        weights: the smallest and the largest of the grid.
        seed: as for ``solve``.
        progress: whether to show a bar of the weights.

    Raises:
        BadValue: the weights are not positive and rising, or the rule needs a ground truth that is not there.
        BadType: SURE with a prior that is not on pixels.
    """
    require_problem(problem)
    require_instance(rule, Rule, "rule", "a rule of dipops.tune, such as SURE()", "look at dipops.tune")
    require_method(method)
    if isinstance(prior_of_weight, Prior) or not callable(prior_of_weight):
        came = f"a {type(prior_of_weight).__name__} for prior_of_weight"
        raise BadType(came, "a function from a weight to a prior", "pass the class itself, such as TotalVariation")
    low, high = weights
    if not 0 < low < high < float("inf"):
        raise BadValue(f"weights = {weights}", "two positive numbers, rising", "the default is (1e-3, 1)")
    count = max(round(_GRID_PER_DECADE * log10(high / low)) + 1, 3)
    with progress_bar(count + 2 * _REFINEMENTS, progress, "weight") as bar:
        sweep = _Sweep(problem, prior_of_weight, rule, method, seed, bar)
        for weight in np.geomspace(high, low, count):
            sweep.visit(float(weight))
        sweep.extend(10 ** (1 / _GRID_PER_DECADE))
        for _ in range(_REFINEMENTS):
            sweep.halve()
        bar.update(bar.total - bar.n)
    return sweep.chosen()


@dataclass
class _Sweep:
    """The weights tried so far."""

    problem: Problem
    prior_of_weight: Callable[[float], Prior]
    rule: Rule
    chosen_method: Method | None
    seed: int
    bar: Any
    trials: dict[float, Trial] = field(default_factory=dict)
    results: dict[float, Result] = field(default_factory=dict)

    def visit(self, weight: float) -> None:
        """Solve at one weight, from the solution at the nearest one."""
        prior, problem = self.prior_of_weight(weight), self.rule.problem(self.problem)
        require_instance(prior, Prior, "prior of a weight", "a prior, such as TotalVariation(weight)", "return one")
        if self.rule.needs_pixels and not prior.on_pixels:
            raise BadType(
                f"{safe_repr(self.rule)} with {safe_repr(prior)}", "a prior on pixels", "use Discrepancy() for a generator"
            )
        if self.results and isinstance(prior, PixelPrior):
            closest = min(self.results, key=lambda other: abs(log10(other / weight)))
            prior.initial = self.results[closest].image
        method = self.chosen_method or self.rule.method(problem, prior)
        result = solve(problem, prior, method, seed=self.seed, progress=False)
        self.results[weight] = result
        self.trials[weight] = _trial(self.problem, prior, weight, result, self.rule)
        self.bar.update()

    def extend(self, ratio: float) -> None:
        """Visit weights beyond an end while the best lies there."""
        for _ in range(_EXTENSIONS):
            trials, best = self._ranked()
            if 0 < best < len(trials) - 1:
                return
            self.bar.total += 1
            self.visit(trials[0].weight / ratio if best == 0 else trials[-1].weight * ratio)

    def halve(self) -> None:
        """Visit the geometric means of the best weight and its neighbours."""
        trials, best = self._ranked()
        for neighbour in (best - 1, best + 1):
            if 0 <= neighbour < len(trials):
                self.visit((trials[best].weight * trials[neighbour].weight) ** 0.5)

    def chosen(self) -> Tuned:
        """The best trial and its result."""
        trials, best = self._ranked()
        weight = trials[best].weight
        prior = self.prior_of_weight(weight)
        method = self.chosen_method or self.rule.method(self.problem, prior)
        end = "" if 0 < best < len(trials) - 1 else ", at the end of the trials: a better weight may lie beyond"
        source = f"weight {weight:.4g} by {safe_repr(self.rule)}, residual {trials[best].rms_residual:.4g}{end}"
        recipe = Recipe(prior, method, method.steps, (), source, debiases=True)
        return Tuned(weight, _answer(self.problem, self.results[weight]), tuple(trials), self.rule, recipe)

    def _ranked(self) -> tuple[list[Trial], int]:
        trials = [self.trials[weight] for weight in sorted(self.trials)]
        return trials, int(np.argmin(self.rule.scores(trials)))


def _trial(problem: Problem, prior: Prior, weight: float, result: Result, rule: Rule) -> Trial:
    members = len(problem.y)
    image, answer = result.image[:members], _answer(problem, result).image
    with torch.no_grad():
        penalty = deepcopy(prior).to(image).value(image)
        return Trial(
            weight=weight,
            objective=float(result.objective[:members].mean()),
            rms_residual=float(problem.rms_residual(image).square().mean().sqrt()),
            penalty=float(penalty.mean()) / weight,
            estimate=rule.estimate(problem, result.image),
            psnr=None if problem.truth is None else float(psnr(answer, problem.truth, image_dims=answer.ndim - 1).mean()),
        )


def _answer(problem: Problem, result: Result) -> Result:
    """The members of the problem, which are the first of those that were solved, corrected for clipped noise."""
    count = len(problem.y)
    if len(result.image) > count:
        tensors = {name: value[:count] for name, value in vars(result).items() if isinstance(value, Tensor)}
        curves = {name: curve[:, :count] for name, curve in result.trace.items()}
        result = replace(result, **tensors, source=result.source[:count], trace=curves)
    return debiased(problem, result)


def _variances(y: Tensor, noise: Noise) -> Tensor:
    assert isinstance(noise, Gaussian)  # or the probe was refused
    return noise.variances(y)
