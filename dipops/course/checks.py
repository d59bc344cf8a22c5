"""What the exercises grade answers with."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import isclose
from typing import Any

import torch
from torch import Tensor

from dipops.operators import LinearOperator, LinearOrDifferentiableOperator
from dipops.testing import check

Check = Callable[[Any], None]
_salt: ContextVar[int] = ContextVar("salt", default=0)


class GradingError(Exception):
    """An answer is wrong; the text says what is wrong with it."""


def expect(condition: Any, fault: str) -> None:
    """Fail with ``fault`` unless the condition holds."""
    if not bool(condition):
        raise GradingError(fault)


def expect_step(answer_step: Any, step: int, fault: str) -> None:
    """Fail with ``fault`` unless the answer is the step, counted from 1."""
    expect(int(answer_step) != step - 1, "one too early: steps are counted from 1")
    expect(int(answer_step) != step + 1, "one too late")
    expect(int(answer_step) == step, fault)


class InView:
    """Base of operators whose calls a check looks at: a process of a submission is never given one, but asks for each call."""


@contextmanager
def salted(salt: int) -> Iterator[None]:
    """Within it every check draws other numbers, which nobody knows who does not know the salt."""
    token = _salt.set(salt)
    try:
        yield
    finally:
        _salt.reset(token)


def random_seed(seed: int = 0) -> int:
    """A seed for whatever else a check draws: the same for the same salt."""
    return seed + _salt.get()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    """Values drawn from U(0, 1), in float64."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(random_seed(seed)), dtype=torch.float64)


def falling_curve(steps: int = 12) -> list[float]:
    """Random values above 0 that fall, but not from each step to the next."""
    falls = 1 + torch.linspace(8, 0, steps, dtype=torch.float64) + 3 * random_image(steps, seed=3)
    return falls.tolist()


def levels(curve: list[float]) -> list[float]:
    """Levels that a curve reaches: above all of it, its values, and between them."""
    values = sorted(curve)
    return [values[-1] + 1, *values, *((low + high) / 2 for low, high in itertools.pairwise(values))]


def expect_first(answer_step: Any, step: int | None, event: str) -> None:
    """Fail unless the answer is the first step at which something is so, counted from 1."""
    expect(answer_step is not None, f"it returns None where {event}")
    expect_step(answer_step, step or 0, f"that is not the first step at which {event}")


def is_image(answer: Any, image: Tensor) -> bool:
    """Whether an answer is this image."""
    return isinstance(answer, Tensor) and answer.shape == image.shape and torch.allclose(answer.to(image), image)


def expect_equal(answer: Any, expected: Tensor | float, name: str, tolerance: float = 1e-6) -> None:
    """Compare a number or a tensor with what is expected, without showing what is expected."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    expect(answer is not ..., f"{name} is still a blank: fill it in")
    expect(answer is not None, f"{name} is None: does the function return it?")
    try:
        values = torch.as_tensor(answer).to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise GradingError(f"{name} is a {type(answer).__name__}, not numbers") from error
    expect(values.shape == expected.shape, f"{name} has shape {tuple(values.shape)} instead of {tuple(expected.shape)}")
    expect(values.isfinite().all(), f"{name} has values that are not finite")
    error = float((values - expected).norm()) / (float(expected.norm()) or 1.0)
    expect(error <= tolerance, f"{name} is wrong{_diagnosis(values, expected, tolerance)}")


def require_valid_operator(operator: Any) -> LinearOrDifferentiableOperator:
    """The operator, if it keeps every law but that of layout; else a GradingError names the first law that it breaks."""
    wanted = "hand over an operator, such as Shift((1, 5, 6))"
    expect(isinstance(operator, LinearOrDifferentiableOperator), f"that is a {type(operator).__name__}: {wanted}")
    for verdict in check(operator, strict=False).verdicts:
        expect(not verdict.fault or verdict.law == "layout", f"the law of {verdict.law} is broken: {verdict.fault}")
    return operator


def expect_linear_operator(operator: Any) -> None:
    """The same, and it must be linear."""
    require_valid_operator(operator)
    expect(isinstance(operator, LinearOperator), "it is no LinearOperator: which class does it inherit from?")


def instance_of(answer: Any, *arguments: Any) -> Any:
    """An instance of the class that the answer is."""
    expect(isinstance(answer, type), f"hand over the class itself, not a {type(answer).__name__}")
    return answer(*arguments)


def _diagnosis(values: Tensor, expected: Tensor, tolerance: float) -> str:
    """The usual mistakes in words."""

    def near(a: Tensor, b: Tensor) -> bool:
        return float((a - b).norm()) <= max(tolerance, 1e-6) * float(b.norm())

    if not values.any():
        return ": it is zero"
    if near(-values, expected):
        return ": its sign is wrong"
    scale = float((values * expected).sum() / expected.square().sum()) if expected.any() else 0.0
    if expected.numel() > 1 and scale and abs(scale - 1) > 0.01 and near(values / scale, expected):
        return f": it is {scale:.4g} times what it should be"
    if expected.ndim == 0:
        return _of_number(float(values), float(expected))
    offset = float((values - expected).mean())
    if expected.numel() > 1 and near(values - offset, expected):
        return f": it is too {'large' if offset > 0 else 'small'} by {abs(offset):.4g} everywhere"
    if words := _moved(values, expected, near):
        return words
    index = (values - expected).abs().argmax()
    position = ", ".join(str(int(part)) for part in torch.unravel_index(index, values.shape))
    return f", most at [{position}]"


def _of_number(value: float, expected: float) -> str:
    """The usual mistakes with one number."""
    usual = {"twice": 2 * expected, "half": expected / 2, "the square of": expected**2, "1 over": 1 / (expected or 1.0)}
    for words, number in usual.items():
        if isclose(value, number, rel_tol=1e-6):
            return f": it is {words} what it should be"
    if isclose(abs(value - expected), 1, rel_tol=1e-6):
        return f": it is too {'large' if value > expected else 'small'} by 1"
    return f": too {'large' if value > expected else 'small'} ({value:.6g})"


def _moved(values: Tensor, expected: Tensor, near: Callable[[Tensor, Tensor], bool]) -> str:
    """Whether the right values are in other places, or all but those at a border are right."""
    for axis, size in enumerate(expected.shape):
        if size > 1 and near(values.flip(axis), expected):
            return f": it is mirrored along axis {axis}"
        for steps in (1, 2) if size > 3 else ():
            for a, b in ((values, expected), (expected, values)):
                if near(a.narrow(axis, steps, size - steps), b.narrow(axis, 0, size - steps)):
                    return f": it is shifted by {steps} along axis {axis}"
        if size > 3 and near(values.narrow(axis, 1, size - 2), expected.narrow(axis, 1, size - 2)):
            return f": it is right but for the border along axis {axis}"
    if expected.ndim > 1 and expected.shape[-1] == expected.shape[-2] and near(values.mT, expected):
        return ": it is transposed"
    return ""
