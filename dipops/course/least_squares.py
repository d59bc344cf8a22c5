"""Lesson 3: least squares, and why to stop early."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import Check, picture, require, require_step, same
from dipops.course.ill_posed import Blur
from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.priors.interface import NoPrior
from dipops.problem import Problem
from dipops.solver.solve import solve

_STEPS = 12


def gradient(answer: Any) -> None:
    """The gradient of ½ ‖Ax - y‖²."""
    operator = Blur().double()
    x, y = picture(1, *operator.in_shape), picture(1, *operator.out_shape, seed=1)
    same(answer(operator, x, y), operator.adjoint(operator(x) - y), "the gradient")


def landweber(answer: Any) -> None:
    """Steps of length 1 / ‖A‖² down the gradient, from zero."""
    operator = (3 * Blur()).double()
    y = picture(1, *operator.out_shape, seed=1)
    x = torch.zeros(1, *operator.in_shape, dtype=y.dtype)
    length = 1 / operator.norm() ** 2
    for _ in range(_STEPS):
        x = x - length * operator.adjoint(operator(x) - y)
    same(answer(operator, y, 0), torch.zeros_like(x), "x after no step")
    same(answer(operator, y, _STEPS), x, f"x after {_STEPS} steps", 1e-3)


def discrepancy(answer: Any) -> None:
    """The first step at which the residual, root mean square, is that of the noise."""
    residuals = [0.9, 0.5, 0.31, 0.4, 0.2, 0.12, 0.1, 0.08]
    for sigma, step in ((0.32, 3), (0.2, 5), (0.1, 7), (2.0, 1)):
        came = answer(residuals, sigma)
        require(came is not None, "it returns None where a residual is low enough")
        require_step(came, step, f"for σ = {sigma:g} it stops at the wrong step: {came}")
    require(answer(residuals, 0.01) is None, "where no residual is low enough, return None")


def tikhonov(answer: Any) -> None:
    """The minimum of ½ ‖Ax - y‖² + ½ μ ‖x‖²."""
    operator = Blur().double()
    y, weight = picture(1, *operator.out_shape, seed=1), 0.03
    matrix = operator.matrix()
    normal = matrix.T @ matrix + weight * torch.eye(matrix.shape[1], dtype=y.dtype)
    expected = torch.linalg.solve(normal, matrix.T @ y.flatten()).view(1, *operator.in_shape)
    came = answer(operator, y, weight)
    if isinstance(came, Tensor) and came.shape == expected.shape:
        half = torch.linalg.solve(normal + weight * torch.eye(matrix.shape[1], dtype=y.dtype), matrix.T @ y.flatten())
        require(float((came.flatten() - half).norm()) > 1e-6, "the penalty is twice as strong as it should be")
    same(came, expected, "the minimum", 1e-4)


def semi_convergence(answer: Any) -> None:
    """The PSNR of conjugate gradients after each step, on a noisy problem."""
    operator = Blur((1, 6, 40))
    truth = torch.linspace(0, 1, 40).expand(1, 6, 40).contiguous()
    problem = Problem.simulate(operator, truth, 0.05)
    result = solve(problem, NoPrior(torch.zeros(1, 6, 40)), ConjugateGradient(), steps=10, progress=False)
    same(answer(problem, 10), result.trace["psnr"][:, 0].double(), "the curve", 1e-4)


EXERCISES: dict[str, Check] = {
    "gradient": gradient,
    "landweber": landweber,
    "discrepancy": discrepancy,
    "tikhonov": tikhonov,
    "semi-convergence": semi_convergence,
}
