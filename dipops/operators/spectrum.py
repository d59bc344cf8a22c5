"""The largest singular value of a linear map that is given by two functions."""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor

from dipops.errors import BadValue


def lanczos_norm(gram: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> float:
    """Square root of the largest eigenvalue of a symmetric positive ``gram``, from below, by Lanczos iteration.

    Golub and Van Loan, Matrix Computations, section 10.1. The vectors are not reorthogonalised: copies of a converged
    eigenvalue do not move the largest one.

    Args:
        gram: maps a tensor like ``start`` to one of the same shape.
        start: any vector that is not an eigenvector; random in practice.
        steps: at most this many products with ``gram``.
    """
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    previous = torch.zeros_like(start)
    current = start / start.norm()
    for _ in range(steps):
        image = gram(current)
        diagonal.append(float((current * image).sum()))
        rest = image - diagonal[-1] * current - (off_diagonal[-1] if off_diagonal else 0.0) * previous
        length = float(rest.norm())
        if not isfinite(length):
            raise BadValue("an operator whose norm overflows", "values that its dtype can square", "scale its forward")
        if length <= 10 * torch.finfo(start.dtype).eps * max(diagonal):
            break
        off_diagonal.append(length)
        previous, current = current, rest / length
    off = torch.tensor(off_diagonal[: len(diagonal) - 1], dtype=torch.float64)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    return float(torch.linalg.eigvalsh(tridiagonal)[-1].clamp(min=0).sqrt())
