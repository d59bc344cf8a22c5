"""Lesson 4: total variation and the primal-dual method."""

from typing import Any

import torch

from dipops.course.checks import Check, Wrong, picture, require, same
from dipops.methods.primal_dual import PrimalDual
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import Identity
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.solver.solve import solve

_SHAPE = (3, 7, 9)
_NEAR = 1e-3


def total_variation(answer: Any) -> None:
    """The sum of the lengths of the gradient, of one picture."""
    flat, step = torch.ones(_SHAPE, dtype=torch.float64), torch.zeros(_SHAPE, dtype=torch.float64)
    step[..., 4:] = 1
    require(abs(float(answer(flat))) < 1e-9, "a flat picture has no variation")
    same(answer(step), 21.0, "the variation of an edge of 7 pixels in 3 channels")
    x = picture(*_SHAPE)
    field = FiniteDifferences(_SHAPE).double()(x[None])[0]
    apart = float(field.abs().sum())
    came = answer(x)
    if abs(float(came) - apart) < 1e-6 * apart:
        raise Wrong("that is the sum of |down| and |across|: take the length of the gradient, pixel by pixel")
    same(came, field.square().sum(0).sqrt().sum(), "the variation of a random picture")


def divergence(answer: Any) -> None:
    """The adjoint of the differences."""
    operator = FiniteDifferences(_SHAPE).double()
    field = picture(1, *operator.out_shape, seed=1)
    same(answer(field), operator.adjoint(field), "Dᵀp")


def projection(answer: Any) -> None:
    """Every arrow of a field shortened to at most a length."""
    field, radius = 2 * picture(1, 2, *_SHAPE) - 1, 0.4
    field[..., 0] = 0
    came = answer(field.clone(), radius)
    if isinstance(came, torch.Tensor) and came.shape == field.shape and came.equal(field.clamp(-radius, radius)):
        raise Wrong("each component was cut by itself: shorten the arrow, and keep its direction")
    same(came, TotalVariation(radius).prox_conjugate(field, 1.0), "the shortened field")


def chambolle_pock(answer: Any) -> None:
    """The minimum of ½ ‖x - y‖² + λ TV(x), by the primal-dual method."""
    y, weight = picture(1, *_SHAPE), 0.2
    problem, prior = Problem(Identity(_SHAPE).double(), y), TotalVariation(weight)
    best = solve(problem, prior, PrimalDual(), progress=False).image

    def energy(x: torch.Tensor) -> float:
        return float(problem.misfit(x) + prior.value(x))

    first = answer(y, weight, 4)
    came = answer(y, weight, 300)
    same(came, best, "the minimum after 300 steps", 0.05)
    excess = energy(came.double()) / energy(best) - 1
    require(excess < _NEAR, f"its energy is {100 * excess:.2g}% above the minimum")
    same(first, _iterate(y, weight, 4), "x after 4 steps, which the formulas lead to,", 1e-4)


def _iterate(y: torch.Tensor, weight: float, steps: int) -> torch.Tensor:
    differences, prior, length = FiniteDifferences(_SHAPE).double(), TotalVariation(weight), 8**-0.5
    x = bar = y
    p = torch.zeros(len(y), *differences.out_shape, dtype=y.dtype)
    for _ in range(steps):
        p = prior.prox_conjugate(p + length * differences(bar), length)
        new = (x - length * differences.adjoint(p) + length * y) / (1 + length)
        bar, x = 2 * new - x, new
    return x


EXERCISES: dict[str, Check] = {
    "total-variation": total_variation,
    "divergence": divergence,
    "projection": projection,
    "chambolle-pock": chambolle_pock,
}
