"""What the exercises grade answers with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
    """The operator, if it keeps every law; else a GradingError names the first law that it breaks."""
    wanted = "hand over an operator, such as Shift((1, 5, 6))"
    expect(isinstance(operator, LinearOrDifferentiableOperator), f"that is a {type(operator).__name__}: {wanted}")
    for verdict in check(operator, strict=False).verdicts:
        expect(not verdict.fault, f"the law of {verdict.law} is broken: {verdict.fault}")
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
    if not values.any():
        return ": it is zero"
    if float((values + expected).norm()) <= tolerance * float(expected.norm()):
        return ": its sign is wrong"
    scale = float((values * expected).sum() / expected.square().sum()) if expected.any() else 0.0
    scaled = float((values - scale * expected).norm()) <= 1e-6 * float(values.norm())
    if expected.numel() > 1 and scale and abs(scale - 1) > 0.01 and scaled:
        return f": it is {scale:.4g} times what it should be"
    if expected.ndim == 0:
        return f": {'too large' if values > expected else 'too small'} ({float(values):.6g})"
    index = (values - expected).abs().argmax()
    position = ", ".join(str(int(part)) for part in torch.unravel_index(index, values.shape))
    return f", most at [{position}]"
