"""One text for what a solve depends on, the same in every process."""

import hashlib
import re
from functools import partial
from types import FunctionType

import torch
from torch import Tensor, nn

from dipops.errors import safe_repr

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


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
