"""Products of batches with a sparse matrix and with its transpose."""

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from dipops.operators.foreign import LinearMap

_LARGEST_INT32 = 2**31 - 1


class Sparse(nn.Module):
    """A sparse matrix (m, n) that acts on the rows of a batch.

    The matrix and its transpose are both stored by rows, as six plain buffers, which can be copied, pickled and moved: the
    transpose of PyTorch's own sparse matrices is about a hundred times slower. A single row is multiplied as a vector, which
    takes half the time, where PyTorch has MKL's product.

    Args:
        matrix: a SciPy sparse matrix or array of real numbers, which keep their dtype.
    """

    def __init__(self, matrix: Any) -> None:
        super().__init__()
        self._matrix, self._transpose = _Rows(matrix), _Rows(matrix.T)

    def forward(self, x: Tensor) -> Tensor:
        """(N, n) to (N, m)."""
        return LinearMap.apply(x, self._matrix, self._transpose)

    def transposed(self, y: Tensor) -> Tensor:
        """(N, m) to (N, n)."""
        return LinearMap.apply(y, self._transpose, self._matrix)


class _Rows(nn.Module):
    """A matrix in compressed rows."""

    starts: Tensor
    columns: Tensor
    values: Tensor

    def __init__(self, matrix: Any) -> None:
        super().__init__()
        compressed = matrix.tocsr()
        compressed.sum_duplicates()
        self._shape = compressed.shape
        dtype = torch.int32 if compressed.nnz <= _LARGEST_INT32 else torch.int64
        self.register_buffer("starts", torch.as_tensor(compressed.indptr).to(dtype))
        self.register_buffer("columns", torch.as_tensor(compressed.indices).to(dtype))
        self.register_buffer("values", torch.as_tensor(compressed.data))

    def forward(self, x: Tensor) -> Tensor:
        values = self.values.to(torch.promote_types(self.values.dtype, torch.float32))
        _use_up_the_beta_warning()
        with torch.autocast(x.device.type, enabled=False):
            parts = self.starts, self.columns, values
            matrix = torch.sparse_csr_tensor(*parts, self._shape, check_invariants=False)
            columns = x.to(values.dtype).T.contiguous()
            as_vector = len(x) == 1 and torch.backends.mkl.is_available()
            product = (matrix @ columns[:, 0])[None] if as_vector else (matrix @ columns).T.contiguous()
        return product.to(x.dtype)


@cache
def _use_up_the_beta_warning() -> None:
    """PyTorch warns once in a process that its compressed rows are new."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR")
        starts, none = torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64)
        torch.sparse_csr_tensor(starts, none, torch.tensor([]), (1, 1), check_invariants=False)
