"""Errors that say what came, what was expected and what to do, and the checks of numbers that raise them."""

import difflib
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, get_args


class DipopsError(Exception):
    """Base of every error raised on purpose; its text is one line in three parts."""

    def __init__(self, came: str, expected: str, advice: str) -> None:
        super().__init__(came, expected, advice)

    def __str__(self) -> str:
        came, expected, advice = self.args
        return f"{came}; expected {expected}; {advice}"


class BadValue(DipopsError, ValueError):
    """A value of the right type that cannot be used."""


class BadType(DipopsError, TypeError):
    """An object of a type that cannot be used here."""


class BadFile(DipopsError, OSError):
    """A file that is missing, broken or not what it should be."""

    def __init__(self, came: str, expected: str, advice: str) -> None:
        super().__init__(came, expected, advice)
        self.args = (came, expected, advice)


class NotLinear(BadType, AttributeError):
    """A member of linear operators that an operator does not have because it is not linear.

    It is an AttributeError too, so that ``hasattr(A, "T")`` is False.
    """


class Diverged(DipopsError, ArithmeticError):
    """A solve whose objective was not finite before it had a state to go back to, at every learning rate."""


class LawError(DipopsError, AssertionError):
    """An operator breaks a law; ``report`` holds the verdict on every law that was tried."""

    def __init__(self, came: str, expected: str, advice: str, report: object = None) -> None:
        super().__init__(came, expected, advice)
        self.report = report


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """The known names that are most like a wrong one, for the advice."""
    return ", ".join(difflib.get_close_matches(name, list(known), n=count, cutoff=0.0))


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or an empty string."""
    return next(iter(str(error).splitlines()), "")


def safe_repr(thing: object) -> str:
    """repr(thing), or the name of its class where that raises: a message about something else should not fail by it."""
    try:
        return repr(thing)
    except Exception:  # whatever a user's __repr__ raises
        return f"<{type(thing).__name__}>"


def require_number(name: str, value: Any, fits: Callable[[float], bool], expected: str, advice: str) -> float:
    """``value`` as a float, if it is a number that ``fits``; else BadType or BadValue."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise BadType(f"{name} = {safe_repr(value)}", expected, advice)
    if not fits(float(value)):
        raise BadValue(f"{name} = {value}", expected, advice)
    return float(value)


def require_positive(name: str, value: Any, expected: str, advice: str) -> float:
    """``value`` as a float, if it is a finite number above 0; else BadType or BadValue."""
    return require_number(name, value, lambda number: 0 < number < float("inf"), expected, advice)


def require_integer(name: str, value: Any, least: int, advice: str) -> int:
    """``value`` as an int, if it is an integer from ``least``; else BadType or BadValue."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise BadType(f"{name} = {safe_repr(value)}", f"an integer from {least}", advice)
    if value < least:
        raise BadValue(f"{name} = {value}", f"an integer from {least}", advice)
    return int(value)


def require_instance(value: object, kind: type | tuple[type, ...], role: str, expected: str, advice: str) -> None:
    """Refuse what is no instance of ``kind``, and so a class, with BadType."""
    if isinstance(value, type):
        raise BadType(f"the class {value.__name__} for the {role}", expected, "make an instance of it")
    if not isinstance(value, kind):
        module = "" if type(value).__module__ == "builtins" else f"{type(value).__module__}."
        raise BadType(f"a {module}{type(value).__name__} for the {role}", expected, advice)


def require_choice(name: str, value: Any, literal: Any) -> None:
    """Refuse a value that is none of a Literal's strings, with BadValue."""
    choices = get_args(literal)
    if not isinstance(value, str) or value not in choices:
        advice = f'write {name}="{nearest(str(value), choices, 1)}"'
        raise BadValue(f"{name} = {safe_repr(value)}", f"one of {', '.join(map(repr, choices))}", advice)
