"""Lesson 3: least squares, and why to stop early."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import expect, expect_equal, expect_first, falling_curve, levels, random_image, random_seed
from dipops.course.operators import Blur
from dipops.methods import ConjugateGradient
from dipops.priors import NoPrior
from dipops.problem import Problem
from dipops.solver.solve import solve

_STEPS = 12


def gradient(answer: Any) -> None:
    """The gradient of ½ ‖Ax - y‖²."""
    operator = Blur().double()
    x, y = random_image(2, *operator.in_shape), random_image(2, *operator.out_shape, seed=1)
    expect_equal(answer(operator, x, y), operator.adjoint(operator(x) - y), "the gradient")


def landweber(answer: Any) -> None:
    """Steps of length 1 / ‖A‖² down the gradient, from zero."""
    operator = (3 * Blur()).double()
    y = random_image(1, *operator.out_shape, seed=1)
    x = torch.zeros(1, *operator.in_shape, dtype=y.dtype)
    length = 1 / operator.norm() ** 2
    for _ in range(_STEPS):
        x = x - length * operator.adjoint(operator(x) - y)
    expect_equal(answer(operator, y, 0), torch.zeros_like(x), "x after no step")
    expect_equal(answer(operator, y, _STEPS), x, f"x after {_STEPS} steps", 1e-3)


def discrepancy(answer: Any) -> None:
    """The first step at which the root mean square of the residual is at most that of the noise."""
    residuals = falling_curve()
    for sigma in levels(residuals):
        step = next((step for step, residual in enumerate(residuals, 1) if residual <= sigma), None)
        expect_first(answer(residuals, sigma), step, "a residual is low enough")
    expect(answer(residuals, 0.5 * min(residuals)) is None, "where no residual is low enough, return None")


def tikhonov(answer: Any) -> None:
    """The minimum of ½ ‖Ax - y‖² + ½ μ ‖x‖²."""
    operator = Blur().double()
    y, weight = random_image(1, *operator.out_shape, seed=1), 0.03
    matrix = operator.matrix()
    right, identity = matrix.T @ y.flatten(), torch.eye(matrix.shape[1], dtype=y.dtype)
    expected, twice = (torch.linalg.solve(matrix.T @ matrix + mu * identity, right) for mu in (weight, 2 * weight))
    minimum = answer(operator, y, weight)
    if isinstance(minimum, Tensor) and minimum.numel() == expected.numel():
        expect(float((minimum.flatten() - twice).norm()) > 1e-6, "the penalty is twice as strong as it should be")
    expect_equal(minimum, expected.view(1, *operator.in_shape), "the minimum", 1e-4)


def semi_convergence(answer: Any) -> None:
    """The PSNR of conjugate gradients after each step, on a noisy problem."""
    operator = Blur((1, 6, 40))
    truth = torch.linspace(0, 1, 40).expand(1, 6, 40) * (0.5 + 0.5 * random_image(1, 6, 1).float())
    problem = Problem.simulate(operator, truth, 0.05, seed=random_seed())
    result = solve(problem, NoPrior(torch.zeros(1, 6, 40)), ConjugateGradient(), steps=10, progress=False)
    expect_equal(answer(problem, 10), result.trace["psnr"][:, 0].double(), "the curve", 1e-4)
