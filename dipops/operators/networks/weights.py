"""Weights of networks, read from files without running any code in them."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dipops.errors import BadFile, first_line

Arrays = dict[str, Tensor]
_FORMATS = "weights as .npz, .pt, .pth or .safetensors"
_SHOWN = 240


def read_weights(path: str | Path) -> Arrays:
    """The arrays of a .npz, .pt, .pth or .safetensors file by name, in float32; nothing in the file is executed.

    Raises:
        BadFile: the file is missing, of another kind, damaged, or holds anything but arrays of finite numbers.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".pt": _read_torch, ".pth": _read_torch, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise BadFile(f"{path} with suffix {path.suffix!r}", _FORMATS, "convert them")
    try:
        arrays = readers[path.suffix](path)
    except pickle.UnpicklingError as error:  # its text advises to let the file run code
        raise BadFile(f"{path} holds more than tensors", _FORMATS, "fetch it from a source that you trust") from error
    except Exception as error:  # each reader raises errors of its own on a damaged file
        reason = first_line(error) or type(error).__name__
        raise BadFile(f"{path} cannot be read: {reason}", _FORMATS, "check the path, or fetch the file again") from error
    for name, array in arrays.items():
        if not isinstance(name, str) or not _is_finite(array):
            raise BadFile(f"{name!r} in {path}", "an array of finite numbers", "save the state_dict alone")
    return {name: array.float() for name, array in arrays.items()}


def set_weights(network: nn.Module, arrays: Arrays, path: str | Path) -> None:
    """Copy the arrays of a file into the parameters of their names.

    Raises:
        BadFile: an array is missing, has another shape, or belongs to no parameter.
    """
    try:
        network.load_state_dict(arrays)
    except RuntimeError as error:
        fault = shorten(str(error), _SHOWN)
        raise BadFile(f"{path}: {fault}", f"the weights of {network}", "use the file of this network") from error


def _is_finite(array: Any) -> bool:
    """Whether it is a plain tensor of finite real numbers."""
    if not isinstance(array, Tensor) or array.is_quantized or array.layout is not torch.strided or array.is_complex():
        return False
    return bool(array.isfinite().all())


def _read_npz(path: Path) -> dict[str, Any]:
    zipfile.ZipFile(path).close()  # of any other file np.load says that it could be unpickled
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _read_torch(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(content.get("state_dict", content)) if isinstance(content, Mapping) else {"": content}


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)
