"""Conjugate gradients for least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from dipops._tools.batches import per_image, power
from dipops._tools.state import Stateful
from dipops.errors import BadType, require_positive, safe_repr
from dipops.methods.convergence import ERROR, Convergence
from dipops.methods.interface import require_steps
from dipops.noise import require_least_squares
from dipops.operators import LinearOperator, stack
from dipops.priors import NoPrior, Prior, Tikhonov
from dipops.problem import Problem

_LEAST_SHARE = 1e-4
_MEMORY = 0.8  # the lengths of single steps differ by up to 1e5 where A is ill-conditioned


@dataclass(frozen=True)
class ConjugateGradient:
    """min over x of ½ ‖Ax - y‖² + ½ μ ‖Lx‖² for a linear A: with Tikhonov its exact minimum; with NoPrior least squares.

    Björck, "Numerical Methods for Least Squares Problems", algorithm 7.4.1 (CGLS); weights of the problem multiply the squares.
    With noise and NoPrior the image gets better and then worse: stop by ``stopping.Discrepancy()``. An image whose gradient is
    rounding alone is left as it is.

    Attributes:
        tolerance: where to stop: k m / ‖x - mean(x)‖ after k steps, an estimate of the relative error, where m is how far the
            latest steps moved x.
        steps: number of steps at most where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.

    Raises:
        BadValue: one is not positive.
    """

    tolerance: float = ERROR
    steps: int = 500
    every: int = 25

    def __post_init__(self) -> None:
        require_steps(self)
        require_positive("tolerance", self.tolerance, "a positive number", "leave it out for the default")

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> "ConjugateGradientIteration":
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadType: the operator is not linear, or the prior is neither NoPrior nor Tikhonov.
            BadValue: the noise is not Gaussian.
        """
        require_least_squares(problem.noise, "ConjugateGradient", "use PrimalDual or Descent")
        if not isinstance(problem.operator, LinearOperator):
            raise BadType(
                f"ConjugateGradient on {safe_repr(problem.operator)}", "a LinearOperator", "use Descent for a nonlinear one"
            )
        if not isinstance(prior, NoPrior | Tikhonov):
            raise BadType(
                f"ConjugateGradient with {safe_repr(prior)}",
                "NoPrior or Tikhonov",
                "use PrimalDual for TotalVariation, else Descent",
            )
        return ConjugateGradientIteration(problem, prior, self.tolerance)


class ConjugateGradientIteration(Stateful):
    """CGLS on the stack of √w A and √μ L, each image of the batch with its own step lengths."""

    state = ("x", "residual", "slope", "direction", "power", "largest", "moved", "index")
    mean = None
    precision = "full"

    def __init__(self, problem: Problem, prior: NoPrior | Tikhonov, tolerance: float = ERROR) -> None:
        assert isinstance(problem.operator, LinearOperator)
        parts, y = [problem.operator], problem.y.flatten(1)
        root = None if problem.weights is None else problem.weights.flatten(1).sqrt()
        if isinstance(prior, Tikhonov) and prior.weight > 0:
            analysis = prior.analysis(problem.operator.in_shape).to(problem.y)
            parts.append(prior.weight**0.5 * analysis)
            rows = prod(analysis.out_shape)
            y = torch.cat([y, y.new_zeros(len(y), rows)], dim=1)
            root = None if root is None else torch.cat([root, root.new_ones(len(root), rows)], dim=1)
        self._operator, self._root = stack(*parts), root
        with torch.no_grad():
            self.x = prior().detach()
            self.residual = (y if root is None else root * y) - self._weighted(self.x)
            self.slope = self._pulled(self.residual)
            self.direction = self.slope.clone()
            self.power = power(self.slope)
            self.largest, self.moved, self.index = torch.zeros_like(self.power), torch.zeros_like(self.power), 0
        self.convergence = Convergence(self._error, tolerance, "estimated relative error", costly=False)

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One step, whose objective costs nothing."""
        self.index += 1
        with torch.no_grad():
            image = self._weighted(self.direction)
            of_image, of_direction = power(image), power(self.direction)
            self.largest = torch.maximum(self.largest, _ratio(of_image, of_direction))
            length = _ratio(self.power, of_image) * self._above_rounding()
            self.moved = torch.maximum(length * of_direction.sqrt(), _MEMORY * self.moved)
            self.x = self.x + per_image(length, self.x) * self.direction
            self.residual = self.residual - length[:, None] * image
            self.slope = self._pulled(self.residual)
            steepness = power(self.slope)
            self.direction = self.slope + per_image(_ratio(steepness, self.power), self.x) * self.direction
            self.power = steepness
            return self.x, 0.5 * power(self.residual)

    def _error(self) -> Tensor:
        """An estimate of the relative error of each image (N,): that of an error that falls as a power of the steps."""
        return self.index * self.moved / _contrast(self.x)

    def _above_rounding(self) -> Tensor:
        """1 for each member whose gradient is more than rounding, and 0 for the others: their steps would be noise."""
        size = self.largest.sqrt()
        rounding = torch.finfo(self.x.dtype).eps * size * (power(self.residual).sqrt() + size * power(self.x).sqrt())
        return (self.power.sqrt() > rounding).to(self.x)

    def _weighted(self, x: Tensor) -> Tensor:
        measured = self._operator(x)
        return measured if self._root is None else self._root * measured

    def _pulled(self, residual: Tensor) -> Tensor:
        return self._operator.adjoint(residual if self._root is None else self._root * residual)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0, for then there is nothing left to do."""
    return torch.where(b > 0, a / b.clamp(min=torch.finfo(b.dtype).tiny), 0)


def _contrast(x: Tensor) -> Tensor:
    """‖x - mean(x)‖ of each image (N,), at least 1e-4 ‖x‖."""
    flat = x.flatten(1)
    size = torch.maximum((flat - flat.mean(1, keepdim=True)).norm(dim=1), _LEAST_SHARE * flat.norm(dim=1))
    return size.clamp(min=torch.finfo(x.dtype).tiny)
