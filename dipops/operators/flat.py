"""A linear operator on flat NumPy vectors, as SciPy and PyLops take it."""

from math import prod
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator as ScipyOperator

from dipops._tools.precision import full_float32
from dipops.operators.checks import Shape
from dipops.operators.foreign import Map

_COLUMNS_AT_ONCE = 256


class FlatOperator(ScipyOperator):
    """An operator as a real matrix (prod(out_shape), prod(in_shape)), applied to one column or to several at once."""

    def __init__(self, operator: Any) -> None:
        kind = torch.empty(0, dtype=operator._like.dtype).numpy().dtype
        super().__init__(kind, (prod(operator.out_shape), prod(operator.in_shape)))
        self.operator = operator

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(x.reshape(-1, 1))[:, 0]

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self._rmatmat(x.reshape(-1, 1))[:, 0]

    def _matmat(self, X: Any) -> np.ndarray:  # noqa: N803 (SciPy's name)
        return self._applied(self.operator.forward, self.operator.in_shape, X)

    def _rmatmat(self, X: Any) -> np.ndarray:  # noqa: N803
        return self._applied(self.operator.adjoint, self.operator.out_shape, X)

    @full_float32()
    @torch.no_grad()
    def _applied(self, function: Map, shape: Shape, columns: Any) -> np.ndarray:
        if np.iscomplexobj(columns):
            return self._applied(function, shape, columns.real) + 1j * self._applied(function, shape, columns.imag)
        batch = torch.as_tensor(np.ascontiguousarray(columns.T)).to(self.operator._like).view(-1, *shape)
        results = [function(part).flatten(1).cpu() for part in batch.split(_COLUMNS_AT_ONCE)]
        return torch.cat(results).numpy().T
