"""A folder of finished runs: a JSON record and an image for each, written whole, and never made twice."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from dipops import images
from dipops._tools.files import write_json
from dipops.errors import BadFile
from dipops.study.records import Record

FORMAT = 3
MARK = "store.json"


class Store:
    """Finished runs in a folder that several processes may share.

    The image of a run is written before its record, and each gets its final name only when it is whole: a run that has a
    record is finished. The process that makes a run holds a lock for it, which is released when that process ends.

    Args:
        folder: is made if it does not exist.

    Raises:
        BadFile: the folder cannot be made or written to, or it is no store, or a store of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        mark = self.folder / MARK
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
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
        return self._record(key).exists() and self.image(key).exists()

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
        """The file of a finished run's image."""
        return self.folder / f"{key}.png"

    def save(self, key: str, record: Record, image: Tensor) -> None:
        """Write a run.

        Raises:
            BadFile: it cannot be written, as on a full disk; the store is then as it was.
        """
        images.save(self.image(key), image)
        write_json(self._record(key), record)

    def lock(self, key: str, wait: bool) -> FileLock | None:
        """Lock a run, so that no other process makes it, until the lock is released; None where it is locked already.

        Args:
            key: of the run.
            wait: whether to wait for a process that has locked it.

        Raises:
            BadFile: the folder cannot be written to.
        """
        lock = FileLock(self.folder / "locks" / f"{key}.lock", timeout=-1 if wait else 0)
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


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadFile(f"{path} cannot be read: {error}", "a record", "delete it to make the run again") from error
