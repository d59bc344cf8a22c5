"""The discrete gradient of an image."""

from collections.abc import Sequence
from math import pi, sin

import torch
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
            raise BadValue(f"in_shape = {self.in_shape}", "(C, H, W)", "give grey images one channel")

    def forward(self, x: Tensor) -> Tensor:
        field = x.new_zeros(len(x), 2, *x.shape[1:])
        add_differences(field, x, 1.0)
        return field

    def adjoint(self, y: Tensor) -> Tensor:
        image = torch.zeros_like(y[:, 0])
        add_adjoint_differences(image, y, 1.0)
        return image

    def norm(self) -> float:
        """Exact: the largest eigenvalue of a path of n pixels is 4 sin²(π (n - 1) / 2n), and those of two axes add up."""
        return sum(4 * sin(pi * (side - 1) / (2 * side)) ** 2 for side in self.in_shape[1:]) ** 0.5


def add_differences(field: Tensor, x: Tensor, scale: float) -> None:
    """field += scale D x, in place and without a temporary: (N, 2, C, H, W) and (N, C, H, W)."""
    field[:, 0, :, :-1].add_(x[..., 1:, :], alpha=scale).sub_(x[..., :-1, :], alpha=scale)
    field[:, 1, ..., :-1].add_(x[..., 1:], alpha=scale).sub_(x[..., :-1], alpha=scale)


def add_adjoint_differences(image: Tensor, field: Tensor, scale: float) -> None:
    """image += scale Dᵀ field, in place and without a temporary: (N, C, H, W) and (N, 2, C, H, W)."""
    down, across = field[:, 0, :, :-1], field[:, 1, ..., :-1]
    image[..., 1:, :].add_(down, alpha=scale)
    image[..., :-1, :].sub_(down, alpha=scale)
    image[..., 1:].add_(across, alpha=scale)
    image[..., :-1].sub_(across, alpha=scale)
