"""Lesson 2: what a measurement does not tell."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import expect, expect_equal, random_image
from dipops.course.operators import Blur
from dipops.operators import Diagonal, LanczosDownsampler, LinearOperator, Mask

_SHAPE = (1, 6, 8)


def _uneven(operator: LinearOperator) -> LinearOperator:
    """The operator after random gains, so that nobody knows beforehand what belongs to it."""
    return (operator @ Diagonal(operator.in_shape, 0.5 + random_image(*operator.in_shape, seed=7).float())).double()


def null_image(answer: Any) -> None:
    """An image of norm 1 that a downsampling operator does not see."""
    operator = _uneven(LanczosDownsampler(_SHAPE, 2))
    x = answer(operator)
    expect(isinstance(x, Tensor), f"the answer is a {type(x).__name__}: return a tensor")
    expect(tuple(x.shape) == _SHAPE, f"the image has shape {tuple(x.shape)} instead of in_shape = {_SHAPE}")
    x = x.double()
    expect(abs(float(x.norm()) - 1) < 1e-6, f"its norm is {float(x.norm()):.4g} instead of 1")
    size = float(operator(x[None]).norm())
    expect(size < 1e-6, f"the operator does see it: ‖Ax‖ = {size:.3g}")


def condition_number(answer: Any) -> None:
    """Largest over smallest singular value."""
    operator = _uneven(Blur())
    values = torch.linalg.svdvals(operator.matrix())
    expect_equal(answer(operator), values[0] / values[-1], "the condition number")


def pseudo_inverse(answer: Any) -> None:
    """The shortest least-squares solution, by the singular values that are not zero."""
    dim_mask = 1e-3 * Mask(torch.arange(48).view(6, 8) % 3 > 0, 1)  # singular values that are small, and zeros
    for operator in (_uneven(Blur()), _uneven(LanczosDownsampler(_SHAPE, 2)), dim_mask.double()):
        y = random_image(1, *operator.out_shape, seed=1)
        expected = (torch.linalg.pinv(operator.matrix()) @ y.flatten()).view(1, *_SHAPE)
        expect_equal(answer(operator, y), expected, f"A⁺y of {operator!r}")


def picard(answer: Any) -> None:
    """|⟨uᵢ, y⟩| / sᵢ from the largest singular value to the smallest."""
    operator = _uneven(Blur((1, 1, 8)))  # of one line: equal singular values would leave a choice
    y = random_image(1, *operator.out_shape, seed=2)
    left, values, _ = torch.linalg.svd(operator.matrix(), full_matrices=False)
    expect_equal(answer(operator, y), (left.T @ y.flatten()).abs() / values, "the coefficients")


def truncated(answer: Any) -> None:
    """The sum of the first k singular components."""
    operator = Blur((1, 1, 8)).double()  # of one line: equal singular values would leave a choice
    y = random_image(1, *operator.out_shape, seed=3)
    sums = _truncated_sums(operator, y)
    for k in (1, 5):
        x, expected = answer(operator, y, k), sums[k - 1]
        if isinstance(x, Tensor) and x.shape == expected.shape:
            wrong = {f"{k + 1} terms were": sums[k], "the smallest were": sums[-1] - sums[-1 - k]}
            for words, other in wrong.items():
                expect(not torch.allclose(x.double(), other), f"{words} kept: keep the {k} with the largest singular values")
        expect_equal(x, expected, f"x for k = {k}")


def gcv(answer: Any) -> None:
    """The number of components at which generalised cross-validation is smallest."""
    operator = Blur((1, 1, 24)).double()
    smooth = torch.linspace(0, 3, 24, dtype=torch.float64).sin().view(1, 1, 1, 24)
    noisy = [operator(smooth) + 0.02 * (random_image(1, *operator.out_shape, seed=seed) - 0.5) for seed in range(3)]
    for y in (*noisy, operator(random_image(1, *operator.in_shape, seed=3))):  # without noise the last term counts too
        values = _gcv(operator, y)
        k, best = int(answer(operator, y)), int(values.argmin()) + 1
        expect(1 <= k < y.numel(), f"k = {k} is not between 1 and {y.numel() - 1}")
        expect(k != best - 1, "one too low: k terms are counted from 1")
        expect(k == best, f"at k = {k} it is {float(values[k - 1] / values[best - 1]):.3g} times as large as at its minimum")


def _truncated_sums(operator: LinearOperator, y: Tensor) -> Tensor:
    """The sums of the first k singular components for k = 1, 2, ..., (K, 1, *in_shape)."""
    left, values, right = torch.linalg.svd(operator.matrix(), full_matrices=False)
    terms = (left.T @ y.flatten() / values)[:, None] * right
    return terms.cumsum(0).view(-1, 1, *operator.in_shape)


def _gcv(operator: LinearOperator, y: Tensor) -> Tensor:
    """‖A x_k - y‖² / (m - k)² for k = 1, 2, ..., below m."""
    sums = _truncated_sums(operator, y)[: y.numel() - 1]
    residuals = (operator(sums.flatten(0, 1)) - y).square().flatten(1).sum(1)
    return residuals / (y.numel() - torch.arange(1, len(sums) + 1)).square()
