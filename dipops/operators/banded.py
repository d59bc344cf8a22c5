"""Products with a banded matrix along one axis, as few dense products of its blocks."""

from typing import Any

import torch
from torch import Tensor, nn

_SIDE = 64


class Banded(nn.Module):
    """A matrix (m, n) with few entries in each row and column, near one diagonal, that acts along an axis of a tensor.

    Sixty-four of its rows at a time, or where it has more columns the rows of 64 columns, form a dense block, which multiplies
    a slice of the tensor. Nothing is padded or copied. The transposed matrix is stored in blocks of its own.

    Args:
        matrix: (m, n), dense.
    """

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        height, width = matrix.shape
        most = max(height, width)
        self._matrix = _Blocks(matrix, max(1, _SIDE * height // most))
        self._transpose = _Blocks(matrix.T, max(1, _SIDE * width // most))

    def forward(self, x: Tensor, axis: int) -> Tensor:
        """The product along ``axis``, -1 or -2, of length n: it becomes m."""
        return _product(x, self._matrix, self._transpose, axis)

    def transposed(self, y: Tensor, axis: int) -> Tensor:
        """The product with the transposed matrix along ``axis``, -1 or -2, of length m: it becomes n."""
        return _product(y, self._transpose, self._matrix, axis)


class BandedPair(nn.Module):
    """One banded matrix that acts along the columns of each plane (..., H, W), and one along its rows."""

    def __init__(self, height: Tensor, width: Tensor) -> None:
        super().__init__()
        self._height, self._width = Banded(height), Banded(width)

    def forward(self, x: Tensor) -> Tensor:
        return self._width(self._height(x, -2), -1)

    def transposed(self, y: Tensor) -> Tensor:
        return self._height.transposed(self._width.transposed(y, -1), -2)


class _Blocks(nn.Module):
    """Some rows of a matrix at a time, cut to the columns where they are not zero."""

    def __init__(self, matrix: Tensor, rows: int) -> None:
        super().__init__()
        self._starts: list[int] = []
        for block in matrix.split(rows):
            columns = block.any(0).nonzero().flatten().tolist() or [0]
            first, last = columns[0], columns[-1]
            self.register_buffer(f"block{len(self._starts)}", block[:, first : last + 1].contiguous())
            self._starts.append(first)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        blocks = list(self.buffers())
        pieces = [x.narrow(axis, start, block.shape[1]) for start, block in zip(self._starts, blocks, strict=True)]
        if axis == -1:
            return torch.cat([piece @ block.T for piece, block in zip(pieces, blocks, strict=True)], -1)
        return torch.cat([block @ piece for piece, block in zip(pieces, blocks, strict=True)], -2)


def _product(x: Tensor, matrix: _Blocks, transpose: _Blocks, axis: int) -> Tensor:
    """The product, through autograd only where a gradient is wanted: its bookkeeping costs as much as a small product."""
    return _Product.apply(x, matrix, transpose, axis) if x.requires_grad else matrix(x, axis)


class _Product(torch.autograd.Function):
    """The derivative of a product is one with the transposed matrix; autograd would fill an image for each block."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, matrix: _Blocks, transpose: _Blocks, axis: int) -> Tensor:
        return matrix(x, axis)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, _Blocks, _Blocks, int], output: Tensor) -> None:
        _, *ctx.constants = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        matrix, transpose, axis = ctx.constants
        return _Product.apply(gradients[0], transpose, matrix, axis), None, None, None
