"""A folder of finished runs that loses nothing: each is a JSON record and a picture, written whole, and never made twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from dipops import images
from dipops._tools.files import write_json
from dipops.errors import BadFile

FORMAT = 2
MARK = "store.json"


class Store:
    """Finished runs in a folder that several processes may share.

    A run's picture is written before its record, and both under their final name only when whole: what has a record is
    finished. A lock for each run is held by the process that makes it, and falls with that process.

    Args:
        folder: made if it is not there.

    Raises:
        BadFile: it cannot be made or written to, is no store, or one of another format.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        mark = self.folder / MARK
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadFile(f"cannot make {self.folder}: {error.strerror}", "a folder", "choose another --out") from error
        foreign = any(path.name != MARK for path in self.folder.glob("*.json"))
        if not mark.exists():
            if foreign:
                raise BadFile(f"{self.folder} without {MARK}", "a new folder or a store", "choose another --out")
            write_json(mark, {"dipops store": FORMAT})
        found = _read(mark).get("dipops store")
        if found != FORMAT:
            raise BadFile(f"{self.folder} of format {found}", f"format {FORMAT}", "choose another --out, or that version")

    def has(self, key: str) -> bool:
        """Whether that run is finished."""
        return self._record(key).exists() and self._picture(key).exists()

    def runs(self) -> list[str]:
        """Of all finished runs."""
        return sorted(path.stem for path in self.folder.glob("*.json") if self.has(path.stem))

    def record(self, key: str) -> dict[str, Any]:
        """The record of a finished run.

        Raises:
            BadFile: there is none, or it was changed.
        """
        return _read(self._record(key))

    def picture(self, key: str) -> Path:
        """The file of a finished run's picture.

        Raises:
            BadFile: it is not there.
        """
        path = self._picture(key)
        if not path.exists():
            raise BadFile(f"no picture {path}", "what dipops paper wrote", f"delete {key}.json to make the run anew")
        return path

    def keep(self, key: str, record: dict[str, Any], picture: Tensor) -> None:
        """Lay a run down.

        Raises:
            BadFile: it cannot be written, as on a full disk; the store is then as it was.
        """
        images.save(self._picture(key), picture)
        write_json(self._record(key), record)

    @contextmanager
    def claim(self, key: str, wait: bool) -> Iterator[bool]:
        """Hold the lock of a run, so that no other process makes it; gives whether it is held.

        Args:
            key: of the run.
            wait: whether to wait for a process that holds it.

        Raises:
            BadFile: the folder cannot be written to.
        """
        lock = FileLock(self.folder / "locks" / f"{key}.lock", timeout=-1 if wait else 0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            came = f"cannot write in {self.folder}: {error.strerror}"
            raise BadFile(came, "a folder that can be written to", "choose another --out") from error
        try:
            yield True
        finally:
            lock.release()

    def _picture(self, key: str) -> Path:
        return self.folder / f"{key}.png"

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read: {error}", "what dipops paper wrote", "delete it to make it anew") from error
    if not isinstance(found, dict):
        raise BadFile(f"{path} holds no record", "what dipops paper wrote", "delete it to make it anew")
    return found
