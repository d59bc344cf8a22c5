"""The discrete gradient of an image."""

from collections.abc import Sequence
from functools import cache
from math import pi, sin
from typing import Any

import torch
from torch import Tensor

from dipops.operators.checks import Shape
from dipops.operators.interface import LinearOperator

Index = tuple[Any, ...]


class FiniteDifferences(LinearOperator):
    """Forward differences along each spatial axis, 0 past the last pixel: (N, *in_shape) to (N, axes, *in_shape).

    A signal (n,) has one spatial axis and an image (H, W) has two. Of three dimensions and more the first are channels, which
    are not compared with each other: two axes for (C, H, W), three for (C, D, H, W).

    Chambolle, "An algorithm for total variation minimization and applications", JMIV 2004, section 2; its adjoint is minus
    the divergence.

    Args:
        in_shape: (n,), (H, W), (C, H, W), (C, D, H, W) or more.
    """

    def __init__(self, in_shape: Sequence[int]) -> None:
        super().__init__(in_shape)
        self._axes = len(self.in_shape) - has_channels(self.in_shape)

    @property
    def out_shape(self) -> Shape:
        return (self._axes, *self.in_shape)

    def forward(self, x: Tensor) -> Tensor:
        field = x.new_zeros(len(x), self._axes, *x.shape[1:])
        add_differences(field, x, 1.0)
        return field

    def adjoint(self, y: Tensor) -> Tensor:
        image = torch.zeros_like(y[:, 0])
        add_adjoint_differences(image, y, 1.0)
        return image

    def norm(self) -> float:
        """Exact: the largest eigenvalue of a path of n pixels is 4 sin²(π (n - 1) / 2n), and those of the axes add up."""
        return sum(4 * sin(pi * (side - 1) / (2 * side)) ** 2 for side in self.in_shape[-self._axes :]) ** 0.5


def has_channels(in_shape: Sequence[int]) -> bool:
    """Whether the first dimension of an image is its channels: from three dimensions on."""
    return len(in_shape) > 2


def add_differences(field: Tensor, x: Tensor, scale: float) -> None:
    """field += scale D x, in place and without a temporary: (N, axes, *in_shape) and (N, *in_shape)."""
    for part, later, earlier in _slices(field.shape[1]):
        field[part].add_(x[later], alpha=scale).sub_(x[earlier], alpha=scale)


def add_adjoint_differences(image: Tensor, field: Tensor, scale: float) -> None:
    """image += scale Dᵀ field, in place and without a temporary: (N, *in_shape) and (N, axes, *in_shape)."""
    for part, later, earlier in _slices(field.shape[1]):
        differences = field[part]
        image[later].add_(differences, alpha=scale)
        image[earlier].sub_(differences, alpha=scale)


@cache
def _slices(axes: int) -> tuple[tuple[Index, Index, Index], ...]:
    """For each axis, where a field has its differences, and where an image has the later and the earlier pixels of them."""
    after = [(slice(None),) * (axes - 1 - k) for k in range(axes)]
    later, earlier = ([(..., pixels, *rest) for rest in after] for pixels in (slice(1, None), slice(None, -1)))
    return tuple(((slice(None), k, *earlier[k]), later[k], earlier[k]) for k in range(axes))
