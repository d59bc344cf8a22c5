"""The primal-dual method of Chambolle and Pock: the exact minimum of convex problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dipops._tools.batches import per_image
from dipops.errors import BadType, BadValue, require_positive, safe_repr
from dipops.methods.accelerated import AcceleratedIteration
from dipops.methods.balanced import BalancedIteration, DualisedIteration, PixelIteration
from dipops.methods.convergence import GAP
from dipops.methods.interface import Iteration, require_steps
from dipops.noise import Poisson, is_least_squares
from dipops.operators import LinearOperator, measures_pixels
from dipops.priors import NoPrior, Prior, ProximalPrior
from dipops.problem import Problem

_SMALL_CONTRAST = 0.25


@dataclass(frozen=True)
class PrimalDual:
    """min over x of D(Ax, y) + R(x) for a linear A, any noise and a proximal R such as TotalVariation or Tikhonov.

    Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with applications to imaging", JMIV 2011.
    For least squares on Identity and Mask the data term is handled by its own prox, and on Identity without weights the
    algorithm is accelerated. Otherwise both terms are dualised. Without acceleration primal and dual steps are balanced by
    their residuals, each image by itself (Goldstein, Li, Yuan, Esser and Baraniuk, "Adaptive primal-dual hybrid gradient
    methods for saddle-point problems", 2013). There is no inner loop.

    Attributes:
        exact: replace the data term by the constraint Ax = y where something was measured: the limit of a vanishing weight, for
            noise-free problems.
        tolerance: where to stop: the relative primal-dual gap, (primal - dual objective) / primal objective. The minimum lies
            no further below the objective. float32 resolves gaps down to about 1e-5.
        steps: number of steps at most where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.

    Raises:
        BadValue: one is not positive.
    """

    exact: bool = False
    tolerance: float = GAP
    steps: int = 5000
    every: int = 25

    def __post_init__(self) -> None:
        require_steps(self)
        require_positive("tolerance", self.tolerance, "a positive number", "leave it out for the default")

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> Iteration:
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadType: the operator is not linear, or the prior has no prox.
            BadValue: ``exact`` with a box that measured pixels are outside of.
        """
        operator = problem.operator
        if not isinstance(operator, LinearOperator):
            raise BadType(f"PrimalDual on {safe_repr(operator)}", "a LinearOperator", "use Descent for a nonlinear one")
        if not isinstance(prior, ProximalPrior):
            quadratic = isinstance(prior, NoPrior) and is_least_squares(problem.noise)
            advice = "use ConjugateGradient" if quadratic else "use Descent"
            raise BadType(
                f"PrimalDual with {safe_repr(prior)}", "a prior with a prox, such as TotalVariation or Tikhonov", advice
            )
        if self.exact and prior.box and measures_pixels(operator):
            _require_in_box(problem.y)
        offset = _offset(problem, prior)
        start = prior().detach()
        if offset is None:
            return self._start(problem, prior, start)
        start = start if prior.initial is None else start - offset
        return OffsetIteration(self._start(problem.without(offset), prior, start), offset)

    def _start(self, problem: Problem, prior: ProximalPrior, start: Tensor) -> AcceleratedIteration | BalancedIteration:
        """The algorithm for a problem; where y measures the pixels and the prior has no initial image, it starts at y."""
        if not measures_pixels(problem.operator) or not is_least_squares(problem.noise):
            return DualisedIteration(problem, prior, start, self.exact, self.tolerance)
        y, mean = problem.y, problem.mean_measured(problem.y)
        start = problem.where_measured(y, per_image(mean, y)) if prior.initial is None else start
        weight = 1.0 if problem.weights is None else float(problem.weights.flatten()[0])
        if self.exact or not (problem.weights is None or bool((problem.weights == weight).all())):
            return PixelIteration(problem, prior, start, self.exact, self.tolerance)
        return AcceleratedIteration(prior, problem.y, start, 1 / weight, self.tolerance)


class OffsetIteration:
    """An iteration on images without a constant offset, in which float32 would lose their contrast."""

    mean = None
    precision = "full"

    def __init__(self, iteration: AcceleratedIteration | BalancedIteration, offset: Tensor) -> None:
        self._iteration, self._offset, self.convergence = iteration, offset, iteration.convergence

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """The step of the iteration, with the offset added to its images."""
        image, objective = self._iteration.step(measure)
        return image + self._offset, objective

    def state_dict(self) -> dict[str, Any]:
        return self._iteration.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._iteration.load_state_dict(state)


@torch.no_grad()
def _offset(problem: Problem, prior: ProximalPrior) -> Tensor | None:
    """The constant image of each member that fits y best, (N, *in_shape), where it is large and nothing sees it but A."""
    if prior.box or isinstance(problem.noise, Poisson):
        return None
    constant = problem.y.new_ones(1, *problem.operator.in_shape)
    if bool(prior.analysis_like(constant).forward(constant).any()):
        return None
    measured = problem.operator(constant)
    heights = problem.mean_measured(measured * problem.y) / problem.mean_measured(measured.square().expand_as(problem.y))
    fitted = per_image(heights, problem.y) * measured
    share = problem.mean_measured((problem.y - fitted).square()) / problem.mean_measured(fitted.square())
    large = share < _SMALL_CONTRAST**2
    return per_image(torch.where(large, heights, 0), constant) * constant if bool(large.any()) else None


def _require_in_box(y: Tensor) -> None:
    """Refuse pixels that no image in [0, 1] has; those that were not measured are 0."""
    outside = int(((y < 0) | (y > 1)).sum())
    if outside:
        came = f"PrimalDual(exact=True) in a box for y with {outside} values outside [0, 1]"
        raise BadValue(came, "values in [0, 1], which an image in the box can have", "clip y, or leave the box or exact out")
