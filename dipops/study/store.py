"""A folder of finished runs: a JSON record and an image for each, written whole, and never made twice."""

import json
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors.torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import Tensor

from dipops import images
from dipops._tools.files import write_json, write_whole
from dipops.errors import BadFile, first_line
from dipops.study.records import Record

FORMAT = 3
MARK = "store.json"
_TENSOR = "image"


class Store:
    """Finished runs in a folder that several processes may share.

    The image of a run is written before its record, and each gets its final name only when it is whole: a run that has a
    record is finished. The process that makes a run holds a lock for it, which is released when that process ends. A run that
    failed has a record in the folder ``failed``, until it is made again.

    Args:
        folder: is made if it does not exist.

    Raises:
        BadFile: the folder cannot be made or written to, or it is no store, or a store of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        mark = self.folder / MARK
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadFile(f"cannot make {self.folder}: {error.strerror}", "a folder", "choose another one") from error
        if not mark.exists():
            if any(self.folder.glob("*.json")) and not mark.exists():  # another process may have made the store meanwhile
                raise BadFile(f"{self.folder} without {MARK}", "a new folder or a store", "choose another one")
            write_json(mark, {"dipops store": FORMAT})
        version = _read(mark).get("dipops store")
        if version != FORMAT:
            raise BadFile(f"{self.folder} of format {version}", f"format {FORMAT}", "choose another folder, or that version")

    def has(self, key: str) -> bool:
        """Whether that run is finished."""
        return self._record(key).exists() and (self.image(key).exists() or self._tensor(key).exists())

    def runs(self) -> list[str]:
        """The keys of all finished runs."""
        return sorted(path.stem for path in self.folder.glob("*.json") if self.has(path.stem))

    def record(self, key: str) -> Record:
        """The record of a finished run.

        Raises:
            BadFile: it is missing or damaged.
        """
        return _read(self._record(key))

    def image(self, key: str) -> Path:
        """The file of a finished run's image, where it is a PNG: a colour or grey image of 8 bits."""
        return self.folder / f"{key}.png"

    def load(self, key: str) -> Tensor:
        """The image of a finished run (1, *in_shape), of 8 bits where it is a PNG.

        Raises:
            BadFile: it is missing or damaged.
        """
        if self.image(key).exists():
            return images.load(self.image(key))[None]
        try:
            return safetensors.torch.load(self._tensor(key).read_bytes())[_TENSOR]
        except (OSError, SafetensorError) as error:
            came = f"{self._tensor(key)} cannot be read: {first_line(error)}"
            raise BadFile(came, "an image", "delete it to make the run again") from error

    def failure(self, key: str) -> Record | None:
        """The record of a run that failed and was not made since, or None."""
        return _read(self._failure(key)) if self._failure(key).exists() else None

    def save(self, key: str, record: Record, image: Tensor | None) -> None:
        """Write a run: its image as a PNG where it is (1, 1 or 3, H, W), else as a safetensors file; without one a failure.

        Raises:
            BadFile: it cannot be written, as on a full disk; the store is then as it was.
        """
        if image is None:
            self._failures.mkdir(exist_ok=True)
            write_json(self._failure(key), record)
            return
        if image.ndim == 4 and len(image) == 1 and image.shape[1] in (1, 3):
            images.save(self.image(key), image)
        else:
            content = safetensors.torch.save({_TENSOR: image.detach().cpu().contiguous()})
            write_whole(self._tensor(key), lambda file: file.write(content))
        write_json(self._record(key), record)
        self._failure(key).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove a store without a finished run, and its folder where nothing else is in it."""
        if self.runs():
            return
        for folder in (self._failures, self._locks):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / MARK).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def lock(self, key: str, wait: bool) -> FileLock | None:
        """Lock a run, so that no other process makes it, until the lock is released; None where it is locked already.

        Args:
            key: of the run.
            wait: whether to wait for a process that has locked it.

        Raises:
            BadFile: the folder cannot be written to.
        """
        lock = FileLock(self._locks / f"{key}.lock", timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout:
            return None
        except OSError as error:
            came = f"cannot write in {self.folder}: {error.strerror}"
            raise BadFile(came, "a folder that can be written to", "choose another one") from error
        return lock

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _tensor(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _failure(self, key: str) -> Path:
        return self._failures / f"{key}.json"

    @property
    def _failures(self) -> Path:
        return self.folder / "failed"

    @property
    def _locks(self) -> Path:
        return self.folder / "locks"


def temporary_store() -> Store:
    """A store in a new folder, which goes with the store."""
    folder = tempfile.mkdtemp(prefix="dipops-study-")
    store = Store(folder)
    weakref.finalize(store, shutil.rmtree, folder, ignore_errors=True)
    return store


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadFile(f"{path} cannot be read: {error}", "a record", "delete it to make the run again") from error
