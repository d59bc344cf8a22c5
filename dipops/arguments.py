"""What numbers given as arguments must be."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from dipops.errors import BadType, BadValue


def require_number(name: str, value: Any, fits: Callable[[float], bool], expected: str, advice: str) -> float:
    """``value`` as a float, if it is a number that ``fits``.

    Raises:
        BadType: it is no real number.
        BadValue: it does not fit.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise BadType(f"{name} = {value!r}", expected, advice)
    if not fits(float(value)):
        raise BadValue(f"{name} = {value}", expected, advice)
    return float(value)


def require_positive(name: str, value: Any, expected: str, advice: str) -> float:
    """``value`` as a float, if it is a finite number above 0; raises as ``require_number``."""
    return require_number(name, value, lambda number: 0 < number < float("inf"), expected, advice)


def require_integer(name: str, value: Any, least: int, advice: str) -> int:
    """``value`` as an int, if it is an integer from ``least``.

    Raises:
        BadType: it is no integer.
        BadValue: it is smaller.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise BadType(f"{name} = {value!r}", f"an integer from {least}", advice)
    if value < least:
        raise BadValue(f"{name} = {value}", f"an integer from {least}", advice)
    return int(value)
