"""Grades answers to the exercises of the course."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from dipops.course import adjoints, ill_posed, least_squares, noise, nonlinear, own, prior, stopping, tomography, variation
from dipops.course.checks import Check, GradingError
from dipops.errors import BadValue, first_line, nearest

EXERCISES: dict[str, Check] = {
    f"{lesson.__name__.rpartition('.')[2]}.{check.__name__}".replace("_", "-"): check
    for lesson in (adjoints, ill_posed, least_squares, variation, prior, stopping, nonlinear, own, noise, tomography)
    for check in lesson.EXERCISES
}
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
    outcome = Grade(exercise, _fault(EXERCISES[exercise], answer))
    if (collected := _collected.get()) is not None:
        collected.append(outcome)
    return outcome


def require_exercise(name: str) -> None:
    """Raise BadValue, with the nearest names, if the course has no such exercise."""
    if name not in EXERCISES:
        raise BadValue(f"exercise {name!r}", "one of the course", f"the nearest are {nearest(name, EXERCISES)}")


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


def _fault(check: Check, answer: Any) -> str:
    if answer is ...:
        return _BLANK
    try:
        check(answer)
    except Exception as error:  # an answer may raise anything
        text = first_line(error)
        if "ellipsis" in text.lower():
            return _BLANK
        return text if isinstance(error, GradingError) else f"it raises {type(error).__name__}{f': {text}' if text else ''}"
    return ""
