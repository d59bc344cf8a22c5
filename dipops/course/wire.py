"""Messages of two processes of which one is not trusted: JSON, and tensors as bytes next to it; nothing is unpickled."""

import json
import struct
from math import prod
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

_HEAD_BYTES = 1 << 20
_BLOB_BYTES = 8 << 20
_BLOBS = 256
_DIMENSIONS = 16
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}
Message = tuple[dict[str, Any], list[bytes]]
METHODS = ("adjoint", "vjp", "jvp")
"""What an operator may write itself besides ``forward``."""


class BadMessage(Exception):
    """What came is no message, or is larger than one may be."""


class Unsent:
    """Stands for a value that is not sent: neither numbers nor text."""


def write_message(stream: BinaryIO, head: dict[str, Any], blobs: list[bytes]) -> None:
    """Write a message to an unbuffered stream; it waits until the other process has read it.

    Raises:
        OSError: the other process has gone.
    """
    parts = [json.dumps(head).encode(), *blobs]
    sizes = struct.pack(f"<I{len(parts)}I", len(parts), *map(len, parts))
    data = memoryview(sizes + b"".join(parts))
    while data:
        data = data[stream.write(data[: 1 << 16]) :]


def read_message(stream: BinaryIO, trusted: bool = False) -> Message:
    """Read a message from an unbuffered stream; it waits for one.

    Args:
        stream: of bytes.
        trusted: take a message of any size.

    Raises:
        EOFError: the stream has ended.
        BadMessage: it is no message, or too large for one that is not trusted.
    """
    (count,) = struct.unpack("<I", _exactly(stream, 4))
    if not trusted and not 1 <= count <= _BLOBS:
        raise BadMessage(f"a message of {count} parts")
    sizes = struct.unpack(f"<{count}I", _exactly(stream, 4 * count))
    if not trusted and (sizes[0] > _HEAD_BYTES or sum(sizes[1:]) > _BLOB_BYTES):
        raise BadMessage(f"a message of {sum(sizes)} bytes")
    head, *blobs = [_exactly(stream, size) for size in sizes]
    try:
        content = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BadMessage("no JSON") from error
    if not isinstance(content, dict):
        raise BadMessage("JSON of another form")
    return content, blobs


def encoded(value: Any, blobs: list[bytes]) -> Any:
    """The value as JSON, its tensors and arrays added to ``blobs``; what can be sent in no way is named by its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.from_numpy(np.ascontiguousarray(value).copy())
    if isinstance(value, Tensor):
        return {"tensor": _tensor(value, blobs)}
    if value is ...:
        return {"blank": True}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return {"list": [encoded(part, blobs) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[str(name), encoded(part, blobs)] for name, part in value.items()]}
    return {"other": type(value).__name__}


def decoded(value: Any, blobs: list[bytes]) -> Any:
    """The value that was encoded; sequences come back as lists, and other objects as an instance of an empty class.

    Raises:
        BadMessage: no value is encoded so, or the bytes of a tensor are not as many as its shape says.
    """
    if not isinstance(value, dict):
        return value
    try:
        ((form, content),) = value.items()
        if form == "tensor":
            name, shape, index, requires_grad = content
            return _decoded_tensor(name, shape, blobs[index], bool(requires_grad))
        if form == "blank":
            return ...
        if form == "list":
            return [decoded(part, blobs) for part in content]
        if form == "dict":
            return {str(name): decoded(part, blobs) for name, part in content}
        return stand_in(str(content))()
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, RecursionError) as error:
        raise BadMessage("a value of another form") from error


def stand_in(name: str) -> type[Unsent]:
    """An empty class of that name, where it is one."""
    return type(name if name.isidentifier() and len(name) <= 60 else "object", (Unsent,), {})


def _tensor(value: Tensor, blobs: list[bytes]) -> list[Any]:
    plain = value.detach().cpu()
    name = str(plain.dtype).removeprefix("torch.")
    if name not in _DTYPES:
        name = "float64" if plain.is_floating_point() else "int64"
        plain = plain.to(_DTYPES[name])
    blobs.append(plain.contiguous().numpy().tobytes())
    return [name, list(plain.shape), len(blobs) - 1, value.requires_grad]


def _decoded_tensor(name: str, shape: list[int], blob: bytes, requires_grad: bool) -> Tensor:
    dtype = _DTYPES[name]
    if len(shape) > _DIMENSIONS or not all(isinstance(side, int) and 0 <= side <= _BLOB_BYTES for side in shape):
        raise BadMessage("a tensor of no shape")
    if prod(shape) * dtype.itemsize != len(blob):
        raise BadMessage("a tensor whose bytes are not those of its shape")
    flat = torch.frombuffer(bytearray(blob), dtype=dtype) if blob else torch.empty(0, dtype=dtype)
    tensor = flat.view(shape)
    return tensor.requires_grad_() if requires_grad and dtype.is_floating_point else tensor


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = stream.read(min(missing, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
