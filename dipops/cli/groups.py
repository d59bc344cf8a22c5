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


def _flat_parameters(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    for parameter in _parameters(function):
        if _is_group(parameter):
            yield from _flat_parameters(parameter.annotation)
        else:
            yield parameter.replace(kind=parameter.KEYWORD_ONLY)


def _call(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call a command, or a dataclass, with its own among the values."""
    arguments = {}
    for parameter in _parameters(function):
        name = parameter.name
        arguments[name] = _call(parameter.annotation, values) if _is_group(parameter) else values[name]
    return function(**arguments)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _is_group(parameter: inspect.Parameter) -> bool:
    return is_dataclass(parameter.annotation)
