"""Operators that move pixels or change what is around them: crop, pad, shift."""

from collections.abc import Sequence
from math import ceil, floor
from operator import index

import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue, require_choice, require_integer, require_number, safe_repr
from dipops.operators.borders import Boundary, extend, fold
from dipops.operators.checks import image_shape, image_sides
from dipops.operators.interface import LinearOperator


class Crop(LinearOperator):
    """Keeps a rectangle of the image.

    Args:
        in_shape: (H, W), (C, H, W) or more; the last two axes are cropped.
        size: (height, width) of the rectangle.
        offset: (down, right) of its first pixel; by default the rectangle is in the middle.

    Raises:
        BadValue: the rectangle is not within the image.
    """

    def __init__(self, in_shape: Sequence[int], size: Sequence[int], offset: Sequence[int] | None = None) -> None:
        super().__init__(in_shape)
        rows, columns = image_sides(self.in_shape)
        height, width = _pair("size", image_shape(size, "size"))
        top, left = ((rows - height) // 2, (columns - width) // 2) if offset is None else _pair("offset", offset)
        if min(top, left) < 0 or top + height > rows or left + width > columns:
            where = "" if offset is None else f" from ({top}, {left})"
            came = f"{width} x {height} pixels{where} of an image of {columns} x {rows}"
            raise BadValue(came, "a rectangle within the image", "choose another size or offset (down, right)")
        self.size, self.offset = (height, width), (top, left)
        self._around = left, columns - left - width, top, rows - top - height

    def forward(self, x: Tensor) -> Tensor:
        return x.narrow(-2, self.offset[0], self.size[0]).narrow(-1, self.offset[1], self.size[1]).clone()

    def adjoint(self, y: Tensor) -> Tensor:
        return F.pad(y, self._around)


class Pad(LinearOperator):
    """Adds pixels around the image.

    Args:
        in_shape: (H, W), (C, H, W) or more; the last two axes are padded.
        padding: how many pixels, on every side, or (top, bottom, left, right).
        boundary: what is added. "zeros"; "reflect" mirrors the image at its edge and repeats the last pixel, "circular"
            continues it on the other side, "nearest" repeats the last pixel.

    Raises:
        BadValue: a padding is negative, or larger than the image that is repeated.
    """

    def __init__(self, in_shape: Sequence[int], padding: int | Sequence[int], boundary: Boundary = "zeros") -> None:
        super().__init__(in_shape)
        rows, columns = image_sides(self.in_shape)
        require_choice("boundary", boundary, Boundary)
        sides = tuple(padding) if isinstance(padding, Sequence) else (padding,) * 4
        if len(sides) != 4:
            raise BadValue(f"padding = {padding}", "one integer, or (top, bottom, left, right)", "name all four sides")
        self.padding = tuple(require_integer("padding", side, 0, "use Crop to make an image smaller") for side in sides)
        limits = rows, rows, columns, columns
        if boundary in ("reflect", "circular") and any(side > limit for side, limit in zip(self.padding, limits, strict=True)):
            came = f'padding = {padding} by "{boundary}" for an image of {columns} x {rows} pixels'
            raise BadValue(came, "at most its own size", "pad less, or with zeros")
        self.boundary: Boundary = boundary

    def forward(self, x: Tensor) -> Tensor:
        top, bottom, left, right = self.padding
        return extend(extend(x, -1, left, right, self.boundary), -2, top, bottom, self.boundary)

    def adjoint(self, y: Tensor) -> Tensor:
        top, bottom, left, right = self.padding
        return fold(fold(y, -2, top, bottom, self.boundary), -1, left, right, self.boundary)


class Shift(LinearOperator):
    """Moves the image by any number of pixels, linearly interpolated: y(p) = x(p - offset).

    It equals ``scipy.ndimage.shift`` of order 1 with the modes "reflect", "grid-wrap", "nearest" and "grid-constant".

    Args:
        in_shape: (H, W), (C, H, W) or more; the last two axes are shifted.
        offset: (down, right) in pixels, no more than the size of the image.
        boundary: what moves in, as in :class:`Pad`.

    Raises:
        BadValue: the offset is larger than the image, or not finite.
    """

    def __init__(self, in_shape: Sequence[int], offset: Sequence[float], boundary: Boundary = "reflect") -> None:
        super().__init__(in_shape)
        limits = image_sides(self.in_shape)
        require_choice("boundary", boundary, Boundary)
        if not isinstance(offset, Sequence) or len(offset) != 2:
            raise BadValue(f"offset = {safe_repr(offset)}", "(down, right) in pixels", "name both")
        expected, advice = f"at most the {limits[1]} x {limits[0]} pixels of the image", "shift by less"
        down, right = (
            require_number("offset", step, lambda step, most=limit: abs(step) <= most, expected, advice)
            for step, limit in zip(offset, limits, strict=True)
        )
        self.offset = down, right
        self.boundary: Boundary = boundary

    def forward(self, x: Tensor) -> Tensor:
        for axis, offset in zip((-2, -1), self.offset, strict=True):
            before, after, far, share = _steps(offset)
            wide, size = extend(x, axis, before, after, self.boundary), x.shape[axis]
            x = (1 - share) * wide.narrow(axis, far, size) + share * wide.narrow(axis, far + 1, size)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        for axis, offset in zip((-1, -2), reversed(self.offset), strict=True):
            before, after, far, share = _steps(offset)
            first = extend((1 - share) * y, axis, far, before + after - far, "zeros")
            second = extend(share * y, axis, far + 1, before + after - far - 1, "zeros")
            y = fold(first + second, axis, before, after, self.boundary)
        return y


def _pair(name: str, values: Sequence[int]) -> tuple[int, int]:
    """Two integers, or BadValue."""
    try:
        first, second = map(index, values)
    except (TypeError, ValueError) as error:
        advice = "write x.shape[-2:], say" if name == "size" else "write (0, 0), say"
        raise BadValue(f"{name} = {safe_repr(values)}", "two integers, down and right", advice) from error
    return first, second


def _steps(offset: float) -> tuple[int, int, int, float]:
    """Pixels before and after that a shift needs, where in them the first of two neighbours is, and the share of the second."""
    back = -offset
    whole = floor(back) if back < 0 else ceil(back) - 1
    before = max(0, -whole)
    return before, max(0, whole + 1), before + whole, back - whole
