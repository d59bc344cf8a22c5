"""Judges answers to the exercises of the course."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from dipops.course import adjoints, ill_posed, least_squares, nonlinear, own, prior, stopping, variation
from dipops.course.checks import Check, Wrong
from dipops.errors import BadValue, first_line, nearest

EXERCISES: dict[str, Check] = {
    f"{lesson}.{name}": check
    for lesson, module in {
        "adjoints": adjoints,
        "ill-posed": ill_posed,
        "least-squares": least_squares,
        "variation": variation,
        "prior": prior,
        "stopping": stopping,
        "nonlinear": nonlinear,
        "own": own,
    }.items()
    for name, check in module.EXERCISES.items()
}
_BLANK = "nothing yet: fill in the blank"
_kept: ContextVar[list["Grade"] | None] = ContextVar("grades", default=None)


@dataclass(frozen=True)
class Grade:
    """What came of an exercise; it prints as a line.

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
    """Judge an answer. Whatever it raises is the diagnosis.

    Args:
        exercise: its name, such as "adjoints.shift".
        answer: the function, class or object that the lesson asks for.

    Raises:
        BadValue: there is no such exercise.
    """
    if exercise not in EXERCISES:
        raise BadValue(f"exercise {exercise!r}", "one of the course", f"the nearest are {nearest(exercise, EXERCISES)}")
    made = Grade(exercise, _fault(EXERCISES[exercise], answer))
    if (kept := _kept.get()) is not None:
        kept.append(made)
    return made


@contextmanager
def noted() -> Iterator[list[Grade]]:
    """Collects all that is graded inside."""
    grades: list[Grade] = []
    token = _kept.set(grades)
    try:
        yield grades
    finally:
        _kept.reset(token)


def _fault(check: Check, answer: Any) -> str:
    if answer is ...:
        return _BLANK
    try:
        check(answer)
    except Exception as error:  # an answer may raise anything
        said = first_line(error)
        if "ellipsis" in said.lower():
            return _BLANK
        return said if isinstance(error, Wrong) else f"it raises {type(error).__name__}{f': {said}' if said else ''}"
    return ""
