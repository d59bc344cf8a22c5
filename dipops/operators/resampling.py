"""Operators that change the size of an image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dipops.errors import BadValue, require_integer
from dipops.operators.banded import Banded
from dipops.operators.interface import LinearOperator


class LanczosDownsampler(LinearOperator):
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
        super().__init__(in_shape)
        require_integer("factor", factor, 2, "compose with a resize of your own for other ratios")
        require_integer("lobes", lobes, 1, "use 2 or 3")
        if len(self.in_shape) != 3 or any(side % factor for side in self.in_shape[1:]):
            sides = " x ".join(str(side - side % factor) for side in self.in_shape[1:])
            raise BadValue(f"in_shape = {self.in_shape}", f"(C, H, W) with sides that {factor} divides", f"crop to {sides}")
        self.factor, self.lobes = factor, lobes
        self._height, self._width = (Banded(lanczos_matrix(side, factor, lobes)) for side in self.in_shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        return self._width(self._height(x, -2), -1)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._height.transposed(self._width.transposed(y, -1), -2)

    def __repr__(self) -> str:
        return f"LanczosDownsampler({self.factor}{'' if self.lobes == 2 else f', lobes={self.lobes}'})"


def lanczos_matrix(size: int, factor: int, lobes: int) -> Tensor:
    """The reduction of one axis, (size / factor, size) in the default dtype; beyond the border the last pixel is repeated."""
    kernel = lanczos_kernel(factor, lobes)
    first = torch.arange(0, size, factor) - (len(kernel) - factor) // 2
    pixels = (first[:, None] + torch.arange(len(kernel))).clamp(0, size - 1)
    return torch.zeros(len(first), size).scatter_add_(1, pixels, kernel.expand(len(first), -1))


def lanczos_kernel(factor: int, lobes: int) -> Tensor:
    """The taps of one axis, in float64 rounded to the default dtype, summing to 1.

    2 * lobes * factor of them for an even factor; one less for an odd factor, whose centre is a pixel.
    """
    count = 2 * lobes * factor - factor % 2
    distance = (torch.arange(count, dtype=torch.float64) - (count - 1) / 2).abs() / factor
    taps = torch.sinc(distance) * torch.sinc(distance / lobes)
    return (taps / taps.sum()).to(torch.get_default_dtype())
