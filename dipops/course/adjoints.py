"""Lesson 1: forward operators and their adjoints."""

from typing import Any

import torch

from dipops.course.checks import expect, expect_equal, expect_linear_operator, instance_of, is_image, random_image
from dipops.course.operators import Trail, WrongAdjoint
from dipops.operators import LanczosDownsampler, LinearOperator, Shift

_SHAPE = (1, 4, 6)


def shift(answer: Any) -> None:
    """A LinearOperator that moves the image one pixel to the right."""
    x = random_image(2, *_SHAPE)
    expected = torch.zeros_like(x)
    expected[..., 1:] = x[..., :-1]
    operator = instance_of(answer, _SHAPE)
    expect_equal(operator.double()(x), expected, "the moved image")
    expect_linear_operator(operator)


def shift_adjoint(answer: Any) -> None:
    """The adjoint of that, as a function of a batch of measurements."""
    y = random_image(2, *_SHAPE, seed=1)
    expected = torch.zeros_like(y)
    expected[..., :-1] = y[..., 1:]
    answer_image = answer(y)
    is_rolled = is_image(answer_image, y.roll(-1, -1))
    expect(not is_rolled, "the first column comes back in as the last: what forward moves out of the image is lost")
    expect_equal(answer_image, expected, "Aᵀy")


def dot_test(answer: Any) -> None:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| / (‖Ax‖ ‖y‖) of an operator."""
    for factor, seed in ((1.0, 0), (4.0, 1), (-1.0, 2)):
        operator = WrongAdjoint(factor, _SHAPE).double()
        x, y = random_image(1, *_SHAPE, seed=seed) - 0.5, random_image(1, *_SHAPE, seed=seed + 10) - 0.5
        image, back = operator(x), operator.adjoint(y)
        error = float(((image * y).sum() - (x * back).sum()).abs() / (image.norm() * y.norm()))
        answer_error = float(answer(operator, x, y))
        expect(answer_error >= 0, "the error is negative: take the absolute value")
        fault = f"the error of an adjoint that is off by {factor:g} is wrong: {answer_error:.3g}"
        expect(abs(answer_error - error) < 1e-9 + 1e-6 * error, fault)


def average(answer: Any) -> None:
    """A LinearOperator of 2 x 2 means, with its adjoint written by hand."""
    operator = instance_of(answer, _SHAPE)
    expect(answer.adjoint is not LinearOperator.adjoint, "write def adjoint(self, y) too: by hand, once")
    x = random_image(2, *_SHAPE)
    means = x.unflatten(-2, (-1, 2)).unflatten(-1, (-1, 2)).mean((-3, -1))
    expect_equal(operator.double()(x), means, "the reduced image")
    expect_linear_operator(operator)


def composition(answer: Any) -> None:
    """(A @ B).T of two given operators, by their adjoints alone."""
    shape = (1, 8, 12)
    inner = Trail(shape).double()
    for outer in (Shift(shape, (2.0, 1.0)).double(), LanczosDownsampler(shape, 4).double()):
        y = random_image(2, *outer.out_shape, seed=3)
        product = answer(outer, inner, y)
        if outer.out_shape == shape:
            expect(not is_image(product, outer.adjoint(inner.adjoint(y))), "that is AᵀBᵀy: transposing reverses the order")
        expect(not is_image(product, inner(outer.adjoint(y))), "that applies B itself: its adjoint is wanted")
        expect_equal(product, (outer @ inner).T(y), "(AB)ᵀy")
