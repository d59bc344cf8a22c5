"""The primal-dual method of Chambolle and Pock: the exact minimum of convex problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dipops._tools.batches import per_image, power
from dipops._tools.precision import Precision
from dipops._tools.state import Stateful
from dipops.errors import BadType, BadValue, require_positive, safe_repr
from dipops.methods.convergence import CHANGE, GAP, RESIDUAL, Convergence, by_change
from dipops.methods.interface import Iteration, require_steps
from dipops.noise import LEAST_SQUARES, is_least_squares
from dipops.operators import LinearOperator, measures_pixels
from dipops.priors import NoPrior, Prior, ProximalPrior
from dipops.problem import Problem

_NORM_MARGIN = 1.01
_FIRST_TAU = 0.7  # of 0.2 to 2 the one that took the fewest steps on the test image f16.png
_SMALLEST_TAU = 0.03  # below it plain steps: they converge linearly, and shrinking on took 3 to 6 times as many
_LEAST_SHARE, _LEAST_SIZE = 1e-6, 1e-3
_EVERY = 10
_LAST_BALANCE = 1000
_FASTER = 1.5
_RATIO = (2.0, 8.0)


@dataclass(frozen=True)
class PrimalDual:
    """min over x of D(Ax, y) + R(x) for a linear A, any noise and a proximal R such as TotalVariation or Tikhonov.

    Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with applications to imaging", JMIV 2011.
    For least squares on Identity and Mask the data term is handled by its own prox, and without weights the algorithm is
    accelerated. Otherwise both terms are dualised, and primal and dual steps are balanced by their residuals, each image by
    itself (Goldstein, Li, Yuan, Esser and Baraniuk, "Adaptive primal-dual hybrid gradient methods for saddle-point
    problems", 2013). There is no inner loop.

    Attributes:
        exact: replace the data term by the constraint Ax = y where something was measured: the limit of a vanishing weight, for
            noise-free problems.
        tolerance: where to stop. On the accelerated path it is the relative primal-dual gap, (primal - dual objective) /
            primal objective, by default 1e-4; float32 resolves gaps down to about 1e-7. With weights or ``exact`` on Identity
            and Mask it is the relative change ‖x_k - x_(k-1)‖ / ‖x_k - mean(x_k)‖, by default 4e-6. Otherwise it is the larger
            of the relative primal and dual residuals, by default 5e-5.
        steps: number of steps at most where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.

    Raises:
        BadValue: one is not positive.
    """

    exact: bool = False
    tolerance: float | None = None
    steps: int = 5000
    every: int = 25

    def __post_init__(self) -> None:
        require_steps(self)
        if self.tolerance is not None:
            require_positive("tolerance", self.tolerance, "a positive number", "leave it out for the default")

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> Iteration:
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadType: the operator is not linear, or the prior has no prox.
            BadValue: ``exact`` with a box that measured pixels are outside of.
        """
        if not isinstance(problem.operator, LinearOperator):
            raise BadType(f"PrimalDual on {safe_repr(problem.operator)}", "a LinearOperator", "use Descent for a nonlinear one")
        if not isinstance(prior, ProximalPrior):
            quadratic = isinstance(prior, NoPrior) and is_least_squares(problem.noise)
            advice = "use ConjugateGradient" if quadratic else "use Descent"
            raise BadType(
                f"PrimalDual with {safe_repr(prior)}", "a prior with a prox, such as TotalVariation or Tikhonov", advice
            )
        if measures_pixels(problem.operator) and self.exact and prior.box:
            _require_in_box(problem.y)
        if not measures_pixels(problem.operator) or not is_least_squares(problem.noise):
            return DualisedIteration(self, problem, prior)
        start = None if problem.weights is None and prior.initial is None else prior().detach()
        return SeparableIteration(prior, problem.y, problem.weights, start, exact=self.exact, tolerance=self.tolerance)


def _require_in_box(y: Tensor) -> None:
    """Refuse pixels that no image in [0, 1] has; those that were not measured are 0."""
    outside = int(((y < 0) | (y > 1)).sum())
    if outside:
        came = f"PrimalDual(exact=True) in a box for y with {outside} values outside [0, 1]"
        raise BadValue(came, "values in [0, 1], which an image in the box can have", "clip y, or leave the box or exact out")


class SeparableIteration(Stateful):
    """min over x of ½ Σ w (x - y)² + s R(x), in place.

    The data term is handled by its own prox, and the operator K of the prior is dualised. Without weights the data term is
    strongly convex, and Chambolle and Pock's accelerated algorithm 2 runs until τ is small; with weights, and from there on,
    their algorithm 1. The dual variable is kept divided by s.

    Args:
        prior: R.
        y: (N, *in_shape).
        weights: w, broadcast to y, or None for 1 everywhere.
        start: where x starts; by default y.
        exact: replace the data term by the constraint x = y where w > 0.
        scale: s.
        tolerance: see PrimalDual.
    """

    state = ("x", "bar", "p", "tau", "sigma")
    mean = None
    precision: Precision = "full"

    def __init__(
        self,
        prior: ProximalPrior,
        y: Tensor,
        weights: Tensor | None = None,
        start: Tensor | None = None,
        exact: bool = False,
        scale: float = 1.0,
        tolerance: float | None = None,
    ) -> None:
        self._prior, self._y, self._weights, self._exact, self._scale = prior, y, weights, exact, scale
        analysis = prior.analysis(y.shape[1:])
        norm = _NORM_MARGIN * analysis.norm()
        self.tau = _FIRST_TAU
        self.sigma = 1 / (self.tau * norm**2) if norm else 1.0
        self.x = (y if start is None else start).clone()
        self.bar, self.old = self.x.clone(), torch.empty_like(self.x)
        self.p = y.new_zeros(len(y), *analysis.out_shape)
        self._accelerated = weights is None and not exact
        self._primal: Tensor | None = None
        if self._accelerated:
            self.convergence = Convergence(self.gap, GAP if tolerance is None else tolerance, "primal-dual gap", costly=True)
        else:
            self.convergence = by_change(self, CHANGE if tolerance is None else tolerance)

    @torch.no_grad()
    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One ascent of p and one descent of x."""
        self._prior.dual_step_(self.p, self.bar, self.sigma / self._scale)
        new = self._descend()
        extrapolation = 1.0
        if self._accelerated and self.tau > _SMALLEST_TAU:
            extrapolation = (1 + 2 * self.tau) ** -0.5
            self.tau, self.sigma = self.tau * extrapolation, self.sigma / extrapolation
        torch.lerp(self.x, new, 1 + extrapolation, out=self.bar)
        self.x, self.old = new, self.x
        self._primal = None
        return self.x, self.objective() if measure else None

    def objective(self) -> Tensor:
        """The primal objective of each image (N,)."""
        if self._primal is None:
            squares = (self.x - self._y).square_()
            squares = squares if self._weights is None else squares.mul_(self._weights)
            self._primal = 0.5 * squares.flatten(1).sum(1) + self._scale * self._prior.value(self.x)
        return self._primal

    @torch.no_grad()
    def gap(self) -> Tensor:
        """Primal minus dual objective over the primal one, of each image (N,), without weights."""
        primal = self.objective()
        pulled = torch.zeros_like(self._y)
        self._prior.add_adjoint_(pulled, self.p, self._scale)
        best = self._y - pulled
        if self._prior.box:
            best.clamp_(0, 1)
        dual = 0.5 * (best - self._y).square_() + pulled.mul_(best)
        dual = dual.flatten(1).sum(1) - self._scale * self._prior.conjugate_of_prox(self.p)
        rounding = torch.finfo(primal.dtype).eps
        floor = _LEAST_SHARE * 0.5 * power(self._y) + torch.finfo(primal.dtype).tiny
        return ((primal - dual) / torch.maximum(primal, floor)).clamp(min=rounding)

    def _descend(self) -> Tensor:
        """The prox of τ times the data term at x - τ s Kᵀp, in the memory of the x before."""
        tau, new = self.tau, self.old
        if self._accelerated:
            torch.lerp(self.x, self._y, tau / (1 + tau), out=new)
            self._prior.add_adjoint_(new, self.p, -tau * self._scale / (1 + tau))
        elif self._weights is None:
            new.copy_(self._y)
        else:
            self._prior.add_adjoint_(new.copy_(self.x), self.p, -tau * self._scale)
            if self._exact:
                new.copy_(torch.where(self._weights > 0, self._y, new))
            else:
                new.addcmul_(self._y, self._weights, value=tau).div_(1 + tau * self._weights)
        return new.clamp_(0, 1) if self._prior.box else new


class DualisedIteration(Stateful):
    """Any linear A and noise: u is the dual of the data term and p that of the prior; τ (σ_u ‖A‖² + σ_p ‖K‖²) ≤ 1.

    Each member has its own factor, by which its dual steps σ are longer and its primal step τ is shorter than at the start.
    """

    state = ("x", "bar", "u", "p", "factors", "residuals", "sizes", "_index")
    mean = None
    precision: Precision = "full"

    def __init__(self, method: PrimalDual, problem: Problem, prior: ProximalPrior) -> None:
        assert isinstance(problem.operator, LinearOperator)
        self._operator, self._problem, self._prior, self._exact = problem.operator, problem, prior, method.exact
        self.x = prior().detach()
        self._analysis = prior.analysis_like(self.x)
        smallest = torch.finfo(problem.y.dtype).eps
        data, penalty = (max(_NORM_MARGIN * operator.norm(), smallest) for operator in (problem.operator, self._analysis))
        self._sigma_u, self._sigma_p, self._tau = 1.0, data**2 / penalty**2, 0.5 / data**2
        self.factors = [1.0] * len(problem.y)
        self.bar = self.x.clone()
        self.u = torch.zeros_like(problem.y)
        self.p = problem.y.new_zeros(len(problem.y), *self._analysis.out_shape)
        self.sizes = problem.y.new_zeros(3, len(problem.y))
        self.residuals, self._index = problem.y.new_full((len(problem.y),), float("inf")), 0
        tolerance = RESIDUAL if method.tolerance is None else method.tolerance
        self.convergence = Convergence(lambda: self.residuals, tolerance, "relative residual", costly=False)

    @property
    def steps(self) -> list[tuple[float, float, float]]:
        """σ_u, σ_p and τ of each member."""
        return [(self._sigma_u * factor, self._sigma_p * factor, self._tau / factor) for factor in self.factors]

    @torch.no_grad()
    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One ascent of u and p and one descent of x."""
        self._index += 1
        old_p = self.p.clone() if self._index % _EVERY == 0 else None
        old_x, old_u = self.x, self.u
        self.u = self._ascended()
        for member, (_, sigma_p, _) in enumerate(self.steps):
            self._prior.dual_step_(self.p[member : member + 1], self.bar[member : member + 1], sigma_p)
        pulled = self._operator.adjoint(self.u)
        self.x = self._descended(pulled)
        self.bar = torch.lerp(old_x, self.x, 2.0)
        if old_p is not None:
            self._balance(self.x - old_x, self.u - old_u, self.p - old_p, pulled)
        return self.x, self._problem.data_term(self.x) + self._prior.value(self.x) if measure else None

    def _ascended(self) -> Tensor:
        """u after its step."""
        problem, sigma = self._problem, self._per_member([sigma for sigma, _, _ in self.steps], self.u)
        moved = self.u + sigma * self._operator(self.bar)
        if not self._exact:
            return (problem.noise or LEAST_SQUARES).prox_conjugate(moved, sigma, problem.y, problem.weights)
        moved -= sigma * problem.y
        return moved if problem.weights is None else torch.where(problem.weights > 0, moved, 0)

    def _descended(self, pulled: Tensor) -> Tensor:
        """x after its step; ``pulled`` is Aᵀu."""
        x = self.x - self._per_member([tau for _, _, tau in self.steps], self.x) * pulled
        for member, (_, _, tau) in enumerate(self.steps):
            self._prior.add_adjoint_(x[member : member + 1], self.p[member : member + 1], -tau)
        return x.clamp_(0, 1) if self._prior.box else x

    def _balance(self, dx: Tensor, du: Tensor, dp: Tensor, pulled: Tensor) -> None:
        """Measure the residuals of the last step, and lengthen the dual or the primal steps where one kind lags behind."""
        sigma_u, sigma_p, tau = map(list, zip(*self.steps, strict=True))
        problem = self._problem
        gradient = dx / self._per_member(tau, dx) - self._operator.adjoint(du) - self._analysis.adjoint(dp)
        of_u = du / self._per_member(sigma_u, du) - self._operator(dx)
        of_p = dp / self._per_member(sigma_p, dp) - self._analysis(dx)
        misfit = problem.weighted(self._operator(self.x) - problem.y)
        sizes = torch.stack(
            [
                torch.maximum(_size(pulled), _size(self._analysis.adjoint(self.p))),
                torch.maximum(_size(misfit), _size(self.u / self._per_member(sigma_u, du))),
                _size(self._analysis(self.x)),
            ]
        )
        self.sizes = torch.maximum(self.sizes, sizes)
        relative = torch.maximum(sizes, _LEAST_SIZE * self.sizes).clamp(min=torch.finfo(sizes.dtype).tiny)
        primal, *duals = torch.stack([_size(gradient), _size(of_u), _size(of_p)]) / relative
        dual = torch.maximum(*duals)
        self.residuals = torch.maximum(primal, dual)
        if self._index < _LAST_BALANCE:
            low, high = _RATIO
            for member, (one, other) in enumerate(zip(primal.tolist(), dual.tolist(), strict=True)):
                self.factors[member] *= _FASTER if one < low * other else 1 / _FASTER if one > high * other else 1.0

    def _per_member(self, values: Sequence[float], like: Tensor) -> Tensor:
        """One value for each member, in a shape that spreads over ``like``."""
        return per_image(like.new_tensor(values), like)


def _size(t: Tensor) -> Tensor:
    """The norm of each member (N,)."""
    return t.flatten(1).norm(dim=1)
