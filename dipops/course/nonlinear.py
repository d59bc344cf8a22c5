"""Lesson 7: nonlinear problems and pre-images."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import Check, Wrong, lawful, made, picture, require, same
from dipops.operators.interface import DifferentiableOperator, LinearOperator

_SHAPE = (1, 5, 6)


class Saturating(DifferentiableOperator):
    """A smooth sensor that saturates: y = 1 - exp(-2x), of neighbours together."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - torch.exp(-x - x.roll(1, -1))


def gamma(answer: Any) -> None:
    """A DifferentiableOperator that a display applies: x to the power of 2.2, of what is not negative."""
    operator = made(answer, _SHAPE)
    if isinstance(operator, LinearOperator):
        raise Wrong("it says that it is linear: which class does a map inherit from that only has a derivative?")
    x = picture(2, *_SHAPE)
    same(operator.double()(x), x**2.2, "y")
    require(operator(-x).isfinite().all(), "of negative values it gives NaN")
    lawful(operator)


def jvp(answer: Any) -> None:
    """The derivative along a direction, from two values of the map alone."""
    operator = _Recording(_SHAPE).double()
    x, u = picture(1, *_SHAPE), picture(1, *_SHAPE, seed=1) - 0.5
    expected = Saturating(_SHAPE).double().jvp(x, u)
    operator.seen.clear()
    came = answer(operator, x, u)
    same(came, expected, "the derivative", 1e-3)
    moves = [seen - x for seen in operator.seen]
    turned = any(float((one + other).norm()) < 1e-6 * float(one.norm()) for one in moves for other in moves)
    require(turned, "its error falls as h, not as h²")
    same(came, expected, "the derivative", 1e-5)


class _Recording(Saturating):
    """Keeps where it was evaluated, and tells no derivative."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return super().forward(x)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        raise Wrong("use values of A alone")

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        raise Wrong("use values of A alone")


def gauss_newton(answer: Any) -> None:
    """One step: the least-squares solution of the problem made linear at x."""
    operator = Saturating(_SHAPE).double()
    truth, x = picture(1, *_SHAPE), torch.full((1, *_SHAPE), 0.4, dtype=torch.float64)
    y = operator(truth)
    matrix = operator.linearize(x).matrix()
    direction = torch.linalg.lstsq(matrix, (y - operator(x)).flatten()[:, None], driver="gelsd").solution
    came = answer(operator, x.clone(), y)
    require(isinstance(came, Tensor) and came.shape == x.shape, "return the new x, of the shape of the old one")
    before, linearised = (
        float((operator(x) - y).norm()),
        float((matrix @ direction - (y - operator(x)).flatten()[:, None]).norm()),
    )
    left = float((matrix @ (came - x).flatten() - (y - operator(x)).flatten()).norm())
    require(left < 0.99 * before, "the problem made linear is not solved any better than before: is the sign right?")
    require(left < linearised + 1e-3 * before, f"of the problem made linear {100 * left / before:.2g}% is left unsolved")


def relative_error(answer: Any) -> None:
    """‖Φ(x) - Φ(x₀)‖ / ‖Φ(x₀)‖, and 1 for a picture whose features are zero."""
    operator = Saturating(_SHAPE).double()
    x, x0 = picture(1, *_SHAPE), picture(1, *_SHAPE, seed=1)
    same(answer(operator, x, x0), (operator(x) - operator(x0)).norm() / operator(x0).norm(), "the error")
    same(answer(operator, torch.zeros_like(x), x0), 1.0, "the error of features that are zero")
    same(answer(operator, x0, x0), 0.0, "the error of the photo itself")


EXERCISES: dict[str, Check] = {"gamma": gamma, "jvp": jvp, "gauss-newton": gauss_newton, "relative-error": relative_error}
