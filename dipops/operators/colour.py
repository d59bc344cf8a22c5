"""Operators on the colours of an image: the mosaic of a sensor, and combinations of channels."""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, safe_repr
from dipops.operators.checks import Shape, image_shape, real_values
from dipops.operators.interface import LinearOperator

REC_601 = (0.299, 0.587, 0.114)
_BY_PILLOW = "convert other images with images.load or Pillow"


class Mosaic(LinearOperator):
    """One colour at each pixel, as a sensor under a filter array measures it: demosaicking.

    y[0, i, j] = x[c, i, j], where c is the colour that the pattern, repeated over the image, has at (i, j). Bayer, US patent
    3,971,065, 1976, with its four letters; the X-Trans array of Fujifilm has 36.

    Args:
        in_shape: (3, H, W): red, green, blue.
        pattern: a square of the letters R, G and B, row by row from the top left pixel of the image.

    Raises:
        BadType: ``pattern`` is no string.
        BadValue: the image has not three channels, or the pattern other letters, or it is no square.
    """

    def __init__(self, in_shape: Sequence[int], pattern: str = "RGGB") -> None:
        super().__init__(in_shape)
        _require_colours(self.in_shape)
        self.pattern = pattern
        self.mask = _repeated(pattern, *self.in_shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.mask).sum(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def norm(self) -> float:
        return 1.0

    def __repr__(self) -> str:
        return f"Mosaic({', '.join(map(str, self.in_shape))}, {self.pattern!r})"


class ColourMatrix(LinearOperator):
    """Combinations of the channels of each pixel: y[m, i, j] = Σ_c matrix[m, c] x[c, i, j].

    Such as a change of the primaries, the bands of a spectral camera, or the colours that a kind of colour blindness confuses.

    Args:
        in_shape: (C, H, W).
        matrix: (M, C), real. It is copied; a tensor keeps its dtype and device.

    Raises:
        BadType: ``matrix`` is no tensor or array of real numbers.
        BadValue: it has another width, or values that are not finite, or the image is not (C, H, W).
    """

    def __init__(self, in_shape: Sequence[int], matrix: Any) -> None:
        super().__init__(in_shape)
        if len(self.in_shape) != 3:
            raise BadValue(f"in_shape = {self.in_shape}", "(C, H, W)", "write (1, H, W) for one channel")
        self.weights = _require_matrix(matrix, self.in_shape[0])
        self._like = self.weights.new_empty(0)

    def forward(self, x: Tensor) -> Tensor:
        return (self.weights @ x.flatten(2)).unflatten(2, x.shape[2:])

    def adjoint(self, y: Tensor) -> Tensor:
        return (self.weights.T @ y.flatten(2)).unflatten(2, y.shape[2:])

    def norm(self) -> float:
        return float(torch.linalg.matrix_norm(self.weights.cpu().double(), 2))


class Grayscale(ColourMatrix):
    """The luma of a colour image, 0.299 R + 0.587 G + 0.114 B: colourisation.

    ITU-R BT.601, section 2.5.1, also Pillow's "L". It weighs the values as they are stored, after gamma correction.

    Args:
        in_shape: (3, H, W): red, green, blue.

    Raises:
        BadValue: the image has not three channels.
    """

    def __init__(self, in_shape: Sequence[int]) -> None:
        _require_colours(image_shape(in_shape))
        super().__init__(in_shape, torch.tensor([REC_601]))


def _require_colours(in_shape: Shape) -> None:
    if len(in_shape) != 3 or in_shape[0] != 3:
        raise BadValue(f"in_shape = {in_shape}", "(3, H, W): red, green, blue", _BY_PILLOW)


def _repeated(pattern: str, height: int, width: int) -> Tensor:
    """1 where each of the three colours is measured, (3, H, W)."""
    if not isinstance(pattern, str):
        raise BadType(f"pattern = {safe_repr(pattern):.40}", "a string of letters", 'write "RGGB"')
    side = isqrt(len(pattern))
    if not pattern or side**2 != len(pattern) or set(pattern) - set("RGB"):
        expected = "a square of the letters R, G, B, row by row"
        raise BadValue(f"pattern = {pattern!r:.80}", expected, 'write "RGGB" for rows of RG and GB')
    letters = torch.tensor([*map("RGB".index, pattern)]).view(side, side)
    colours = letters[torch.arange(height)[:, None] % side, torch.arange(width) % side]
    return torch.stack([colours == colour for colour in range(3)]).to(torch.get_default_dtype())


def _require_matrix(matrix: Any, channels: int) -> Tensor:
    """A copy in floating point, or BadType or BadValue."""
    weights = real_values(matrix, "matrix")
    if weights.ndim != 2 or weights.shape[1] != channels or len(weights) == 0:
        shapes = f"a matrix of shape {tuple(weights.shape)} for {channels} channels"
        raise BadValue(shapes, f"shape (M, {channels})", "give a row for each channel of the output")
    return weights
