"""Chambolle and Pock's accelerated method, for least squares on the pixels themselves."""

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops._tools.state import Stateful
from dipops.methods.convergence import GAP, Convergence
from dipops.priors import ProximalPrior

NORM_MARGIN = 1.01
_FIRST_TAU = 0.7  # of 0.2 to 2 the one that took the fewest steps on the test image f16.png
_SMALLEST_TAU = 0.03  # below it plain steps: they converge linearly, and shrinking on took 3 to 6 times as many
_LEAST_SHARE = 1e-6


class AcceleratedIteration(Stateful):
    """min over x of ½ ‖x - y‖² / s + R(x), in place: algorithm 2 until τ is small, and algorithm 1 from there on.

    The dual variable is kept divided by s.

    Args:
        prior: R.
        y: (N, *in_shape).
        start: where x starts; by default y.
        scale: s.
        tolerance: of the relative primal-dual gap.
    """

    state = ("x", "bar", "p", "tau", "sigma")
    mean = None
    precision = "full"

    def __init__(
        self, prior: ProximalPrior, y: Tensor, start: Tensor | None = None, scale: float = 1.0, tolerance: float = GAP
    ) -> None:
        self._prior, self._y, self._scale = prior, y, scale
        analysis = prior.analysis(y.shape[1:])
        norm = NORM_MARGIN * analysis.norm()
        self.tau = _FIRST_TAU
        self.sigma = 1 / (self.tau * norm**2) if norm else 1.0
        self.x = (y if start is None else start).clone()
        self.bar, self._old = self.x.clone(), torch.empty_like(self.x)
        self.p = y.new_zeros(len(y), *analysis.out_shape)
        self._primal: Tensor | None = None
        self.convergence = Convergence(self.gap, tolerance, "primal-dual gap", costly=True)

    @torch.no_grad()
    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One ascent of p and one descent of x."""
        self._prior.dual_step_(self.p, self.bar, self.sigma / self._scale)
        new = self._descend()
        extrapolation = 1.0
        if self.tau > _SMALLEST_TAU:
            extrapolation = (1 + 2 * self.tau) ** -0.5
            self.tau, self.sigma = self.tau * extrapolation, self.sigma / extrapolation
        torch.lerp(self.x, new, 1 + extrapolation, out=self.bar)
        self.x, self._old = new, self.x
        self._primal = None
        return self.x, self._objective() / self._scale if measure else None

    def _objective(self) -> Tensor:
        """The primal objective times s of each image (N,)."""
        if self._primal is None:
            self._primal = 0.5 * power(self.x - self._y) + self._scale * self._prior.value(self.x)
        return self._primal

    @torch.no_grad()
    def gap(self) -> Tensor:
        """Primal minus dual objective over the primal one, of each image (N,)."""
        primal = self._objective()
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
        share = self.tau / (1 + self.tau)
        new = torch.lerp(self.x, self._y, share, out=self._old)
        self._prior.add_adjoint_(new, self.p, -share * self._scale)
        return new.clamp_(0, 1) if self._prior.box else new
