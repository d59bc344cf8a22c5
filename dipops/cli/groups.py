"""Commands whose options come in groups: a parameter that is a dataclass stands for its fields."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import wraps
from typing import Any


def flatten(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer reads it, with the fields of its dataclasses, nested ones too, as parameters of its own."""

    @wraps(command)
    def flat(**values: Any) -> None:
        _call(command, values)

    flat.__signature__ = inspect.Signature(list(_flat_parameters(command)))  # pyright: ignore[reportAttributeAccessIssue]
    return flat


def _flat_parameters(function: Any) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(function).parameters.values():
        if is_dataclass(parameter.annotation):
            yield from _flat_parameters(parameter.annotation)
        else:
            yield parameter.replace(kind=parameter.KEYWORD_ONLY)


def _call(function: Any, values: dict[str, Any]) -> Any:
    """Call a command, or a dataclass, with its own among the values."""
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        group = parameter.annotation
        arguments[name] = _call(group, values) if is_dataclass(group) else values[name]
    return function(**arguments)
