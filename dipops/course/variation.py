"""Lesson 4: total variation and the primal-dual method."""

from dataclasses import dataclass
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
    field = random_image(2, *operator.out_shape, seed=1)
    expect_equal(answer(field.clone()), operator.adjoint(field), "Dᵀp")


def projection(answer: Any) -> None:
    """Every arrow of a field shortened to at most a length."""
    field = 2 * random_image(4, 2, *_SHAPE) - 1
    field[..., 0] = 0
    for radius, batch in ((0.4, field[:1]), (0.7, field)):
        shortened = answer(batch.clone(), radius)
        same_shape = isinstance(shortened, torch.Tensor) and shortened.shape == batch.shape
        clamped = same_shape and torch.allclose(shortened.double(), batch.clamp(-radius, radius))
        expect(not clamped, "each component was clamped by itself: shorten the arrow, and keep its direction")
        equal = same_shape and torch.allclose(
            shortened.double(), batch * radius / batch.norm(dim=1, keepdim=True).clamp(min=1e-9)
        )
        expect(not equal, "every arrow has the same length now: leave those alone that are shorter than the radius")
        name = "the shortened field" if len(batch) == 1 else "that of one field is right, but that of four"
        expect_equal(shortened, TotalVariation(radius).prox_conjugate(batch, 1.0), name)


def chambolle_pock(answer: Any) -> None:
    """The minimum of ½ ‖x - y‖² + λ TV(x), by the primal-dual method."""
    y, weight = random_image(2, *_SHAPE), 0.15 + 0.1 * float(random_image(1, seed=1))
    early, expected = answer(y.clone(), weight, 4), _iterate(y, weight, 4, _Scheme())
    if isinstance(early, torch.Tensor) and early.shape == y.shape:
        for slip, scheme in _SLIPS.items():
            expect((early - _iterate(y, weight, 4, scheme)).norm() > 1e-5 * y.norm(), f"after 4 steps x is wrong: {slip}")
        off = next((k for k in (3, 5) if torch.allclose(early.double(), _iterate(y, weight, k, _Scheme()))), 0)
        expect(not off, f"for 4 steps it makes {off}")
    expect_equal(early, expected, "x after 4 steps, which the formulas lead to,", 1e-4)
    expect_equal(answer(y.clone(), weight, 300), _minimum(y, weight), "the minimum after 300 steps", 0.01)


@dataclass(frozen=True)
class _Scheme:
    """How the primal-dual method is written; by default as it should be."""

    length: float = 8**-0.5
    extrapolation: float = 1.0
    sign: float = 1.0
    scaled_radius: bool = False
    keeps_arrows: bool = True
    from_zero: bool = False
    divides: bool = True
    pulls: float = 8**-0.5
    by_component: bool = False


_SLIPS = {
    "is x̄ = 2 x⁺ - x, of the x before the step?": _Scheme(extrapolation=0.0),
    "x̄ is one step of extrapolation, not more": _Scheme(extrapolation=2.0),
    "the image falls along -Dᵀp, and this climbs": _Scheme(sign=-1.0),
    "arrows may be as long as λ, not τ λ": _Scheme(scaled_radius=True),
    "p is kept from step to step": _Scheme(keeps_arrows=False),
    "it starts from y, not from zero": _Scheme(from_zero=True),
    "x⁺ is divided by 1 + τ": _Scheme(divides=False),
    "y comes in with the factor τ": _Scheme(pulls=1.0),
    "each component of p is clamped by itself: shorten the arrow": _Scheme(by_component=True),
    "τ is 1/√8, not 1/8": _Scheme(length=1 / 8, pulls=1 / 8),
}


def _iterate(y: torch.Tensor, weight: float, steps: int, scheme: _Scheme) -> torch.Tensor:
    differences, length = FiniteDifferences(_SHAPE).double(), scheme.length
    radius = weight * length if scheme.scaled_radius else weight
    x = bar = torch.zeros_like(y) if scheme.from_zero else y
    p = torch.zeros(len(y), *differences.out_shape, dtype=y.dtype)
    for _ in range(steps):
        arrows = (p if scheme.keeps_arrows else 0 * p) + length * differences(bar)
        p = arrows.clamp(-radius, radius) if scheme.by_component else TotalVariation(radius).prox_conjugate(arrows, length)
        new = x - scheme.sign * length * differences.adjoint(p) + scheme.pulls * y
        new = new / (1 + length) if scheme.divides else new
        bar, x = new + scheme.extrapolation * (new - x), new
    return x


def _minimum(y: torch.Tensor, weight: float) -> torch.Tensor:
    """Where ½ ‖x - y‖² + λ TV(x) is smallest, (N, C, H, W)."""
    problem = Problem(Identity(y.shape[1:]).double(), y)
    return solve(problem, TotalVariation(weight), PrimalDual(), progress=False).image


def bias(answer: Any) -> None:
    """The height that total variation leaves of an edge between two flat halves."""
    for height, weight, left, right in ((1.0, 0.6, 4, 6), (0.5, 0.3, 2, 9), (0.2, 0.9, 3, 5)):
        y = torch.zeros(1, 1, 3, left + right, dtype=torch.float64)
        y[..., left:] = height
        best = _minimum(y, weight)
        left_over, expected = float(answer(height, weight, left, right)), float(best[0, 0, 0, -1] - best[0, 0, 0, 0])
        case = f"for a height of {height:g}, a weight of {weight:g}, and {left} and {right} columns"
        expect(left_over >= 0, f"{case} it is negative: then both halves have become one")
        expect(abs(left_over - (height - weight)) > _NEAR, f"{case} it does not follow the columns: a wide half moves less")
        one_side = {height - weight / left, height - weight / right}
        expect(all(abs(left_over - value) > _NEAR for value in one_side), f"{case} only one half has moved: both do")
        expect(abs(left_over - expected) < 2 * _NEAR, f"{case} it is {left_over:.4g}, which is no minimum")


EXERCISES = (total_variation, divergence, projection, chambolle_pock, bias)
