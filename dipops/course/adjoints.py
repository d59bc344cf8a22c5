"""Lesson 1: forward operators and their adjoints."""

from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import Check, Wrong, linear, made, picture, require, same
from dipops.operators.interface import LinearOperator
from dipops.operators.resampling import LanczosDownsampler

_SHAPE = (1, 4, 6)


def shift(answer: Any) -> None:
    """A LinearOperator that moves the picture one pixel to the right."""
    x = picture(2, *_SHAPE)
    expected = torch.zeros_like(x)
    expected[..., 1:] = x[..., :-1]
    operator = made(answer, _SHAPE)
    same(operator.double()(x), expected, "the moved picture")
    linear(operator)


def shift_adjoint(answer: Any) -> None:
    """The adjoint of that, as a function of a batch of measurements."""
    y = picture(2, *_SHAPE, seed=1)
    expected = torch.zeros_like(y)
    expected[..., :-1] = y[..., 1:]
    came = answer(y.clone())
    if isinstance(came, Tensor) and came.shape == y.shape and came.equal(y.roll(-1, -1)):
        raise Wrong("the first column comes back in as the last: what left the picture on the way there is lost")
    same(came, expected, "Aᵀy")


def dot_test(answer: Any) -> None:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| / (‖Ax‖ ‖y‖) of an operator."""
    for factor, seed in ((1.0, 0), (4.0, 1), (-1.0, 2)):
        operator = _Off(factor).double()
        x, y = picture(1, *_SHAPE, seed=seed) - 0.5, picture(1, *_SHAPE, seed=seed + 10) - 0.5
        image, back = operator(x), operator.adjoint(y)
        error = float(((image * y).sum() - (x * back).sum()).abs() / (image.norm() * y.norm()))
        came = float(answer(operator, x, y))
        require(came >= 0, "the error is negative: take the absolute value")
        require(
            abs(came - error) < 1e-9 + 1e-6 * error, f"the error of an adjoint that is off by {factor:g} is wrong: {came:.3g}"
        )


def average(answer: Any) -> None:
    """A LinearOperator of 2 x 2 means, with its adjoint written by hand."""
    require(isinstance(answer, type), "hand over the class itself")
    require("adjoint" in vars(answer), "write def adjoint(self, y) too: by hand, once")
    operator = made(answer, _SHAPE)
    x = picture(2, *_SHAPE)
    same(operator.double()(x), x.unflatten(-2, (-1, 2)).unflatten(-1, (-1, 2)).mean((-3, -1)), "the reduced picture")
    linear(operator)


def composition(answer: Any) -> None:
    """(A @ B).T of two given operators, by their adjoints alone."""
    outer, inner = LanczosDownsampler((1, 8, 12), 4).double(), _Off(1.0, (1, 8, 12)).double()
    y = picture(1, *outer.out_shape, seed=3)
    same(answer(outer, inner, y), (outer @ inner).T(y), "(AB)ᵀy")


class _Off(LinearOperator):
    """An uneven gain whose adjoint is a multiple of what it should be."""

    def __init__(self, factor: float, in_shape: tuple[int, ...] = _SHAPE) -> None:
        super().__init__(in_shape)
        self.factor = factor
        self.gain = torch.linspace(0.5, 2, in_shape[-1], dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain

    def adjoint(self, y: Tensor) -> Tensor:
        return self.factor * y * self.gain


EXERCISES: dict[str, Check] = {
    "shift": shift,
    "shift-adjoint": shift_adjoint,
    "dot-test": dot_test,
    "average": average,
    "composition": composition,
}
