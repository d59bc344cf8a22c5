"""Sums and shapes of batches (N, ...), image by image."""

from torch import Tensor


def power(t: Tensor) -> Tensor:
    """Sum of squares of each member: (N, ...) gives (N,)."""
    return t.square().flatten(1).sum(1)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Values (N,) in a shape that spreads over ``like`` (N, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))
