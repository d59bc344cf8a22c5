"""One text for what a solve depends on, the same in every process."""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from sysconfig import get_path
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from dipops.errors import safe_repr

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_INSTALLED = [Path(get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
_BY_NAME = frozenset({"dipops", "torch", *sys.stdlib_module_names})


def description(thing: object) -> str:
    """Like repr, but the same in every process, with the values of tensors and the names of functions."""
    if isinstance(thing, Tensor):
        return f"tensor {digest_of({'': thing})}"
    if isinstance(thing, nn.Module):
        return f"{_plain(thing)} {_settings(thing)} {digest_of(thing.state_dict())}"
    if isinstance(thing, partial):
        return f"partial({description(thing.func)}, {description(thing.args)}, {description(thing.keywords)})"
    if isinstance(thing, FunctionType):
        return thing.__qualname__
    if isinstance(thing, dict) and type(thing) is dict:
        return f"{{{', '.join(f'{description(key)}: {description(value)}' for key, value in thing.items())}}}"
    if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
        return f"({', '.join(map(description, thing))})"
    return _plain(thing)


def digest_of(tensors: dict[str, Tensor]) -> str:
    """A digest of names, dtypes, shapes and values."""
    total = hashlib.sha256()
    for name, tensor in tensors.items():
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


def contents(thing: object) -> str:
    """A digest of what a thing computes with: its class, attributes and tensors, and of functions their code.

    The code of dipops, torch and Python's own library counts by its name. Any other function or class counts by its code, its
    defaults, what it closes over, and what it names in its own file. Where it names something of another file, the whole of
    that file counts, and what that imports, but of installed packages the name alone. Private attributes count where the code
    of such a class names them; others are what a library keeps for itself.
    """
    return hashlib.sha256(_text(thing, ()).encode()).hexdigest()[:16]


def _text(thing: object, outer: tuple[int, ...]) -> str:
    """All of a thing as one text; ``outer`` are the things that it is a part of, where a circle ends."""
    if id(thing) in outer:
        return "itself"
    within = (*outer, id(thing))
    if isinstance(thing, Tensor):
        return digest_of({"": thing})
    if isinstance(thing, np.ndarray):
        return f"{thing.dtype} {thing.shape} {hashlib.sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()}"
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | Enum | np.generic):
        return repr(thing)
    if isinstance(thing, dict):
        return f"{{{', '.join(f'{_text(key, within)}: {_text(value, within)}' for key, value in thing.items())}}}"
    if isinstance(thing, list | tuple):
        return f"({', '.join(_text(part, within) for part in thing)})"
    if isinstance(thing, set | frozenset):
        return f"{{{', '.join(sorted(_text(part, within) for part in thing))}}}"
    if isinstance(thing, partial):
        return _text((thing.func, thing.args, thing.keywords), within)
    if isinstance(thing, MethodType):
        return _text((thing.__func__, thing.__self__), within)
    if isinstance(thing, property):
        return _text(thing.fget, within)
    if isinstance(thing, staticmethod | classmethod):
        return _text(thing.__func__, within)
    if isinstance(thing, CodeType):
        return _text((thing.co_code, thing.co_consts, thing.co_names, thing.co_varnames), within)
    if isinstance(thing, FunctionType):
        return _function_text(thing, within)
    if isinstance(thing, type):
        return _class_text(thing, within)
    return _object_text(thing, within)


def _function_text(function: FunctionType, outer: tuple[int, ...]) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    if _counts_by_name(function.__module__):
        return name
    around = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    cells = {key: cell.cell_contents for key, cell in around if _is_filled(cell)}
    named = {key: function.__globals__[key] for key in _names(function.__code__) if key in function.__globals__}
    own = {key: value for key, value in named.items() if _is_own(value, function.__module__)}
    others = _files_of(module for value in named.values() if (module := _module_of(value)) != function.__module__)
    return _text((name, function.__code__, function.__defaults__, function.__kwdefaults__, cells, own, others), outer)


def _module_of(value: object) -> str | None:
    """The module that a value is, or that defines it."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name if isinstance(name, str) else None


def _files_of(modules: Iterable[str | None]) -> dict[str, str]:
    """Digests of the files of modules of the user's own, and of those that they name, by the modules' names."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = sys.modules.get(waiting.pop() or "")
        if module is not None and module.__name__ not in found and (path := _own_file(module)):
            found[module.__name__] = hashlib.sha256(path.read_bytes()).hexdigest()
            waiting += map(_module_of, vars(module).values())
    return dict(sorted(found.items()))


def _own_file(module: ModuleType) -> Path | None:
    """The file of a module that is neither installed nor of Python itself."""
    path = getattr(module, "__file__", None)
    if path is None or _counts_by_name(module.__name__) or not (path := Path(path).resolve()).is_file():
        return None
    return None if any(path.is_relative_to(folder) for folder in _INSTALLED) else path


def _class_text(kind: type, outer: tuple[int, ...]) -> str:
    """The name of a class, and the code of it and its bases, where that counts."""
    code = FunctionType | property | staticmethod | classmethod | int | float | str | tuple
    members = {
        (base.__qualname__, name): value
        for base in _own_classes(kind)
        for name, value in vars(base).items()
        if (isinstance(value, code) or not name.startswith("_"))
        and not isinstance(value, MemberDescriptorType)
        and name not in ("__doc__", "__module__", "__slots__", "__static_attributes__", "__firstlineno__")
    }
    return f"{kind.__module__}.{kind.__qualname__} {_text(members, outer) if members else ''}"


def _object_text(thing: object, outer: tuple[int, ...]) -> str:
    """The class of an object, its repr and its attributes, and the tensors and parts of a module."""
    attributes = _attributes(thing)
    attributes.pop("training", None)
    parts: list[object] = [type(thing), _plain(thing), attributes]
    if isinstance(thing, nn.Module):
        parts += [digest_of(thing.state_dict()), dict(thing.named_children())]
    return _text(parts, outer)


def _attributes(thing: object) -> dict[str, object]:
    """The fields of a dataclass; else public attributes, private ones that its own code names, and what it wraps."""
    if is_dataclass(thing):
        return {field.name: getattr(thing, field.name) for field in fields(thing)}
    own = [(name, value) for base in _own_classes(type(thing)) for name, value in vars(base).items()]
    named = {name for _, value in own if (code := _code_of(value)) for name in _names(code)}
    slots = [name for name, value in own if isinstance(value, MemberDescriptorType) and hasattr(thing, name)]
    values = {**getattr(thing, "__dict__", {}), **{name: getattr(thing, name) for name in slots}}
    return {name: value for name, value in values.items() if not name.startswith("_") or name in (*named, "__wrapped__")}


def _own_classes(kind: type) -> list[type]:
    """A class and its bases, without those that count by their names."""
    return [base for base in kind.__mro__ if not _counts_by_name(base.__module__)]


def _code_of(member: object) -> CodeType | None:
    """The code of a method or a property."""
    return getattr(getattr(member, "fget", member), "__code__", None)


def _names(code: CodeType) -> Iterator[str]:
    """What code and the functions within it name."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_own(value: object, module: str) -> bool:
    """Whether what a function names belongs to it: what is of its own file, and objects of any."""
    if isinstance(value, FunctionType | type):
        return value.__module__ == module
    return not isinstance(value, ModuleType)


def _is_filled(cell: CellType) -> bool:
    """Whether a variable of the function around has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _counts_by_name(module: str) -> bool:
    return module.partition(".")[0] in _BY_NAME


def _settings(module: nn.Module) -> dict[str, object]:
    """The plain public attributes of a module and its parts, which its repr may leave out."""
    return {
        f"{path}.{name}".lstrip("."): value
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training" and isinstance(value, int | float | str)
    }


def _plain(thing: object) -> str:
    return _ADDRESS.sub("", safe_repr(thing))
