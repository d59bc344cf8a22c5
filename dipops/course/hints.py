"""The exercises by name, and two hints for each."""

import tomllib
from importlib.resources import files

from dipops.errors import BadValue, nearest

MOST = 2
_HINTS: dict[str, dict[str, list[str]]] = tomllib.loads(files("dipops.course").joinpath("hints.toml").read_text("utf-8"))
EXERCISES = tuple(f"{lesson}.{name}" for lesson, own in _HINTS.items() for name in own)
"""All names, such as "adjoints.shift", in the order of the lessons."""


class Hint(str):
    """A hint, which a notebook shows as plain text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def hint(exercise: str, step: int = 1) -> Hint:
    """A hint for an exercise: the first says where to look, the second what to write.

    Args:
        exercise: its name, such as "adjoints.shift".
        step: 1 or 2.

    Raises:
        BadValue: there is no such exercise, or no such step.
    """
    require_exercise(exercise)
    if step not in (1, MOST):
        raise BadValue(f"step {step!r} of the hints", "1 or 2", f'write hint("{exercise}") for the first')
    lesson, _, name = exercise.partition(".")
    return Hint(_HINTS[lesson][name][step - 1])


def require_exercise(name: str) -> None:
    """Raise BadValue, with the nearest names, if the course has no such exercise."""
    if name not in EXERCISES:
        raise BadValue(f"exercise {name!r}", "one of the course", f"the nearest are {nearest(name, EXERCISES)}")
