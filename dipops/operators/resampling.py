"""Operators that change the size of an image."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from dipops.errors import BadValue, require_choice, require_integer
from dipops.operators.banded import BandedPair
from dipops.operators.checks import image_shape
from dipops.operators.interface import LinearOperator

Kernel = Literal["lanczos2", "lanczos3", "bicubic", "linear", "area"]
Beyond = Literal["renormalise", "reflect", "nearest"]


class _Resampling(LinearOperator):
    """A resampled image, by one matrix for each axis."""

    def __init__(self, in_shape: Sequence[int], height: Tensor, width: Tensor) -> None:
        super().__init__(in_shape)
        self._product = BandedPair(height, width)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._product.transposed(y)


class LanczosDownsampler(_Resampling):
    """Reduces an image by an integer factor with a Lanczos kernel: super-resolution.

    Along each axis output j weighs input pixel p by L(|p + 1/2 - t (j + 1/2)| / t) with L(d) = sinc(d) sinc(d / a) for
    d < a, scaled to sum 1; beyond the border the nearest pixel is repeated. With ``lobes=2`` and an even factor it is the
    operator of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior" (phase 1/2, stride t).

    Args:
        in_shape: (C, H, W), with H and W multiples of ``factor``.
        factor: t, the ratio of the sizes, an integer from 2.
        lobes: a, 2 or 3 in practice.

    Raises:
        BadType: ``factor`` or ``lobes`` is no integer.
        BadValue: one is too small, or the factor does not divide the size.
    """

    def __init__(self, in_shape: Sequence[int], factor: int, lobes: int = 2) -> None:
        require_integer("factor", factor, 2, "use operators.Resize for other ratios")
        require_integer("lobes", lobes, 1, "use 2 or 3")
        shape = image_shape(in_shape)
        if len(shape) != 3 or any(side % factor for side in shape[1:]):
            sides = " x ".join(str(side - side % factor) for side in shape[1:])
            raise BadValue(f"in_shape = {shape}", f"(C, H, W) with sides that {factor} divides", f"crop to {sides}")
        super().__init__(shape, *(lanczos_matrix(side, factor, lobes) for side in shape[1:]))
        self.factor, self.lobes = factor, lobes

    def __repr__(self) -> str:
        return f"LanczosDownsampler({self.factor}{'' if self.lobes == 2 else f', lobes={self.lobes}'})"


class Resize(_Resampling):
    """Changes the size of an image by any ratio; where it shrinks, the kernel is widened, so that nothing aliases.

    Along each axis, with the ratio t of the sizes, output j weighs input pixel p by k((p + 1/2 - t (j + 1/2)) / max(t, 1)),
    scaled to sum 1. The kernels are k(d) = sinc(d) sinc(d / a) for |d| < a with a = 2 or 3, the cubic one with parameter -1/2
    (Keys, "Cubic convolution interpolation for digital image processing", 1981), 1 - |d|, and 1 for -1/2 < d <= 1/2.

    With "renormalise" it equals Pillow's ``resize`` by LANCZOS (3 lobes), BICUBIC, BILINEAR and BOX; with "reflect" MATLAB's
    ``imresize``, which super-resolution is measured with.

    Args:
        in_shape: (H, W), (C, H, W) or more; the last two axes are resized.
        out_shape: the same with the new sides.
        kernel: "lanczos2", "lanczos3", "bicubic", "linear" or "area".
        boundary: what counts beyond the border. "renormalise" drops it, "reflect" mirrors the image and repeats the last
            pixel, "nearest" repeats the last pixel.

    Raises:
        BadValue: the shapes differ in more than their last two sides.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        kernel: Kernel = "bicubic",
        boundary: Beyond = "renormalise",
    ) -> None:
        require_choice("kernel", kernel, Kernel)
        require_choice("boundary", boundary, Beyond)
        before, after = image_shape(in_shape), image_shape(out_shape, "out_shape")
        if len(before) < 2 or len(before) != len(after) or before[:-2] != after[:-2]:
            raise BadValue(
                f"Resize from {before} to {after}", "shapes such as (3, 64, 64) and (3, 48, 48)", "keep the channels"
            )
        function, support = _KERNELS[kernel]
        lines = (resampling_matrix(*sides, function, support, boundary) for sides in zip(before[-2:], after[-2:], strict=True))
        super().__init__(before, *lines)
        self.kernel = kernel

    def __repr__(self) -> str:
        return f"Resize({self.in_shape} to {self.out_shape}, {self.kernel})"


def lanczos_matrix(size: int, factor: int, lobes: int) -> Tensor:
    """The reduction of one axis by an integer factor, (size / factor, size) in the default dtype."""
    return resampling_matrix(size, size // factor, _lanczos(lobes), lobes, "nearest")


def resampling_matrix(size: int, new: int, kernel: Callable[[Tensor], Tensor], support: float, boundary: Beyond) -> Tensor:
    """One axis of ``size`` pixels resampled to ``new``, as a matrix (new, size) of the default dtype whose rows sum to 1."""
    ratio = size / new
    stretch = max(ratio, 1.0)
    centres = ratio * (torch.arange(new, dtype=torch.float64)[:, None] + 0.5)
    reach = int(support * stretch) + 1
    pixels = centres.floor().long() + torch.arange(-reach, reach + 1)
    weights = kernel((pixels + 0.5 - centres) / stretch)
    if boundary == "renormalise":
        weights = weights * ((pixels >= 0) & (pixels < size))
    elif boundary == "reflect":
        pixels = torch.minimum(pixels % (2 * size), -1 - pixels % (2 * size) + 2 * size)
    weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(new, size, dtype=torch.float64).scatter_add_(1, pixels.clamp(0, size - 1), weights)
    return matrix.to(torch.get_default_dtype())


def _lanczos(lobes: int) -> Callable[[Tensor], Tensor]:
    return lambda d: torch.where(d.abs() < lobes, torch.sinc(d) * torch.sinc(d / lobes), 0.0)


def _cubic(d: Tensor) -> Tensor:
    d = d.abs()
    near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    return torch.where(d < 1, near, torch.where(d < 2, far, 0.0))


def _triangle(d: Tensor) -> Tensor:
    return (1 - d.abs()).clamp(min=0)


def _box(d: Tensor) -> Tensor:
    return ((d > -0.5) & (d <= 0.5)).double()


_KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "lanczos2": (_lanczos(2), 2),
    "lanczos3": (_lanczos(3), 3),
    "bicubic": (_cubic, 2),
    "linear": (_triangle, 1),
    "area": (_box, 0.5),
}
