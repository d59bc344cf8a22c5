"""The files that a command writes: refused before its work, and listed afterwards in a record next to the main one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from dipops._tools.files import environment, exists, require_regular, require_writable, write_json, write_whole
from dipops.errors import BadFile, BadValue

_SUFFIX = ".dipops.json"
_WRITTEN, _ENVIRONMENT = "written", "environment"


class Occupied(BadFile):
    """A file of someone else is where an output would be."""


class Outputs:
    """The files of one command, of which every one can be written, and none replaces what dipops did not write.

    A file of before may be replaced where the record next to the main file has its name and its SHA-256.

    Args:
        main: the file next to which the record is written.
        others: the other files that are written.
        inputs: the files that are read, which are not replaced either.
        checkpoint: a file that may exist, for the solve looks at what is in it.
        force: replace inputs and files of others too, but no record of others.

    Raises:
        BadFile: a file cannot be written, or would replace another, which is Occupied.
        BadValue: one file is to be written twice.
    """

    def __init__(
        self,
        main: Path,
        others: Iterable[Path | None] = (),
        inputs: Iterable[Path | None] = (),
        checkpoint: Path | None = None,
        force: bool = False,
    ) -> None:
        self.main, self._record = main, main.with_name(main.name + _SUFFIX)
        self._paths = [main, *(path for path in others if path is not None)]
        every = [*self._paths, *([] if checkpoint is None else [checkpoint]), self._record]
        for path in every:
            require_writable(path)
        _require_different(every)
        self._written: dict[str, list[str]] = _read(self._record).get(_WRITTEN, {})
        if not force:
            _require_no_input(every, inputs)
            self._require_own()

    def write(self, files: Mapping[Path, bytes], record: Mapping[str, Any], place: str = "cpu") -> None:
        """Write the record, with the environment of a device and the SHA-256 of each file, and then the files.

        The SHA-256 of before stays next to the new one: a process that is killed in between leaves nothing that looks foreign.

        Raises:
            BadFile: one cannot be written after all. All files are then in a new folder, which the error names.
        """
        for path, content in files.items():
            self._written[self._name(path)] = [sha256(content), *self._written.get(self._name(path), [])[:1]]
        about = {"output": str(self.main), _WRITTEN: self._written, _ENVIRONMENT: environment(place)}
        try:
            write_json(self._record, {**record, **about})
            for path, content in files.items():
                write_whole(path, partial(_put, content=content))
        except BadFile as error:
            came, expected, advice = error.args
            raise BadFile(came, expected, _rescue(files) or advice) from error

    def finished(self) -> dict[str, Any] | None:
        """The record, where every file is as it was written last; else None."""
        record = _read(self._record)
        newest = {name: digests[0] for name, digests in record.get(_WRITTEN, {}).items()}
        whole = all(path.is_file() and newest.get(self._name(path)) == sha256(path.read_bytes()) for path in self._paths)
        return record if whole else None

    def _require_own(self) -> None:
        for path in self._paths:
            if path.exists() and not self._is_own(path):
                changed = self._name(path) in self._written
                came = f"{path} was changed after dipops wrote it" if changed else f"{path} exists, and dipops did not write it"
                raise Occupied(came, "a new file", "choose another name, or add --force")

    def _is_own(self, path: Path) -> bool:
        return path.is_file() and sha256(path.read_bytes()) in self._written.get(self._name(path), [])

    def _name(self, path: Path) -> str:
        """The path as the record says it, which stays right where the folder is moved."""
        return os.path.relpath(os.path.realpath(path), os.path.realpath(self._record.parent))


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def require_inputs(paths: Any) -> Any:
    """The path, or the paths, of a command's inputs as they are; a FIFO or a device is refused with BadFile."""
    for path in paths if isinstance(paths, list | tuple) else [paths]:
        if path is not None and exists(Path(path)) and not Path(path).is_dir():
            require_regular(Path(path))
    return paths


def _put(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _rescue(files: Mapping[Path, bytes]) -> str | None:
    """Where the files are, in a new folder; None where that fails too."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="dipops-"))
        for index, (path, content) in enumerate(files.items()):
            name = path.name if [other.name for other in files].count(path.name) == 1 else f"{index}-{path.name}"
            (folder / name).write_bytes(content)
    except OSError:
        return None
    return f"the result is in {folder}"


def _require_different(paths: list[Path]) -> None:
    files = [os.path.realpath(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise BadValue(f"{path} would be written twice", "files of different names", "choose another name")


def _require_no_input(paths: list[Path], inputs: Iterable[Path | None]) -> None:
    read = {os.path.realpath(path) for path in inputs if path is not None}
    for path in paths:
        if os.path.realpath(path) in read:
            raise BadFile(f"{path} is an input and an output", "another output", "choose another name, or add --force")


def _read(record: Path) -> dict[str, Any]:
    """The record, which has the SHA-256 of each file, the newest first; empty where there is none.

    Raises:
        Occupied: the file is no record of dipops.
    """
    if not record.exists():
        return {}
    try:
        content = json.loads(record.read_text("utf-8"))
        whole = _ENVIRONMENT in content and all(isinstance(digests, list) and digests for digests in content[_WRITTEN].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _foreign(record) from error
    if not whole:
        raise _foreign(record)
    return content


def _foreign(record: Path) -> Occupied:
    return Occupied(f"{record} is no record of dipops", "a new file", "choose another output")
