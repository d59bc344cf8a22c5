"""Priors R(x) = h(Kx) with a prox."""

from collections.abc import Sequence

from torch import Tensor

from dipops.errors import require_number
from dipops.operators import LinearOperator
from dipops.priors.interface import PixelPrior


class ProximalPrior(PixelPrior):
    """Pixels, and a convex penalty h(Kx) whose conjugate h* has a prox; optionally the values stay in [0, 1].

    A subclass writes ``analysis``, ``value``, ``prox_conjugate`` and ``conjugate``.

    Args:
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.
        box: whether values are held in [0, 1].
    """

    def __init__(self, initial: Tensor | None = None, box: bool = False) -> None:
        super().__init__(initial)
        self.box = box

    def analysis(self, in_shape: Sequence[int]) -> LinearOperator:
        """K, for images of this shape."""
        raise NotImplementedError

    def analysis_like(self, x: Tensor) -> LinearOperator:
        """K for images x (N, *in_shape), moved to their dtype and device."""
        return self.analysis(x.shape[1:]).to(x)

    def value(self, x: Tensor) -> Tensor:
        """R of each image, exact: (N, *in_shape) to (N,)."""
        raise NotImplementedError

    def penalty(self, x: Tensor) -> Tensor:
        return self.value(x)

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        """argmin over q of ½ ‖q - p‖² + step h*(q), for p of shape (N, *K.out_shape)."""
        raise NotImplementedError

    def conjugate(self, p: Tensor) -> Tensor:
        """h* of each dual variable where it is finite: (N, *K.out_shape) to (N,)."""
        raise NotImplementedError(f"{type(self).__name__} must define conjugate(self, p), by which PrimalDual stops")

    def conjugate_of_prox(self, p: Tensor) -> Tensor:
        """h* of what ``dual_step_`` gave, which is finite: (N, *K.out_shape) to (N,)."""
        return self.conjugate(p)

    def dual_step_(self, p: Tensor, x: Tensor, step: float) -> None:
        """p ← prox of step h* at p + step K x, in place: the dual half of a primal-dual step."""
        p.copy_(self.prox_conjugate(p + step * self.analysis_like(x).forward(x), step))

    def add_adjoint_(self, image: Tensor, p: Tensor, step: float) -> None:
        """image ← image + step Kᵀp, in place."""
        image.add_(self.analysis_like(image).adjoint(p), alpha=step)


def require_weight(weight: float) -> float:
    """A finite weight of at least 0, or BadType or BadValue."""
    return require_number(
        "weight", weight, lambda w: 0 <= w < float("inf"), "a finite number of at least 0", "let tune find it"
    )
