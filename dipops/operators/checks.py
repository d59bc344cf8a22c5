"""What an operator demands of its shape, its input and its partners."""

from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue

Shape = tuple[int, ...]


def image_shape(in_shape: Sequence[int]) -> Shape:
    """``in_shape`` as a tuple of positive integers, or BadValue."""
    try:
        shape = tuple(index(side) for side in in_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise BadValue(f"in_shape = {in_shape!r}", "the shape of one image, such as (3, 64, 64)", "leave the batch out")
    return shape


def require_batch(x: Any, shape: Shape, like: Tensor, name: str, owner: str) -> None:
    """Raise unless ``x`` is a real tensor (N, *shape) with the dtype and device of ``like``."""
    wanted = f"a tensor of shape (N, {', '.join(map(str, shape))})"
    if not isinstance(x, Tensor):
        raise BadType(f"{name} is a {type(x).__name__}", wanted, "use torch.as_tensor, or images.load for a file")
    if not x.is_floating_point():
        advice = "treat its real and imaginary parts" if x.is_complex() else "convert 8-bit values with x.float() / 255"
        raise BadType(f"{name} is a tensor of {x.dtype}", "real floating-point values", advice)
    if tuple(x.shape[1:]) != shape:
        advice = "add a batch dimension: x[None]" if tuple(x.shape) == shape else f"{owner} takes no other shape"
        raise BadValue(f"{name} has shape {tuple(x.shape)}", wanted, advice)
    if kind(x) != kind(like):
        raise BadValue(f"{name} is {kind(x)}", f"{kind(like)} like {owner}", "move one of them: operator.to(x) or x.to(...)")


def require_output(out: Any, owner: str) -> None:
    """Raise unless ``out``, the result for a batch of one image, is a tensor (1, ...)."""
    if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 1:
        came = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        advice = "keep the batch dimension, and one more: keepdim=True"
        raise BadType(f"{owner}.forward gives {came} for one image", "a tensor (N, ...) of two dimensions or more", advice)


def same_kind(likes: Sequence[Tensor]) -> Tensor:
    """The first of the tensors, if all have one dtype and device, or BadValue."""
    kinds = {kind(like) for like in likes}
    if len(kinds) > 1:
        raise BadValue(f"operators in {' and '.join(sorted(kinds))}", "one dtype and device", "move them with .to() first")
    return likes[0]


def same_guide(guides: Sequence[Tensor | None]) -> Tensor | None:
    """The one guide among several operators, None where there is none, or BadValue."""
    found = [guide for guide in guides if guide is not None]
    if any(not torch.equal(found[0], other) for other in found[1:]):
        raise BadValue(f"{len(found)} operators with different guides", "one guide", "give the guide to one of them only")
    return found[0] if found else None


def kind(t: Tensor) -> str:
    """Dtype and device in words."""
    return f"{str(t.dtype).removeprefix('torch.')} on {t.device}"
