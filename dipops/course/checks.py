"""What the exercises are judged with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dipops.operators.interface import LinearOperator, LinearOrDifferentiableOperator
from dipops.testing.laws import check

Check = Callable[[Any], None]


class Wrong(Exception):
    """An answer is not right; the text says in what."""


def require(condition: Any, fault: str) -> None:
    """Say ``fault`` unless the condition holds."""
    if not bool(condition):
        raise Wrong(fault)


def require_step(came: Any, step: int, fault: str) -> None:
    """Say ``fault`` unless that is the step, counted from 1."""
    require(int(came) != step - 1, "one too early: steps are counted from 1")
    require(int(came) == step, fault)


def picture(*shape: int, seed: int = 0) -> Tensor:
    """Values drawn from U(0, 1), in float64."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(came: Any, expected: Tensor | float, what: str, tolerance: float = 1e-6) -> None:
    """Compare a number or a tensor with what is expected, without telling it."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    require(came is not ..., f"{what} is still a blank: fill it in")
    require(came is not None, f"{what} is None: does the function return it?")
    try:
        came = torch.as_tensor(came).to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(f"{what} is a {type(came).__name__}, not numbers") from error
    if came.shape != expected.shape:
        raise Wrong(f"{what} has shape {tuple(came.shape)} instead of {tuple(expected.shape)}")
    require(came.isfinite().all(), f"{what} has values that are not finite")
    scale = float(expected.norm()) or 1.0
    error = float((came - expected).norm()) / scale
    if error > tolerance:
        raise Wrong(f"{what} is wrong{_in_words(came, expected, tolerance)}")


def lawful(operator: Any) -> LinearOrDifferentiableOperator:
    """An operator that keeps every law, or the first one that it breaks."""
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise Wrong(
            f"that is a {type(operator).__name__}, not an operator: hand over one that was made, such as Shift((1, 5, 6))"
        )
    report = check(operator, strict=False)
    for verdict in report.verdicts:
        require(not verdict.fault, f"the law of {verdict.law} is broken: {verdict.fault}")
    return operator


def linear(operator: Any) -> LinearOperator:
    """The same, and it must be linear."""
    found = lawful(operator)
    if not isinstance(found, LinearOperator):
        raise Wrong("it is no LinearOperator: what class does it inherit from?")
    return found


def made(kind: Any, *arguments: Any) -> Any:
    """An instance of a class that the answer is."""
    require(isinstance(kind, type), f"hand over the class itself, not a {type(kind).__name__}")
    return kind(*arguments)


def _in_words(came: Tensor, expected: Tensor, tolerance: float) -> str:
    """The usual slips, named."""
    power = float(came.square().sum())
    if power == 0:
        return ": it is zero"
    if float((came + expected).norm()) <= tolerance * float(expected.norm()):
        return ": its sign is turned"
    scale = float((came * expected).sum() / expected.square().sum()) if expected.any() else 0.0
    if (
        expected.numel() > 1
        and abs(scale - 1) > 0.01
        and scale
        and float((came - scale * expected).norm()) <= 1e-6 * float(came.norm())
    ):
        return f": it is {scale:.4g} times what it should be"
    if expected.ndim == 0:
        return f": {'too large' if came > expected else 'too small'} ({float(came):.6g})"
    index = (came - expected).abs().argmax()
    place = ", ".join(str(int(part)) for part in torch.unravel_index(index, came.shape))
    return f", most at [{place}]"
