"""The discrete gradient of a picture."""

from collections.abc import Sequence
from math import pi, sin

from torch import Tensor

from dipops.errors import BadValue
from dipops.operators.interface import LinearOperator


class FiniteDifferences(LinearOperator):
    """Forward differences down and across, 0 past the last pixel: (N, C, H, W) to (N, 2, C, H, W).

    Chambolle, "An algorithm for total variation minimization and applications", JMIV 2004, section 2; its adjoint is minus
    the divergence.

    Args:
        in_shape: (C, H, W).

    Raises:
        BadValue: another number of dimensions.
    """

    def __init__(self, in_shape: Sequence[int]) -> None:
        super().__init__(in_shape)
        if len(self.in_shape) != 3:
            raise BadValue(f"in_shape = {self.in_shape}", "(C, H, W)", "give grey pictures one channel")

    def forward(self, x: Tensor) -> Tensor:
        gradient = x.new_zeros(len(x), 2, *x.shape[1:])
        gradient[:, 0, :, :-1] = x[..., 1:, :] - x[..., :-1, :]
        gradient[:, 1, ..., :-1] = x[..., 1:] - x[..., :-1]
        return gradient

    def adjoint(self, y: Tensor) -> Tensor:
        down, across = y[:, 0, :, :-1], y[:, 1, ..., :-1]
        image = y.new_zeros(len(y), *self.in_shape)
        image[..., 1:, :] += down
        image[..., :-1, :] -= down
        image[..., 1:] += across
        image[..., :-1] -= across
        return image

    def norm(self) -> float:
        """Exact: the largest eigenvalue of a path of n pixels is 4 sin²(π (n - 1) / 2n), and those of two axes add up."""
        return sum(4 * sin(pi * (side - 1) / (2 * side)) ** 2 for side in self.in_shape[1:]) ** 0.5
