"""Lesson 7: nonlinear problems and pre-images."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import GradingError, InView, expect, expect_equal, instance_of, random_image, require_valid_operator
from dipops.course.operators import Saturating
from dipops.operators import LinearOperator

_SHAPE = (1, 5, 6)
_MOST_CALLS = 32


def gamma(answer: Any) -> None:
    """A DifferentiableOperator that a display applies: x to the power of 2.2, for x that is not negative."""
    operator = instance_of(answer, _SHAPE)
    advice = "which class does a map inherit from that only has a derivative?"
    expect(not isinstance(operator, LinearOperator), f"it says that it is linear: {advice}")
    x = random_image(2, *_SHAPE)
    expect_equal(operator.double()(x), x**2.2, "y")
    expect(operator(-x).isfinite().all(), "for negative values it gives NaN")
    require_valid_operator(operator)


def jvp(answer: Any) -> None:
    """The derivative along a direction, from two values of the map alone."""
    gain = 0.5 + float(random_image(1, seed=2))
    operator = _Recording(_SHAPE, gain).double()
    x, u = random_image(2, *_SHAPE), random_image(2, *_SHAPE, seed=1) - 0.5
    expected = Saturating(_SHAPE).double().jvp(gain * x, gain * u)
    operator.inputs.clear()
    derivative = answer(operator, x, u)
    expect_equal(derivative, expected, "the derivative", 1e-3)
    moves = [image - x for image in operator.inputs]
    central = any(float((move + other).norm()) < 1e-6 * float(move.norm()) for move in moves for other in moves)
    expect(central, "its error falls as h, not as h²")
    expect_equal(derivative, expected, "the derivative", 1e-5)


class _Recording(InView, Saturating):
    """Records its inputs, which it multiplies by a gain, and refuses to give derivatives."""

    def __init__(self, in_shape: tuple[int, ...], gain: float) -> None:
        super().__init__(in_shape)
        self.gain = gain
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        expect(x.shape[1:] == self.in_shape, f"A takes images (N, {', '.join(map(str, _SHAPE))}), not {tuple(x.shape)}")
        expect(len(self.inputs) < _MOST_CALLS, f"that takes more than {_MOST_CALLS} values of A: two are enough")
        self.inputs.append(x.detach().clone())
        return super().forward(self.gain * x)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        raise GradingError("use values of A alone")

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        raise GradingError("use values of A alone")


def gauss_newton(answer: Any) -> None:
    """One step: the least-squares solution of the problem linearised at x."""
    operator = Saturating(_SHAPE).double()
    truth, x = random_image(1, *_SHAPE), torch.full((1, *_SHAPE), 0.4, dtype=torch.float64)
    y = operator(truth)
    matrix, residual = operator.linearize(x).matrix(), (y - operator(x)).flatten()
    direction = torch.linalg.lstsq(matrix, residual[:, None], driver="gelsd").solution[:, 0]
    new = answer(operator, x, y)
    expect(isinstance(new, Tensor) and new.shape == x.shape, "return the new x, of the shape of the old one")
    before, best = float(residual.norm()), float((matrix @ direction - residual).norm())
    left = float((matrix @ (new - x).flatten() - residual).norm())
    expect(left < 0.99 * before, "the linearised problem is not solved any better than before: is the sign right?")
    expect(left < best + 1e-3 * before, f"{100 * left / before:.2g}% of the linearised residual is left: find d more exactly")


def relative_error(answer: Any) -> None:
    """‖Φ(x) - Φ(x₀)‖ / ‖Φ(x₀)‖, and 1 for an image whose features are zero."""
    operator = Saturating(_SHAPE).double()
    x, x0 = random_image(1, *_SHAPE), random_image(1, *_SHAPE, seed=1)
    expect_equal(answer(operator, x, x0), (operator(x) - operator(x0)).norm() / operator(x0).norm(), "the error")
    expect_equal(answer(operator, torch.zeros_like(x), x0), 1.0, "the error of features that are zero")
    expect_equal(answer(operator, x0, x0), 0.0, "the error of the photo itself")
