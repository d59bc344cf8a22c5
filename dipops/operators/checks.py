"""What an operator requires of its shape, its input and its partners."""

from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from dipops._tools.batches import CHANNELS_FIRST, is_channels_last
from dipops.errors import BadType, BadValue, safe_repr

Shape = tuple[int, ...]


def image_shape(in_shape: Sequence[int]) -> Shape:
    """``in_shape`` as a tuple of positive integers, or BadValue."""
    shape = tuple(index(side) for side in in_shape)
    if not shape or min(shape) < 1:
        raise BadValue(f"in_shape = {in_shape!r}", "the shape of one image, such as (3, 64, 64)", "leave the batch out")
    return shape


def image_sides(in_shape: Sequence[int]) -> tuple[int, int]:
    """Height and width, the last two sides of an image, or BadValue."""
    shape = image_shape(in_shape)
    if len(shape) < 2:
        raise BadValue(f"in_shape = {shape}", "(H, W) or (C, H, W)", "the last two sides are height and width")
    return shape[-2], shape[-1]


def real_values(values: Any, name: str) -> Tensor:
    """A copy of real, finite numbers: floating-point tensors keep their dtype, anything else gets the default one."""
    if isinstance(values, Tensor) and values.requires_grad:
        raise BadType(f"{name} with requires_grad", "fixed values", "write an operator of your own to fit them, or detach them")
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(f"{name}: {safe_repr(values)[:80]}", "a tensor or array of numbers", "use torch.as_tensor") from error
    if tensor.is_complex():
        raise BadType(
            f"{name} of {tensor.dtype}", "real numbers", "stack an operator of the real and one of the imaginary part"
        )
    if not tensor.isfinite().all():
        raise BadValue(f"{name} with NaN or infinite values", "finite numbers", "look at how they were made")
    keeps = isinstance(values, Tensor) and values.is_floating_point()
    return tensor.to(tensor.dtype if keeps else torch.get_default_dtype(), copy=True)


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
        advice = "add a batch dimension: x[None]" if tuple(x.shape) == shape else f"{safe_repr(owner)} takes no other shape"
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
