"""Files that are written whole or not at all, and the record of what made them."""

import json
import math
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from dipops.errors import BadFile

_OURS = ("dipops", "torch", "numpy", "scipy", "pillow", "matplotlib")
_COMPARED = ("scikit-image", "bm3d", "opencv-contrib-python-headless", "sporco")
RECORDED = (*_OURS, *_COMPARED)


def write_whole(path: str | Path, write: Callable[[BinaryIO], object], part: Path | None = None) -> None:
    """Call ``write`` with an open binary file that takes the place of ``path`` once it is complete.

    Args:
        path: the file.
        write: writes what is to be in it.
        part: the name until it is complete; with a fixed one a killed writer leaves no more than one such file, but there
            must be no second writer. By default a name of its own each time.

    Raises:
        BadFile: the folder is missing or cannot be written to; ``path`` is then as it was.
    """
    path = Path(path)
    try:
        if part is None:
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        else:
            descriptor, name = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), part
    except OSError as error:
        raise BadFile(
            f"cannot write {path}: {error.strerror}", "a folder that exists and can be written to", "choose another path"
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink()
        raise BadFile(
            f"cannot write {path}: {error.strerror or error}", "room on the disk", "make room, or go elsewhere"
        ) from error
    except BaseException:
        temporary.unlink()
        raise


def write_json(path: str | Path, record: dict[str, Any]) -> None:
    """Write ``record`` as indented JSON, whole or not at all; what is not finite becomes null, for JSON has no word for it."""
    text = json.dumps(_finite(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def environment() -> dict[str, Any]:
    """Versions of the packages that matter and the hardware, as plain values for a record."""
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: release for name in RECORDED if (release := package_version(name))},
        "platform": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def package_version(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
