"""What lossy compression does to an image."""

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from dipops._tools.precision import has_float64
from dipops.errors import BadValue, require_integer, require_number
from dipops.operators import checks
from dipops.operators.borders import extend
from dipops.operators.colour import REC_601
from dipops.operators.interface import DifferentiableOperator

_BLOCK = 8
_WHITE = 255
_MIDDLE = 128
_TIE = 2**-16

# ITU-T T.81 (1992), Annex K, tables K.1 and K.2
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * _BLOCK,) * 4,
)


class JPEG(DifferentiableOperator):
    """The image that a JPEG file holds, with rounding that is made smooth: artefacts of compression.

    ITU-T T.81: YCbCr of values up to 255, cosine transform of blocks of 8 x 8 pixels, coefficients rounded to multiples of the
    quantisation tables, and back; colours are not subsampled. Sides that are no multiples of 8 are padded by their last pixels.
    Rounding is r(t) = t - atan2(b sin 2πt, 1 + b cos 2πt) / π, the Fourier series of round(t) with the k-th term damped by b^k.
    It rises strictly, with slopes from (1 - b) / (1 + b) at integers to (1 + b) / (1 - b) at halves. b = 0 is no rounding, and
    values beyond [0, 1] are not clipped. The derivative magnifies errors of float32 by 1 / (1 - b)²: check it in float64.
    ``compress`` is the same with hard rounding.

    Args:
        in_shape: (3, H, W), red, green, blue; or (1, H, W), gray. Values in [0, 1].
        quality: from 1 to 100, as libjpeg and Pillow scale the tables of Annex K.
        sharpness: b, of at least 0 and below 1. A larger b makes the operator truer and harder to fit.

    Raises:
        BadType: ``quality`` is no integer, or ``sharpness`` no number.
        BadValue: one is out of its range, or the image has another number of channels.
    """

    def __init__(self, in_shape: Sequence[int], quality: int, sharpness: float = 0.5) -> None:
        super().__init__(in_shape)
        if len(self.in_shape) != 3 or self.in_shape[0] not in (1, 3):
            raise BadValue(f"in_shape = {self.in_shape}", "(3, H, W) or (1, H, W)", "compress other channels one by one")
        in_range, expected = (lambda b: 0 <= b < 1), "a number of at least 0 and below 1"
        self.sharpness = require_number("sharpness", sharpness, in_range, expected, "call compress(x) for hard rounding")
        self.quality = quality
        tables = [quantisation_table(base, quality) for base in (_LUMA, _CHROMA, _CHROMA)[: self.in_shape[0]]]
        colours = _to_luma_and_chroma() if self.in_shape[0] == 3 else torch.ones(1, 1, dtype=torch.float64)
        middle = torch.tensor([_MIDDLE, 0.0, 0.0][: len(colours)]).view(-1, 1, 1)
        dtype = torch.get_default_dtype()
        self.steps, self.middle = torch.tensor(tables).flatten(1)[:, None].to(dtype), middle.to(dtype)
        self.cosines = _cosines().to(dtype)
        self.to_luma, self.from_luma = colours.to(dtype), torch.linalg.inv(colours).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        planes = _combined(self.to_luma, _WHITE * x) - self.middle
        coefficients = smooth_round(self._coefficients(planes) / self.steps, self.sharpness) * self.steps
        return _combined(self.from_luma, self._planes(coefficients) + self.middle) / _WHITE

    @torch.no_grad()
    def compress(self, x: Tensor) -> Tensor:
        """What a file of this quality holds: hard rounding, and 8 bits throughout, so that it has no derivative.

        Where a coefficient is nearly half-way between two steps, libjpeg's integer arithmetic may take the other one.

        Args:
            x: (N, *in_shape), clipped to [0, 1].

        Raises:
            BadType, BadValue: x does not fit the operator.
        """
        checks.require_batch(x, self.in_shape, self._like, "x", self)
        planes = _to_bytes(self._planes(self._quantised(x) * self.steps) + _MIDDLE) - _MIDDLE
        return _to_bytes(_combined(self.from_luma, planes + self.middle)) / _WHITE

    def _quantised(self, x: Tensor) -> Tensor:
        """The integers in the file, (N, C, blocks, 64), with the ties of libjpeg.

        Halves of chroma go down (jccolor.c), the transform gives eighths (jfdctint.c), and halves of a step go away from zero.
        """
        to_luma, middle, bytes_of_x = self.to_luma, self.middle, _to_bytes(_WHITE * x)
        if not has_float64(x.device):
            to_luma, middle, bytes_of_x = to_luma.cpu(), middle.cpu(), bytes_of_x.cpu()
        colours = _combined(to_luma.double(), bytes_of_x.double())
        planes = _nearest(colours - _TIE * (middle == 0)).to(x) - self.middle
        steps = _nearest(8 * self._coefficients(planes)) / 8 / self.steps
        return steps.sign() * _nearest(steps.abs())

    def _coefficients(self, planes: Tensor) -> Tensor:
        """The cosine transform of each block, (N, C, H, W) to (N, C, blocks, 64)."""
        down, right = (-side % _BLOCK for side in self.in_shape[1:])
        return _blocks(extend(extend(planes, -2, 0, down, "nearest"), -1, 0, right, "nearest")) @ self.cosines.T

    def _planes(self, coefficients: Tensor) -> Tensor:
        """The reverse."""
        _, height, width = self.in_shape
        return _from_blocks(coefficients @ self.cosines, -(-width // _BLOCK))[..., :height, :width]

    def __repr__(self) -> str:
        sharpness = "" if self.sharpness == 0.5 else f", sharpness={self.sharpness:g}"
        return f"JPEG({', '.join(map(str, self.in_shape))}, quality={self.quality}{sharpness})"


def smooth_round(values: Tensor, sharpness: float) -> Tensor:
    """t - atan2(b sin 2πt, 1 + b cos 2πt) / π: the identity for b = 0, and ever nearer to rounding as b nears 1."""
    angles = 2 * pi * values
    return values - torch.atan2(sharpness * angles.sin(), 1 + sharpness * angles.cos()) / pi


def quantisation_table(base: Sequence[Sequence[int]], quality: int) -> list[list[int]]:
    """A table of Annex K for a quality from 1 to 100, as the Independent JPEG Group's libjpeg scales it (jcparam.c)."""
    advice = "50 takes the tables of the standard, 75 is usual"
    if require_integer("quality", quality, 1, advice) > 100:
        raise BadValue(f"quality = {quality}", "an integer from 1 to 100", advice)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [[min(max((step * percent + 50) // 100, 1), 255) for step in row] for row in base]


def _cosines() -> Tensor:
    """The orthonormal cosine transform of a block of 8 x 8 values as a matrix (64, 64), T.81, section A.3.3."""
    frequency, place = torch.arange(_BLOCK, dtype=torch.float64)[:, None], torch.arange(_BLOCK, dtype=torch.float64)
    waves = torch.cos((2 * place + 1) * frequency * pi / (2 * _BLOCK))
    squares = waves.square().sum(1)
    return torch.kron(waves, waves) / torch.kron(squares, squares).sqrt()[:, None]


def _to_luma_and_chroma() -> Tensor:
    """Y, Cb and Cr, without the middle that is added to the last two, of red, green and blue: ITU-T T.871, section 7."""
    luma = torch.tensor(REC_601, dtype=torch.float64)
    red, _, blue = torch.eye(3, dtype=torch.float64)
    return torch.stack([luma, (blue - luma) / (2 - 2 * luma[2]), (red - luma) / (2 - 2 * luma[0])])


def _combined(matrix: Tensor, planes: Tensor) -> Tensor:
    """Combinations of the channels: (M, C) and (N, C, H, W) to (N, M, H, W)."""
    return (matrix @ planes.flatten(2)).unflatten(2, planes.shape[2:])


def _nearest(values: Tensor) -> Tensor:
    """The nearest integers, halves rounded up: they are frequent in flat blocks, and libjpeg rounds them so."""
    return (values + 0.5).floor()


def _to_bytes(values: Tensor) -> Tensor:
    return _nearest(values).clamp(0, _WHITE)


def _blocks(planes: Tensor) -> Tensor:
    """(N, C, H, W) as (N, C, blocks, 64)."""
    return planes.unflatten(-1, (-1, _BLOCK)).unflatten(-3, (-1, _BLOCK)).transpose(-3, -2).flatten(-2).flatten(2, 3)


def _from_blocks(blocks: Tensor, across: int) -> Tensor:
    """The reverse, with so many blocks in a row."""
    return blocks.unflatten(-1, (_BLOCK, _BLOCK)).unflatten(2, (-1, across)).transpose(-3, -2).flatten(-2).flatten(2, 3)
