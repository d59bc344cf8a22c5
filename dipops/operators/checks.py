"""What an operator requires of its shape, its input and its partners."""

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dipops._tools.batches import CHANNELS_FIRST, is_channels_last
from dipops.errors import BadType, BadValue, safe_repr

Shape = tuple[int, ...]


def image_shape(in_shape: Sequence[int], name: str = "in_shape") -> Shape:
    """A shape as a tuple of positive integers, or BadValue."""
    expected = "the shape of one image, such as (3, 64, 64)"
    if isinstance(in_shape, Tensor | np.ndarray) and in_shape.ndim > 1:
        raise BadValue(f"{name} is an image of {tuple(in_shape.shape)}", expected, "write x.shape, without the batch")
    try:
        shape = tuple(index(side) for side in in_shape)
    except TypeError as error:
        raise BadValue(f"{name} = {_short(in_shape)}", expected, "write x.shape of an image x, without the batch") from error
    if not shape or min(shape) < 1:
        raise BadValue(f"{name} = {_short(in_shape)}", expected, "leave the batch out")
    return shape


def image_sides(in_shape: Sequence[int]) -> tuple[int, int]:
    """Height and width, the last two sides of an image, or BadValue."""
    shape = image_shape(in_shape)
    if len(shape) < 2:
        raise BadValue(f"in_shape = {shape}", "(H, W) or (C, H, W)", "the last two sides are height and width")
    return shape[-2], shape[-1]


def as_tensor(values: Any, name: str) -> Tensor:
    """A tensor of a user's numbers, of which tensors keep their dtype, and arrays and lists get the default one.

    Raises:
        BadType: they are none, are sparse, or have a gradient.
    """
    expected = "a tensor or an array of numbers"
    if isinstance(values, Tensor):
        if values.requires_grad:
            raise BadType(
                f"{name} with requires_grad", "fixed values", f"detach {name}, or write an operator of your own to fit it"
            )
        if values.layout is not torch.strided:
            raise BadType(f"{name}, a sparse tensor", "a dense one", f"write {name}.to_dense()")
        return values if values.is_floating_point() or values.is_complex() else values.to(torch.get_default_dtype())
    try:
        array = np.array(values)
        kind = complex if np.iscomplexobj(array) else float
        if array.dtype.kind not in "biufc":
            raise TypeError(f"numbers expected, not {array.dtype}")
        tensor = torch.from_numpy(array.astype(kind))
    except (TypeError, ValueError) as error:
        raise BadType(f"{name} = {_short(values)}", expected, "look at what it holds") from error
    real = torch.get_default_dtype()
    return tensor.to(real.to_complex() if tensor.is_complex() else real)


def real_values(values: Any, name: str) -> Tensor:
    """A copy of ``as_tensor`` of real, finite numbers, or BadType or BadValue."""
    tensor = as_tensor(values, name)
    if tensor.is_complex():
        raise BadType(
            f"{name} of {tensor.dtype}", "real numbers", "stack an operator of the real and one of the imaginary part"
        )
    if not tensor.isfinite().all():
        raise BadValue(f"{name} with NaN or infinite values", "finite numbers", "look at how it was made")
    return tensor.clone()


def _short(values: object) -> str:
    """A value in one line of at most 80 characters."""
    return " ".join(safe_repr(values).split())[:80]


def require_batch(x: Tensor, shape: Shape, like: Tensor, name: str, owner: object) -> None:
    """Raise unless ``x`` is a real tensor (N, *shape) with the dtype and device of ``like``."""
    if not isinstance(x, Tensor):
        raise BadType(f"{name} is a {type(x).__name__}", "a tensor", "use torch.as_tensor, or images.load for a file")
    if not x.is_floating_point():
        advice = (
            "pass torch.view_as_real(x): real and imaginary parts"
            if x.is_complex()
            else "convert 8-bit values with x.float() / 255"
        )
        raise BadType(f"{name} is a tensor of {x.dtype}", "real floating-point values", advice)
    if x.layout is not torch.strided:
        raise BadType(f"{name} is a sparse tensor", "a dense one", "write x.to_dense()")
    if tuple(x.shape[1:]) != shape:
        missing = len(shape) + 1 - x.ndim
        advice = f"{safe_repr(owner)} takes no other shape"
        if missing > 0 and (*(1,) * (missing - 1), *x.shape) == shape:
            advice = f"add a batch{' and a channel' if missing > 1 else ''} dimension: {name}[{', '.join(['None'] * missing)}]"
        if len(shape) == 3 and is_channels_last(x.shape) and not is_channels_last(shape):
            advice = f"{name} looks like (H, W, C): {CHANNELS_FIRST}"
        raise BadValue(f"{name} has shape {tuple(x.shape)}", f"shape (N, {', '.join(map(str, shape))})", advice)
    if x.dtype != like.dtype or x.device != like.device:
        advice = "move one of them: operator.to(x) or x.to(...)"
        raise BadValue(f"{name} is {dtype_and_device(x)}", f"{dtype_and_device(like)} like {safe_repr(owner)}", advice)


def common_like(likes: Sequence[Tensor]) -> Tensor:
    """The first of the tensors, if all have one dtype and device, or BadValue."""
    differing = sorted({dtype_and_device(like) for like in likes})
    if len(differing) > 1:
        raise BadValue(f"operators in {' and '.join(differing)}", "one dtype and device", "move them with .to() first")
    return likes[0]


def common_guide(guides: Sequence[Tensor | None]) -> Tensor | None:
    """The one guide among several operators, None where there is none, or BadValue."""
    present = [guide for guide in guides if guide is not None]
    if any(not torch.equal(present[0], other) for other in present[1:]):
        raise BadValue("operators with different guides", "one guide", "give the guide to one of them only")
    return present[0] if present else None


def dtype_and_device(t: Tensor) -> str:
    """Such as "float32 on cpu"."""
    return f"{str(t.dtype).removeprefix('torch.')} on {t.device}"
