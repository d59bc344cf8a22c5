"""Files that are written whole or not at all, and the record of what made them."""

import errno
import json
import math
import os
import platform
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from dipops.errors import BadFile

_OURS = ("dipops", "torch", "numpy", "scipy", "pillow", "matplotlib")
_COMPARED = ("scikit-image", "PyWavelets", "bm3d", "opencv-contrib-python-headless", "sporco")
RECORDED = (*_OURS, *_COMPARED)
_ROOM = "room on the disk", "make room, or go elsewhere"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.ENAMETOOLONG: ("a name of at most 255 bytes", "choose a shorter one"),
    errno.ENOTDIR: ("a file in a folder", "choose another path"),
    errno.EISDIR: ("a file, no folder", "name a file in it"),
    errno.ELOOP: ("a link to a file", "remove the link"),
}


def write_whole(path: str | Path, write: Callable[[BinaryIO], object], part: Path | None = None) -> None:
    """Call ``write`` with an open binary file that takes the place of ``path`` once it is complete.

    Where ``path`` is a link, the file that it leads to is replaced.

    Args:
        path: the file.
        write: writes what is to be in it.
        part: the name until it is complete; with a fixed one a killed writer leaves no more than one such file, but there
            must be no second writer. By default a name of its own each time.

    Raises:
        BadFile: the folder is missing or cannot be written to, or ``path`` is no regular file; it is then as it was.
    """
    target = write_target(path)
    try:
        descriptor, temporary = _open_part(target, part)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink()
        raise _cannot_write(path, error) from error
    except BaseException:
        temporary.unlink()
        raise


def write_target(path: str | Path) -> Path:
    """The file that a path stands for: where it is a link, the file that the link leads to.

    Raises:
        BadFile: it is a folder or a special file, a link that leads nowhere, or no path at all.
    """
    path = Path(path)
    try:
        target = path.resolve(strict=True) if path.is_symlink() else path
        require_regular(target)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise BadFile(f"{path} is a link to a missing file", "a link to a file", "remove the link") from error
        return path
    except RuntimeError as error:  # how Python up to 3.12 reports links that lead to each other
        raise _cannot_write(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP))) from error
    except BadFile:
        raise
    except OSError as error:
        raise _cannot_write(path, error) from error
    return target


def exists(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        BadFile: nobody can say: the name is too long, a folder cannot be entered, or links lead to each other.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        expected, advice = _REMEDIES.get(error.errno or 0, ("a path that can be read", "check the path"))
        raise BadFile(f"cannot use {path}: {error.strerror}", expected, advice) from error
    return True


def require_regular(path: Path) -> None:
    """Refuse a folder, a FIFO, a device or a socket with BadFile, before anything waits for it."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise BadFile(f"{path} is a folder", "a file", "name a file in it")
    if not stat.S_ISREG(mode):
        raise BadFile(f"{path} is a FIFO, a device or a socket", "a regular file", "choose another path")


def require_writable(path: Path) -> None:
    """Refuse a file that could not be written, with BadFile, by a temporary file in its folder."""
    target = write_target(path)
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise _cannot_write(path, error) from error


def _open_part(target: Path, part: Path | None) -> tuple[int, Path]:
    """An open file beside the target, and its path."""
    if part is not None:
        return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), part
    descriptor, name = tempfile.mkstemp(prefix=".dipops-", dir=target.parent)
    return descriptor, Path(name)


def _cannot_write(path: str | Path, error: OSError) -> BadFile:
    """The error of a file that cannot be written, with what would help against its cause."""
    expected, advice = _REMEDIES.get(error.errno or 0, ("a folder that exists and can be written to", "choose another path"))
    return BadFile(f"cannot write {path}: {error.strerror or error}", expected, advice)


def json_content(record: dict[str, Any]) -> bytes:
    """``record`` as the content of a file of indented JSON; numbers that JSON has not are "inf", "-inf" and "nan"."""
    text = json.dumps(plain_values(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # of names that are no UTF-8


def write_json(path: str | Path, record: dict[str, Any]) -> None:
    """Write ``record`` as :func:`json_content` gives it, whole or not at all."""
    content = json_content(record)
    write_whole(path, lambda file: file.write(content))


def environment(place: Any = "cpu") -> dict[str, Any]:
    """Versions of the packages that matter and the hardware, as plain values for a record.

    Args:
        place: a torch.device or its name, of which "gpu" is the hardware; None for the CPU.
    """
    import torch

    device = torch.device(place)

    return {
        "python": platform.python_version(),
        "packages": {name: release for name in RECORDED if (release := package_version(name))},
        "platform": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None if device.type == "cpu" else str(device),
    }


@cache
def package_version(name: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def plain_values(value: Any) -> Any:
    """The value as it comes back from JSON: tuples as lists, and numbers that are not finite as text."""
    if isinstance(value, dict):
        return {name: plain_values(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


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
