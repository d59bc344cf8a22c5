"""Grades answers to the exercises of the course."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dipops.course.checks import Check, GradingError
from dipops.course.hints import require_exercise
from dipops.errors import first_line

_BLANK = "nothing yet: fill in the blank"
MISSING = "not handed in"
_collected: ContextVar[list["Grade"] | None] = ContextVar("grades", default=None)
_recorded: ContextVar[dict[str, Any] | None] = ContextVar("answers", default=None)


@dataclass(frozen=True)
class Grade:
    """The outcome of an exercise; it prints as a line.

    Attributes:
        exercise: its name.
        fault: what is wrong, or empty.
    """

    exercise: str
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return not self.fault

    def __str__(self) -> str:
        return f"✓ {self.exercise}" if self.passed else f"✗ {self.exercise}: {self.fault}"

    __repr__ = __str__


def grade(exercise: str, answer: Any) -> Grade:
    """Grade an answer; an exception that it raises is the diagnosis.

    Args:
        exercise: its name, such as "adjoints.shift".
        answer: the function, class or object that the lesson asks for.

    Raises:
        BadValue: there is no such exercise.
    """
    require_exercise(exercise)
    if (recorded := _recorded.get()) is not None:
        recorded[exercise] = answer
        return Grade(exercise)
    outcome = Grade(exercise, _fault(check_of(exercise), answer))
    if (collected := _collected.get()) is not None:
        collected.append(outcome)
    return outcome


def check_of(exercise: str) -> Check:
    """The check of an exercise, from the module of its lesson; a process of a submission never loads that."""
    lesson, _, name = exercise.replace("-", "_").partition(".")
    return getattr(import_module(f"dipops.course.{lesson}"), name)


@contextmanager
def collect_grades() -> Iterator[list[Grade]]:
    """A list of all that is graded inside."""
    grades: list[Grade] = []
    token = _collected.set(grades)
    try:
        yield grades
    finally:
        _collected.reset(token)


@contextmanager
def record_answers() -> Iterator[dict[str, Any]]:
    """By its exercise, each answer that is handed in inside, where nothing is checked and every grade says that it passed."""
    answers: dict[str, Any] = {}
    token = _recorded.set(answers)
    try:
        yield answers
    finally:
        _recorded.reset(token)


def called(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What an answer returns for copies of its arguments, so that a check can go on using its own.

    New tensors take the dtype of the first argument that has one, as they have that of the images in a lesson.
    """
    copies = [_copied(argument) for argument in arguments]
    before, dtype = torch.get_default_dtype(), next(filter(None, map(_dtype, copies)), None)
    torch.set_default_dtype(dtype or before)
    try:
        value = answer(*copies)
    finally:
        torch.set_default_dtype(before)
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def _copied(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return argument.detach().clone().requires_grad_(argument.requires_grad)
    return [_copied(part) for part in argument] if isinstance(argument, list) else argument


def _dtype(argument: Any) -> torch.dtype | None:
    """The floating dtype of a tensor, or of the first one in a list."""
    if isinstance(argument, list):
        return next(filter(None, map(_dtype, argument)), None)
    return argument.dtype if isinstance(argument, Tensor) and argument.is_floating_point() else None


def _fault(check: Check, answer: Any) -> str:
    if answer is ...:
        return _BLANK
    is_function = callable(answer) and not isinstance(answer, type | nn.Module)
    try:
        check(wraps(answer)(lambda *arguments: called(answer, arguments)) if is_function else answer)
    except Exception as error:  # an answer may raise anything
        text = first_line(error)
        if "ellipsis" in text.lower():
            return _BLANK
        return text if isinstance(error, GradingError) else f"it raises {type(error).__name__}{f': {text}' if text else ''}"
    return ""
