"""Lesson 4: total variation and the primal-dual method."""

from typing import Any

import torch

from dipops.course.checks import expect, expect_equal, random_image
from dipops.methods import PrimalDual
from dipops.operators import FiniteDifferences, Identity
from dipops.priors import TotalVariation
from dipops.problem import Problem
from dipops.solver.solve import solve

_SHAPE = (3, 7, 9)
_NEAR = 1e-3


def total_variation(answer: Any) -> None:
    """The sum of the lengths of the gradients of one image."""
    flat, step = torch.ones(_SHAPE, dtype=torch.float64), torch.zeros(_SHAPE, dtype=torch.float64)
    step[..., 4:] = 1
    expect(abs(float(answer(flat))) < 1e-9, "a flat image has no variation")
    expect_equal(answer(step), 21.0, "the variation of an edge of 7 pixels in 3 channels")
    x = random_image(*_SHAPE)
    field = FiniteDifferences(_SHAPE).double()(x[None])[0]
    anisotropic, variation = float(field.abs().sum()), answer(x)
    advice = "take the length of the gradient, pixel by pixel"
    expect(abs(float(variation) - anisotropic) >= 1e-6 * anisotropic, f"that is the sum of |down| and |across|: {advice}")
    expect_equal(variation, field.square().sum(0).sqrt().sum(), "the variation of a random image")


def divergence(answer: Any) -> None:
    """The adjoint of the differences."""
    operator = FiniteDifferences(_SHAPE).double()
    field = random_image(1, *operator.out_shape, seed=1)
    expect_equal(answer(field), operator.adjoint(field), "Dᵀp")


def projection(answer: Any) -> None:
    """Every arrow of a field shortened to at most a length."""
    field, radius = 2 * random_image(1, 2, *_SHAPE) - 1, 0.4
    field[..., 0] = 0
    shortened = answer(field.clone(), radius)
    clamped = isinstance(shortened, torch.Tensor) and shortened.shape == field.shape
    clamped = clamped and shortened.equal(field.clamp(-radius, radius))
    expect(not clamped, "each component was clamped by itself: shorten the arrow, and keep its direction")
    expect_equal(shortened, TotalVariation(radius).prox_conjugate(field, 1.0), "the shortened field")


def chambolle_pock(answer: Any) -> None:
    """The minimum of ½ ‖x - y‖² + λ TV(x), by the primal-dual method."""
    y, weight = random_image(1, *_SHAPE), 0.2
    problem, prior = Problem(Identity(_SHAPE).double(), y), TotalVariation(weight)
    best = solve(problem, prior, PrimalDual(), progress=False).image

    def energy(x: torch.Tensor) -> float:
        return float(problem.data_term(x) + prior.value(x))

    early, late = answer(y, weight, 4), answer(y, weight, 300)
    expect_equal(late, best, "the minimum after 300 steps", 0.05)
    excess = energy(late.double()) / energy(best) - 1
    expect(excess < _NEAR, f"its energy is {100 * excess:.2g}% above the minimum")
    expect_equal(early, _iterate(y, weight, 4), "x after 4 steps, which the formulas lead to,", 1e-4)


def _iterate(y: torch.Tensor, weight: float, steps: int) -> torch.Tensor:
    differences, prior, length = FiniteDifferences(_SHAPE).double(), TotalVariation(weight), 8**-0.5
    x = bar = y
    p = torch.zeros(len(y), *differences.out_shape, dtype=y.dtype)
    for _ in range(steps):
        p = prior.prox_conjugate(p + length * differences(bar), length)
        new = (x - length * differences.adjoint(p) + length * y) / (1 + length)
        bar, x = 2 * new - x, new
    return x


def bias(answer: Any) -> None:
    """The height that total variation leaves of an edge between two flat halves."""
    for height, weight, left, right in ((1.0, 0.6, 4, 6), (0.5, 0.3, 2, 9), (0.2, 0.9, 3, 5)):
        y = torch.zeros(1, 3, left + right, dtype=torch.float64)
        y[..., left:] = height
        best = solve(Problem(Identity(y.shape).double(), y), TotalVariation(weight), PrimalDual(), progress=False).image[
            0, 0, 0
        ]
        left_over, expected = float(answer(height, weight, left, right)), float(best[-1] - best[0])
        case = f"for a height of {height:g}, a weight of {weight:g}, and {left} and {right} columns"
        expect(left_over >= 0, f"{case} it is negative: then both halves have become one")
        expect(abs(left_over - (height - weight)) > _NEAR, f"{case} it does not follow the columns: a wide half moves less")
        one_side = {height - weight / left, height - weight / right}
        expect(all(abs(left_over - value) > _NEAR for value in one_side), f"{case} only one half has moved: both do")
        expect(abs(left_over - expected) < 2 * _NEAR, f"{case} it is {left_over:.4g}, which is no minimum")


EXERCISES = (total_variation, divergence, projection, chambolle_pock, bias)
