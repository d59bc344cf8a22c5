"""Two hints for each exercise."""

import tomllib
from functools import cache
from importlib.resources import files

from dipops.course.grading import require_exercise
from dipops.errors import BadValue

MOST = 2


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
    return Hint(_hints()[lesson][name][step - 1])


@cache
def _hints() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("dipops.course").joinpath("hints.toml").read_text("utf-8"))
