"""Weights of networks, read from files without running anything that is in them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dipops.errors import BadFile, nearest

Arrays = dict[str, Tensor]
_KINDS = ".npz, .pt, .pth or .safetensors"


def read_weights(path: str | Path) -> Arrays:
    """The arrays of a .npz, .pt, .pth or .safetensors file by name, in float32; nothing in the file is executed.

    Raises:
        BadFile: the file is missing, of another kind, damaged, or holds anything but arrays of numbers.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".pt": _read_torch, ".pth": _read_torch, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise BadFile(f"{path} with suffix {path.suffix!r}", f"weights as {_KINDS}", "convert them")
    if not path.is_file():
        raise BadFile(f"no file at {path}", f"weights as {_KINDS}", "look at the path")
    try:
        found = readers[path.suffix](path)
    except Exception as error:  # each reader raises what it likes on a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadFile(f"{path} cannot be read: {reason}", f"weights as {_KINDS}", "fetch the file again") from error
    if not found or not all(isinstance(array, Tensor) and not array.is_complex() for array in found.values()):
        raise BadFile(f"{path} holds other things than arrays", "a table of names and arrays", "save the state_dict alone")
    return {name: array.float() for name, array in found.items()}


def set_weights(network: nn.Module, arrays: Arrays, names: Mapping[str, str], path: str | Path) -> None:
    """Copy arrays into a network's parameters; ``names`` gives the name in the file of each parameter.

    Raises:
        BadFile: an array is missing, has another shape, holds a value that is not finite, or has no place in the network.
    """
    for name, parameter in network.named_parameters():
        foreign = names[name]
        if foreign not in arrays:
            advice = f"it has {nearest(foreign, arrays)}, ..."
            raise BadFile(f"{path} without {foreign}", f"all weights of {network}", advice)
        array = arrays[foreign]
        if array.shape != parameter.shape:
            came = f"{foreign} of shape {tuple(array.shape)} in {path}"
            raise BadFile(came, f"{tuple(parameter.shape)} as in {network}", "these are the weights of another network")
        if not bool(array.isfinite().all()):
            raise BadFile(f"{foreign} in {path}, which is not finite", "finite weights", "fetch the file again")
    strange = arrays.keys() - {names[name] for name, _ in network.named_parameters()}
    if strange:
        raise BadFile(f"{path} with {', '.join(sorted(strange)[:3])}", f"weights of {network} only", "take them out")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(arrays[names[name]])


def _read_npz(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no .npz archive")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _read_torch(path: Path) -> dict[str, Any]:
    found = torch.load(path, map_location="cpu", weights_only=True)
    found = found.get("state_dict", found) if isinstance(found, Mapping) else {"": found}
    return dict(found)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)
