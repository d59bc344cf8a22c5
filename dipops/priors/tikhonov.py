"""Tikhonov's prior: the square of an image, or of its derivative, is small."""

from collections.abc import Sequence

from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import safe_repr
from dipops.operators import Identity, LinearOperator
from dipops.priors.proximal import ProximalPrior, require_weight


class Tikhonov(ProximalPrior):
    """Pixels, and ½ μ ‖Lx‖².

    Tikhonov, "Solution of incorrectly formulated problems and the regularization method", 1963.

    Args:
        weight: μ, at least 0.
        operator: L, a linear operator on the images, such as FiniteDifferences(in_shape); the identity by default.
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.

    Raises:
        BadValue: the weight is negative or not finite.
    """

    def __init__(self, weight: float, operator: LinearOperator | None = None, initial: Tensor | None = None) -> None:
        super().__init__(initial)
        self.weight, self.operator = require_weight(weight), operator

    def analysis(self, in_shape: Sequence[int]) -> LinearOperator:
        return Identity(in_shape) if self.operator is None else self.operator

    def value(self, x: Tensor) -> Tensor:
        """½ μ ‖Lx‖² of each image: (N, *in_shape) to (N,)."""
        return 0.5 * self.weight * power(x if self.operator is None else self.operator(x))

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        """μ p / (μ + step)."""
        return p * (self.weight / (self.weight + step))

    def conjugate(self, p: Tensor) -> Tensor:
        """‖p‖² / 2μ of each dual variable."""
        if self.weight == 0:
            return p.new_zeros(len(p))
        return power(p) / (2 * self.weight)

    def __repr__(self) -> str:
        return f"Tikhonov({self.weight!r}{'' if self.operator is None else f', {safe_repr(self.operator)}'})"
