"""Priors R(x) = h(Kx) with a prox, and the primal-dual iteration that denoises with them."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import BadValue, require_number, require_positive
from dipops.operators.interface import LinearOperator
from dipops.priors.interface import PixelPrior
from dipops.problem import Problem

_PROX_STEPS = 2000
_PROX_EVERY = 10
_BLACK = 1e-4
_NOTHING = 1e-6
_FIRST_TAU = 0.7  # of 0.2 to 2 the one that took the fewest steps on f16
NORM_MARGIN = 1.01
_SMALLEST_TAU = (
    0.03  # from here plain steps, which converge linearly: shrinking on took 3 to 6 times the steps to a gap of 1e-6
)


class ProximalPrior(PixelPrior):
    """Pixels, and a convex penalty h(Kx) whose conjugate h* has a prox; optionally the values stay in [0, 1].

    Args:
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.
        box: whether values are held in [0, 1].
    """

    def __init__(self, initial: Tensor | None = None, box: bool = False) -> None:
        super().__init__(initial)
        self.box = box

    def start(self, problem: Problem, seeds: Sequence[int]) -> None:
        super().start(problem, seeds)
        self.to(problem.y)

    def analysis(self, in_shape: Sequence[int]) -> LinearOperator:
        """K, for images of this shape."""
        raise NotImplementedError

    def value(self, x: Tensor) -> Tensor:
        """R of each image, exact: (N, *in_shape) to (N,)."""
        raise NotImplementedError

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        """argmin over q of ½ ‖q - p‖² + step h*(q), for p of shape (N, *K.out_shape)."""
        raise NotImplementedError

    def conjugate(self, p: Tensor) -> Tensor:
        """h* of each dual variable where it is finite: (N, *K.out_shape) to (N,)."""
        raise NotImplementedError

    def conjugate_of_prox(self, p: Tensor) -> Tensor:
        """h* of what ``ascend`` gave, which is finite: (N, *K.out_shape) to (N,)."""
        return self.conjugate(p)

    def ascend(self, p: Tensor, x: Tensor, step: float) -> None:
        """p ← prox of step h* at p + step K x, in place: the dual half of a primal-dual step."""
        p.copy_(self.prox_conjugate(p + step * self.analysis(x.shape[1:]).forward(x), step))

    def pull(self, image: Tensor, p: Tensor, step: float) -> None:
        """image ← image + step Kᵀp, in place."""
        image.add_(self.analysis(image.shape[1:]).adjoint(p), alpha=step)

    def prox(self, x: Tensor, step: float = 1.0, gap: float = 1e-6) -> Tensor:
        """argmin over u of ½ ‖u - x‖² + step R(u), to a relative primal-dual gap, each image of (N, *in_shape) by itself.

        Raises:
            BadValue: ``step`` is not positive.
        """
        require_positive("step", step, "a positive number", "the prox of step 0 is x itself")
        denoising = Denoising(deepcopy(self).to(x), x, penalty_scale=step)
        for index in range(1, _PROX_STEPS + 1):
            denoising.step()
            if index % _PROX_EVERY == 0 and bool((denoising.gap() <= gap).all()):
                break
        return denoising.x


class Denoising:
    """min over x of ½ ‖m x - y‖² + R(x) with m in {0, 1}, by the primal-dual method of Chambolle and Pock, in place.

    "A first-order primal-dual algorithm for convex problems with applications to imaging", JMIV 2011: algorithm 2,
    accelerated, where m is 1 everywhere, for only then is the data term strongly convex, until τ is small; else algorithm 1.

    Args:
        prior: R.
        y: (N, *in_shape).
        known: m, broadcast to y, or None for 1 everywhere.
        start: where x starts; by default y.
        exact: replace the data term by the constraint m x = m y.
        penalty_scale: multiplies R.
    """

    def __init__(
        self,
        prior: ProximalPrior,
        y: Tensor,
        known: Tensor | None = None,
        start: Tensor | None = None,
        exact: bool = False,
        penalty_scale: float = 1.0,
    ) -> None:
        self._prior, self._y, self._known, self._exact, self._scale = prior, y, known, exact, penalty_scale
        operator = prior.analysis(y.shape[1:])
        self.norm = NORM_MARGIN * operator.norm()
        self.tau = _FIRST_TAU
        self.sigma = 1 / (self.tau * self.norm**2) if self.norm else 1.0
        self.x = (y if start is None else start).clone()
        self._bar, self._old = self.x.clone(), torch.empty_like(self.x)
        self.p = y.new_zeros(len(y), *operator.out_shape)
        self._accelerated = known is None and not exact
        self._primal: Tensor | None = None

    @torch.no_grad()
    def step(self) -> None:
        """One ascent of p and one descent of x. The dual variable is kept divided by ``penalty_scale``."""
        self._prior.ascend(self.p, self._bar, self.sigma / self._scale)
        new = self._descend()
        extrapolation = 1.0
        if self._accelerated and self.tau > _SMALLEST_TAU:
            extrapolation = (1 + 2 * self.tau) ** -0.5
            self.tau, self.sigma = self.tau * extrapolation, self.sigma / extrapolation
        torch.lerp(self.x, new, 1 + extrapolation, out=self._bar)
        self.x, self._old = new, self.x
        self._primal = None

    def objective(self) -> Tensor:
        """The primal objective of each image (N,)."""
        if self._primal is None:
            self._primal = self._misfit(self.x) + self._scale * self._prior.value(self.x)
        return self._primal

    def gap(self) -> Tensor:
        """Primal minus dual objective over the primal one, of each image (N,).

        Raises:
            BadValue: the dual objective is not finite: with unknown pixels and no box, or with an exact constraint.
        """
        if not self.has_gap:
            raise BadValue(
                "a gap where pixels are unknown", "a problem with a strongly convex data term", "use Tolerance(change=1e-5)"
            )
        primal = self.objective()
        pulled = torch.zeros_like(self._y)
        self._prior.pull(pulled, self.p, self._scale)
        best = self._y - pulled
        if self._prior.box:
            best.clamp_(0, 1)
        dual = 0.5 * (best - self._y).square_() + pulled.mul_(best)
        dual = dual.flatten(1).sum(1) - self._scale * self._prior.conjugate_of_prox(self.p)
        rounding = torch.finfo(primal.dtype).eps
        floor = _NOTHING * 0.5 * power(self._y) + torch.finfo(primal.dtype).tiny
        return ((primal - dual) / torch.maximum(primal, floor)).clamp(min=rounding)

    @property
    def has_gap(self) -> bool:
        """Whether the gap can be computed."""
        return self._accelerated

    def change(self) -> Tensor:
        """How much the last step moved each image, relative to its norm (N,)."""
        return relative_change(self.x, self._old)

    def _descend(self) -> Tensor:
        """The prox of τ times the data term at x - τ Kᵀp, in the memory of the last but one x."""
        tau, new = self.tau, self._old
        if self._known is None and not self._exact:
            torch.lerp(self.x, self._y, tau / (1 + tau), out=new)
            self._prior.pull(new, self.p, -tau * self._scale / (1 + tau))
        else:
            self._prior.pull(new.copy_(self.x), self.p, -tau * self._scale)
            if self._known is None:
                new.copy_(self._y)
            elif self._exact:
                new.copy_(torch.where(self._known > 0, self._y, new))
            else:
                new.addcmul_(self._y, self._known, value=tau).div_(1 + tau * self._known)
        return new.clamp_(0, 1) if self._prior.box else new

    def _misfit(self, x: Tensor) -> Tensor:
        image = x if self._known is None else x * self._known
        return 0.5 * (image - self._y).square_().flatten(1).sum(1)


def relative_change(x: Tensor, old: Tensor) -> Tensor:
    """‖x - old‖ / ‖x‖ of each image (N,), a black one counted as one of 1e-4 everywhere."""
    size = x.flatten(1).norm(dim=1).clamp(min=_BLACK * x[0].numel() ** 0.5)
    return (x - old).flatten(1).norm(dim=1) / size


def require_weight(weight: float, advice: str = "let tune find it") -> float:
    """A finite weight of at least 0, or BadType or BadValue."""
    return require_number("weight", weight, lambda w: 0 <= w < float("inf"), "a finite number of at least 0", advice)
