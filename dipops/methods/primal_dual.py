"""The primal-dual method of Chambolle and Pock: the exact minimum of convex problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops._tools.precision import Precision
from dipops._tools.state import Stateful
from dipops.errors import BadType, require_positive
from dipops.methods.convergence import CHANGE, GAP, Convergence, by_change
from dipops.methods.interface import Iteration, require_steps
from dipops.operators import LinearOperator, is_identity, is_mask
from dipops.priors import NoPrior, Prior, ProximalPrior
from dipops.problem import Problem

_BALANCE = 0.1
_NORM_MARGIN = 1.01
_FIRST_TAU = 0.7  # of 0.2 to 2 the one that took the fewest steps on the test image f16.png
_SMALLEST_TAU = 0.03  # below it plain steps: they converge linearly, and shrinking on took 3 to 6 times as many
_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class PrimalDual:
    """min over x of ½ ‖Ax - y‖² + R(x) for a linear A and a proximal R such as TotalVariation or Tikhonov.

    Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with applications to imaging", JMIV 2011.
    For Identity and Mask the data term is handled by its own prox, accelerated for Identity; for any other operator both
    terms are dualised. There is no inner loop.

    Attributes:
        exact: replace the data term by the constraint Ax = y: the limit of a vanishing weight, for noise-free problems.
        tolerance: where to stop. For Identity it is the relative primal-dual gap, (primal - dual objective) / primal
            objective, by default 1e-4; for other operators, and with ``exact``, the relative change
            ‖x_k - x_(k-1)‖ / ‖x_k‖, by default 2e-6. Float32 resolves gaps down to about 1e-7.
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
        """
        if not isinstance(problem.operator, LinearOperator):
            raise BadType(f"PrimalDual on {problem.operator!r}", "a LinearOperator", "use Descent for a nonlinear one")
        if not isinstance(prior, ProximalPrior):
            advice = "use ConjugateGradient" if isinstance(prior, NoPrior) else "use Descent"
            raise BadType(f"PrimalDual with {prior!r}", "a prior with a prox, such as TotalVariation or Tikhonov", advice)
        if not is_identity(problem.operator) and not is_mask(problem.operator):
            return DualisedIteration(self, problem, prior)
        known = problem.operator.mask if is_mask(problem.operator) else None
        start = None if known is None and prior.initial is None else prior().detach()
        return SeparableIteration(prior, problem.y, known, start, exact=self.exact, tolerance=self.tolerance)


class SeparableIteration(Stateful):
    """min over x of ½ ‖m x - y‖² + s R(x) with m in {0, 1}, in place.

    The data term is handled by its own prox, and the operator K of the prior is dualised. Where m is 1 everywhere the data term
    is strongly convex, and Chambolle and Pock's accelerated algorithm 2 runs until τ is small; elsewhere, and from there on,
    their algorithm 1. The dual variable is kept divided by s.

    Args:
        prior: R.
        y: (N, *in_shape).
        known: m, broadcast to y, or None for 1 everywhere.
        start: where x starts; by default y.
        exact: replace the data term by the constraint m x = m y.
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
        known: Tensor | None = None,
        start: Tensor | None = None,
        exact: bool = False,
        scale: float = 1.0,
        tolerance: float | None = None,
    ) -> None:
        self._prior, self._y, self._known, self._exact, self._scale = prior, y, known, exact, scale
        analysis = prior.analysis(y.shape[1:])
        norm = _NORM_MARGIN * analysis.norm()
        self.tau = _FIRST_TAU
        self.sigma = 1 / (self.tau * norm**2) if norm else 1.0
        self.x = (y if start is None else start).clone()
        self.bar, self.old = self.x.clone(), torch.empty_like(self.x)
        self.p = y.new_zeros(len(y), *analysis.out_shape)
        self._accelerated = known is None and not exact
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
            difference = (self.x if self._known is None else self.x * self._known) - self._y
            self._primal = 0.5 * difference.square_().flatten(1).sum(1) + self._scale * self._prior.value(self.x)
        return self._primal

    @torch.no_grad()
    def gap(self) -> Tensor:
        """Primal minus dual objective over the primal one, of each image (N,), where m is 1 everywhere."""
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
        elif self._known is None:
            new.copy_(self._y)
        else:
            self._prior.add_adjoint_(new.copy_(self.x), self.p, -tau * self._scale)
            if self._exact:
                new.copy_(torch.where(self._known > 0, self._y, new))
            else:
                new.addcmul_(self._y, self._known, value=tau).div_(1 + tau * self._known)
        return new.clamp_(0, 1) if self._prior.box else new


class DualisedIteration(Stateful):
    """Any linear A: u is the dual of the data term and p that of the prior; τ (σ_u ‖A‖² + σ_p ‖K‖²) ≤ 1."""

    state = ("x", "bar", "u", "p")
    mean = None
    precision: Precision = "full"

    def __init__(self, method: PrimalDual, problem: Problem, prior: ProximalPrior) -> None:
        assert isinstance(problem.operator, LinearOperator)
        self._operator, self._problem, self._prior, self._exact = problem.operator, problem, prior, method.exact
        analysis = prior.analysis(problem.operator.in_shape)
        smallest = torch.finfo(problem.y.dtype).eps
        data, penalty = (max(_NORM_MARGIN * operator.norm(), smallest) for operator in (problem.operator, analysis))
        self.sigmas = [_BALANCE, _BALANCE * data**2 / penalty**2]
        self.tau = 1 / (2 * _BALANCE * data**2)
        self.x = prior().detach()
        self.bar, self.old = self.x.clone(), self.x.clone()
        self.u = torch.zeros_like(problem.y)
        self.p = problem.y.new_zeros(len(problem.y), *analysis.out_shape)
        self.convergence = by_change(self, CHANGE if method.tolerance is None else method.tolerance)

    @torch.no_grad()
    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One ascent of u and p and one descent of x."""
        sigma = self.sigmas[0]
        self.u.add_(self._operator(self.bar), alpha=sigma).sub_(self._problem.y, alpha=sigma)
        if not self._exact:
            self.u.div_(1 + sigma)
        self._prior.dual_step_(self.p, self.bar, self.sigmas[1])
        x = torch.add(self.x, self._operator.adjoint(self.u), alpha=-self.tau, out=self.old)
        self._prior.add_adjoint_(x, self.p, -self.tau)
        if self._prior.box:
            x.clamp_(0, 1)
        torch.lerp(self.x, x, 2.0, out=self.bar)
        self.x, self.old = x, self.x
        return x, self._problem.data_term(x) + self._prior.value(x) if measure else None
