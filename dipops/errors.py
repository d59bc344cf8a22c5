"""Errors that say what came, what was expected and what to do."""

import difflib
from collections.abc import Iterable


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
    """A linear operator's member was asked of an operator that is not linear.

    It is an AttributeError too, so that ``hasattr(A, "T")`` is False.
    """


class Diverged(DipopsError, ArithmeticError):
    """A solve met an objective that is not finite."""


class LawError(DipopsError, AssertionError):
    """An operator breaks a law; ``report`` holds the verdict of every law that was tried."""

    def __init__(self, came: str, expected: str, advice: str, report: object = None) -> None:
        super().__init__(came, expected, advice)
        self.report = report


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """The known names that are most like a wrong one, for an advice."""
    return ", ".join(difflib.get_close_matches(name, list(known), n=count, cutoff=0.0))


def first_line(error: BaseException) -> str:
    """What an exception says, in one line; empty where it says nothing."""
    return next(iter(str(error).splitlines()), "")
