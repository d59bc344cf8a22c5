"""Sums and shapes of batches (N, ...), image by image."""

from collections.abc import Sequence

from torch import Tensor

CHANNELS_FIRST = "write x.movedim(-1, -3)"


def power(t: Tensor) -> Tensor:
    """Sum of squares of each member: (N, ...) gives (N,)."""
    return t.square().flatten(1).sum(1)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Values (N,) in a shape that spreads over ``like`` (N, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def is_channels_last(shape: Sequence[int]) -> bool:
    """Whether a shape looks like (..., H, W, C), the order of NumPy, and not like (..., C, H, W)."""
    return len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
