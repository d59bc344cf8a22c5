"""A linear operator of another library, which works on the columns of NumPy matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, first_line
from dipops.operators.checks import Shape
from dipops.operators.interface import LinearOperator

Columns = Callable[[np.ndarray], np.ndarray]


class ColumnOperator(LinearOperator):
    """A linear operator of a library's ``matmat`` and ``rmatmat``; each channel of each image is one column.

    It computes on the CPU. Complex measurements have a last axis of 2, and the adjoint is the real part.

    Args:
        matrix: has ``shape``, ``matmat`` and ``rmatmat``.
        in_shape, out_shape: of one image and of one measurement, each as large as a column or several times as large.
        name: of the operator in messages.

    Raises:
        BadType: it does not work on NumPy arrays, has no adjoint, or takes complex images and gives real measurements.
    """

    def __init__(self, matrix: Any, in_shape: Shape, out_shape: Shape, name: str) -> None:
        super().__init__(in_shape)
        self._matmat, self._rmatmat, self._name = matrix.matmat, matrix.rmatmat, name
        self._rows, self._columns = map(int, matrix.shape)
        out = self._tried(self._matmat, np.zeros((self._columns, 1)))
        back = self._tried(self._rmatmat, np.zeros((self._rows, 1), out.dtype))
        self._is_complex = np.iscomplexobj(out)
        if np.iscomplexobj(back) and not self._is_complex:
            advice = (
                "compose it with one that makes complex images of real ones, such as F.H @ M @ F with a Fourier transform F"
            )
            raise BadType(f"{name} from complex images to real measurements", "an operator on real images", advice)
        self._out_shape = (*out_shape, 2) if self._is_complex else out_shape
        self._reason = self._adjoint_reason = "it is NumPy"

    def forward(self, x: Tensor) -> Tensor:
        out = self._applied(self._matmat, x, self._columns)
        return (torch.view_as_real(out) if self._is_complex else out).reshape(len(x), *self.out_shape).to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        values = torch.view_as_complex(y.contiguous()) if self._is_complex else y
        back = self._applied(self._rmatmat, values, self._rows)
        return (back.real if back.is_complex() else back).reshape(len(y), *self.in_shape).to(y)

    @staticmethod
    def _applied(function: Columns, values: Tensor, size: int) -> Tensor:
        rows = values.numpy(force=True).reshape(-1, size)
        return torch.from_numpy(np.array(function(rows.T).T, order="C"))

    def _tried(self, function: Columns, zero: np.ndarray) -> np.ndarray:
        """What the function makes of a column of zeros, for the stated dtype may be wrong: PyLops' real FFT says float."""
        came, advice = f"{self._name}.{function.__name__} of a NumPy array", "build it from NumPy arrays, with its adjoint"
        try:
            out = function(zero)
        except Exception as error:  # whatever foreign code raises
            came = f"{came} raises {type(error).__name__}: {first_line(error)[:80]}"
            raise BadType(came, "an operator on NumPy arrays that has an adjoint", advice) from error
        if not isinstance(out, np.ndarray):
            raise BadType(f"{came} gives a {type(out).__module__}.{type(out).__name__}", "a NumPy array", advice)
        return out

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(map(str, self.in_shape))})"


def own_matrix(matrix: Any) -> Any:
    """A copy of an array or a sparse matrix, which later changes to it do not reach; any other object as it is.

    Raises:
        BadType, BadValue: it is a class, or has not two axes, or values that are not finite.
    """
    if isinstance(matrix, type):
        expected = "a SciPy LinearOperator, a sparse matrix or an array"
        raise BadType(f"the class {matrix.__name__}", expected, "make an instance")
    is_sparse = hasattr(matrix, "tocsr")
    if not (is_sparse or isinstance(matrix, np.ndarray)):
        return matrix
    if matrix.ndim != 2:
        raise BadType(f"an array of {matrix.ndim} axes", "a matrix of two axes", "write array[None] for a single row")
    own: Any = matrix.copy()
    values: Any = own.tocsr().data if is_sparse else own
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise BadValue("a matrix with NaN or infinite values", "finite numbers", "look at how it was made")
    return own
