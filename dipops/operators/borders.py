"""What an image is taken to be beyond its border."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Boundary = Literal["reflect", "circular", "nearest", "zeros"]


def extend(x: Tensor, axis: int, before: int, after: int, boundary: Boundary) -> Tensor:
    """``x`` with so many pixels more at both ends of an axis, -1 or -2; "reflect" repeats the last pixel: b a | a b c | c b.

    Except for zeros, at most as many as the axis has.
    """
    size = x.shape[axis]
    if boundary == "zeros":
        return F.pad(x, (before, after) if axis == -1 else (0, 0, before, after))
    if boundary == "circular":
        ends = x.narrow(axis, size - before, before), x.narrow(axis, 0, after)
    elif boundary == "reflect":
        ends = x.narrow(axis, 0, before).flip(axis), x.narrow(axis, size - after, after).flip(axis)
    else:
        ends = _repeated(x.narrow(axis, 0, 1), axis, before), _repeated(x.narrow(axis, size - 1, 1), axis, after)
    return torch.cat([ends[0], x, ends[1]], axis)


def fold(y: Tensor, axis: int, before: int, after: int, boundary: Boundary) -> Tensor:
    """The transpose of ``extend``: what stands beyond the border is added to the pixels that were repeated there."""
    size = y.shape[axis] - before - after
    x = y.narrow(axis, before, size)
    if boundary == "zeros":
        return x
    x, first, last = x.clone(), y.narrow(axis, 0, before), y.narrow(axis, before + size, after)
    if boundary == "circular":
        x.narrow(axis, size - before, before).add_(first)
        x.narrow(axis, 0, after).add_(last)
    elif boundary == "reflect":
        x.narrow(axis, 0, before).add_(first.flip(axis))
        x.narrow(axis, size - after, after).add_(last.flip(axis))
    else:
        x.narrow(axis, 0, 1).add_(first.sum(axis, keepdim=True))
        x.narrow(axis, size - 1, 1).add_(last.sum(axis, keepdim=True))
    return x


def _repeated(edge: Tensor, axis: int, count: int) -> Tensor:
    return edge.expand(*edge.shape[:-1], count) if axis == -1 else edge.expand(*edge.shape[:-2], count, edge.shape[-1])
