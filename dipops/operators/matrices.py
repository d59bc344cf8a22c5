"""Operators given by a matrix, and random measurements for compressed sensing."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from dipops._tools.seeds import stream
from dipops.errors import BadValue, require_integer
from dipops.operators.checks import image_shape, real_values
from dipops.operators.interface import LinearOperator


class Matrix(LinearOperator):
    """A dense matrix that acts on the flattened image: (N, *in_shape) to (N, m).

    Args:
        matrix: (m, prod(in_shape)), real. It is copied; a tensor keeps its dtype and device.
        in_shape: any shape.

    Raises:
        BadType, BadValue: the matrix is not such a tensor or array, or not finite.
    """

    def __init__(self, matrix: Any, in_shape: Sequence[int]) -> None:
        super().__init__(in_shape)
        size, matrix = prod(self.in_shape), real_values(matrix, "matrix")
        if matrix.ndim != 2 or not len(matrix) or matrix.shape[1] != size:
            came = f"a matrix of shape {tuple(matrix.shape)} for images {self.in_shape}"
            raise BadValue(came, f"(m, {size})", "give one column to each value of the image")
        self.entries, self._like = matrix, matrix.new_empty(0)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.entries.T

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.entries).view(-1, *self.in_shape)


class Diagonal(LinearOperator):
    """Multiplies each value by a factor of its own: a vignette, a flat field, a transmission.

    Args:
        in_shape: any shape.
        factors: real, of a shape that broadcasts to in_shape, such as (H, W) for all channels. They are copied;
            a tensor keeps its dtype and device.

    Raises:
        BadType, BadValue: the factors are no such tensor or array, or not finite.
    """

    def __init__(self, in_shape: Sequence[int], factors: Any) -> None:
        super().__init__(in_shape)
        factors = real_values(factors, "factors")
        try:
            self.factors = factors.expand(self.in_shape).clone()
        except RuntimeError as error:
            came = f"factors of shape {tuple(factors.shape)} for images {self.in_shape}"
            raise BadValue(came, "a shape that broadcasts to that of the image", "give one factor to each value") from error
        self._like = factors.new_empty(0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.factors

    def norm(self) -> float:
        return float(self.factors.abs().max())


class RandomMeasurements(LinearOperator):
    """Compressed sensing: m random combinations of all pixels, (N, *in_shape) to (N, m).

    The pixels get random signs, the orthonormal Hartley transform mixes all of them, and m of its n values are kept: the rows
    are orthonormal, and a product costs one FFT instead of m n operations (Rauhut, "Compressive sensing and structured random
    matrices", 2010, section 4; Do et al., "Fast and efficient compressive sensing using structurally random matrices", IEEE
    TSP 2012). For a Gaussian matrix use :class:`Matrix`.

    Args:
        in_shape: any shape, of n values in all.
        m: how many measurements, from 1 to n.
        seed: which signs and which rows.

    Raises:
        BadType, BadValue: m is no integer from 1 to n.
    """

    signs: Tensor
    rows: Tensor

    def __init__(self, in_shape: Sequence[int], m: int, seed: int = 0) -> None:
        size = prod(image_shape(in_shape))
        require_integer("m", m, 1, "choose how many measurements to make")
        if m > size:
            raise BadValue(f"m = {m} measurements of {size} values", f"at most {size}", "choose fewer")
        super().__init__(in_shape)
        generator = stream(seed, "measurements")
        self.signs = 1.0 - 2 * torch.randint(2, (size,), generator=generator)
        self.rows = torch.randperm(size, generator=generator)[:m].sort().values

    def forward(self, x: Tensor) -> Tensor:
        return _hartley(x.flatten(1) * self.signs).index_select(1, self.rows)

    def adjoint(self, y: Tensor) -> Tensor:
        full = torch.zeros_like(self.signs).expand(len(y), -1).index_copy(1, self.rows, y)
        return (_hartley(full) * self.signs).view(-1, *self.in_shape)

    def norm(self) -> float:
        return 1.0

    def __repr__(self) -> str:
        return f"RandomMeasurements({', '.join(map(str, self.in_shape))}, m={len(self.rows)})"


def _hartley(x: Tensor) -> Tensor:
    """The real and imaginary parts of the Fourier transform of real rows, the second subtracted: an orthogonal transform."""
    spectrum = torch.fft.fft(x, norm="ortho")
    return spectrum.real - spectrum.imag
