"""Lesson 4: total variation and the primal-dual method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from dipops.course.checks import GradingError, expect, expect_equal, random_image
from dipops.methods import PrimalDual
from dipops.operators import FiniteDifferences, Identity
from dipops.priors import TotalVariation
from dipops.problem import Problem
from dipops.solver.solve import solve

_SHAPE = (3, 7, 9)
_NEAR = 1e-5


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
    expect_equal(answer(field), operator.adjoint(field), "∇ᵀp")


def projection(answer: Any) -> None:
    """Every arrow of a field shortened to at most a length."""
    field = 2 * random_image(4, 2, *_SHAPE) - 1
    field[..., 0] = 0
    for radius, batch in ((0.4, field[:1]), (0.7, field)):
        shortened = answer(batch, radius)
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
    early, expected = answer(y, weight, 4), _iterate(y, weight, 4, _Scheme())
    if isinstance(early, torch.Tensor) and early.shape == y.shape:
        for slip, scheme in _SLIPS.items():
            expect((early - _iterate(y, weight, 4, scheme)).norm() > 1e-5 * y.norm(), f"after 4 steps x is wrong: {slip}")
        off = next((k for k in (3, 5) if torch.allclose(early.double(), _iterate(y, weight, k, _Scheme()))), 0)
        expect(not off, f"for 4 steps it makes {off}")
    expect_equal(early, expected, "x after 4 steps", 1e-4)
    best = solve(Problem(Identity(_SHAPE).double(), y), TotalVariation(weight), PrimalDual(), progress=False).image
    expect_equal(answer(y, weight, 300), best, "the minimum after 300 steps", 0.01)


@dataclass(frozen=True)
class _Scheme:
    """How the primal-dual method is written; by default as it should be.

    Attributes:
        dual, primal: the steps of p and of x.
        data: the factor of y.
        divisor: of x⁺, by the step τ of the image and the weight λ.
        radius: of the arrows, by the step of p and the weight.
    """

    dual: float = 8**-0.5
    primal: float = 8**-0.5
    data: float | None = None
    extrapolation: float = 1.0
    sign: float = 1.0
    divisor: Callable[[float, float], float] = lambda step, weight: 1 + step
    radius: Callable[[float, float], float] = lambda step, weight: weight
    shortens: Literal["arrows", "components", "nothing"] = "arrows"
    keeps_arrows: bool = True
    starts_from_zero: bool = False
    returns_bar: bool = False


_SLIPS = {
    "is x̄ = 2 x⁺ - x, of the x before the step?": _Scheme(extrapolation=0.0),
    "x̄ goes on from x⁺ in the direction of the step, not back": _Scheme(extrapolation=-1.0),
    "x̄ is one step of extrapolation, not more": _Scheme(extrapolation=2.0),
    "return x, not x̄": _Scheme(returns_bar=True),
    "the image falls along -∇ᵀp, and this climbs": _Scheme(sign=-1.0),
    "arrows may be as long as λ, not τ λ": _Scheme(radius=lambda step, weight: step * weight),
    "arrows may be as long as λ, not λ / τ": _Scheme(radius=lambda step, weight: weight / step),
    "arrows may be as long as λ, not 2 λ": _Scheme(radius=lambda step, weight: 2 * weight),
    "arrows may be as long as λ, not λ / 2": _Scheme(radius=lambda step, weight: weight / 2),
    "arrows may be as long as λ, not 1": _Scheme(radius=lambda step, weight: 1.0),
    "the arrows are never shortened": _Scheme(shortens="nothing"),
    "each component of p is clamped by itself: shorten the arrow": _Scheme(shortens="components"),
    "p is kept from step to step": _Scheme(keeps_arrows=False),
    "it starts from y, not from zero": _Scheme(starts_from_zero=True),
    "x⁺ is divided by 1 + τ": _Scheme(divisor=lambda step, weight: 1.0),
    "x⁺ is divided by 1 + τ, not by 1 + λ": _Scheme(divisor=lambda step, weight: 1 + weight),
    "x⁺ is divided by 1 + τ, not by 1 + τ λ": _Scheme(divisor=lambda step, weight: 1 + step * weight),
    "y comes in with the factor τ": _Scheme(data=1.0),
    "y comes in with the factor τ, and not at all here": _Scheme(data=0.0),
    "both steps are 1/√8, not 1/8": _Scheme(dual=1 / 8, primal=1 / 8),
    "both steps are 1/√8, not 1/4": _Scheme(dual=1 / 4, primal=1 / 4),
    "both steps are 1/√8, not 1": _Scheme(dual=1.0, primal=1.0),
    "both steps are 1/√8, and that of x is 1/8 here": _Scheme(primal=1 / 8),
    "both steps are 1/√8, and that of p is 1/8 here": _Scheme(dual=1 / 8),
}


def _iterate(y: torch.Tensor, weight: float, steps: int, scheme: _Scheme) -> torch.Tensor:
    differences, radius = FiniteDifferences(_SHAPE).double(), scheme.radius(scheme.dual, weight)
    data = scheme.primal if scheme.data is None else scheme.data
    x = bar = torch.zeros_like(y) if scheme.starts_from_zero else y
    p = torch.zeros(len(y), *differences.out_shape, dtype=y.dtype)
    for _ in range(steps):
        arrows = (p if scheme.keeps_arrows else 0 * p) + scheme.dual * differences(bar)
        p = _shortened(arrows, radius, scheme)
        new = x - scheme.sign * scheme.primal * differences.adjoint(p) + data * y
        new = new / scheme.divisor(scheme.primal, weight)
        bar, x = new + scheme.extrapolation * (new - x), new
    return bar if scheme.returns_bar else x


def _shortened(arrows: torch.Tensor, radius: float, scheme: _Scheme) -> torch.Tensor:
    if scheme.shortens == "nothing":
        return arrows
    if scheme.shortens == "components":
        return arrows.clamp(-radius, radius)
    return TotalVariation(radius).prox_conjugate(arrows, scheme.dual)


def bias(answer: Any) -> None:
    """The height that total variation leaves of an edge between two flat halves."""
    for share, seed in ((0.5, 1), (0.8, 2), (1.5, 3)):  # of the weight at which both halves become one
        height, *widths = random_image(3, seed=seed).tolist()
        height, left, right = round(0.2 + 0.8 * height, 3), 2 + int(3 * widths[0]), 5 + int(4 * widths[1])
        weight = round(share * height / (1 / left + 1 / right), 3)
        left_over, expected = float(answer(height, weight, left, right)), max(0.0, height - weight / left - weight / right)
        if abs(left_over - expected) <= _NEAR * height:
            continue
        case = f"for a height of {height:g}, a weight of {weight:g}, and {left} and {right} columns"
        expect(left_over >= 0, f"{case} it is negative: then both halves have become one")
        expect(abs(left_over - (height - weight)) > _NEAR, f"{case} it does not follow the columns: a wide half moves less")
        one_side = {height - weight / left, height - weight / right}
        expect(all(abs(left_over - value) > _NEAR for value in one_side), f"{case} only one half has moved: both do")
        raise GradingError(f"{case} it is {left_over:.4g}, which is no minimum")
