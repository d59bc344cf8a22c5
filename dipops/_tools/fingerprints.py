"""One text for everything that a solve depends on, the same in every process."""

import hashlib
import re
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_OWN = frozenset(vars(nn.Module()))
_FIXED = (int, float, str, bytes, tuple, Enum, FunctionType, MethodType, partial)


def described(thing: object) -> str:
    """Like repr, but whole: functions by their code and the fixed values they close over, modules by their plain public
    attributes too. What may grow, such as a list that a callback writes to, is told by its type.

    Tensors inside are told by their values.
    """
    if isinstance(thing, Tensor):
        return f"tensor {digest_of({'': thing})}"
    if isinstance(thing, partial):
        return f"partial({described(thing.func)}, {described(thing.args)}, {described(thing.keywords)})"
    if isinstance(thing, MethodType):
        return f"{described(thing.__self__)}.{thing.__name__}"
    if isinstance(thing, FunctionType):
        inside = [part if isinstance(part, _FIXED) else type(part) for part in map(_contents, thing.__closure__ or ())]
        return f"{thing.__qualname__} {_code(thing.__code__)} {described((inside, thing.__defaults__))}"
    if isinstance(thing, nn.Module):
        return f"{_plain(thing)} {described({name: _attributes(module) for name, module in thing.named_modules()})}"
    if is_dataclass(thing) and not isinstance(thing, type):
        return f"{type(thing).__name__}({', '.join(f'{f.name}={described(getattr(thing, f.name))}' for f in fields(thing))})"
    if isinstance(thing, dict) and type(thing) is dict:
        return f"{{{', '.join(f'{described(key)}: {described(value)}' for key, value in thing.items())}}}"
    if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
        return f"({', '.join(map(described, thing))})"
    return _plain(thing)


def digest_of(tensors: dict[str, Tensor]) -> str:
    """A digest of names, kinds and values."""
    total = hashlib.sha256()
    for name, tensor in tensors.items():
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:16]


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a user has written to a module: public, and no cache or module."""
    found = {name: value for name, value in vars(module).items() if name not in _OWN and not name.startswith("_")}
    return {name: value for name, value in found.items() if isinstance(value, _FIXED) or is_dataclass(value)}


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # of a name that is bound later
        return None


def _code(code: CodeType) -> str:
    """A digest of what a function does."""
    constants = [_code(part) if isinstance(part, CodeType) else repr(part) for part in code.co_consts]
    text = f"{code.co_code.hex()} {code.co_names} {constants}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(thing: object) -> str:
    return _ADDRESS.sub("", repr(thing))
