"""The files that a command writes: refused before its work, and listed afterwards in a record next to the main one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from dipops._tools.files import environment, plain_values, require_regular, require_writable, write_json, write_whole
from dipops.errors import BadFile, BadValue

_SUFFIX = ".dipops.json"
_WRITTEN = "written"


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
        BadFile: a file cannot be written, or would replace another.
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
        self._main, self._record = main, main.with_name(main.name + _SUFFIX)
        self._paths = [main, *(path for path in others if path is not None)]
        every = [*self._paths, *([] if checkpoint is None else [checkpoint]), self._record]
        for path in every:
            require_writable(path)
        _require_different(every)
        self._written = _digests(_read(self._record), self._record)
        if not force:
            _require_no_input(every, inputs)
            self._require_own()

    def write(self, files: Mapping[Path, bytes], record: Mapping[str, Any]) -> None:
        """Write the record, with the environment and the SHA-256 of each file, and then the files.

        Raises:
            BadFile: one cannot be written after all. All files are then in a new folder, which the error names.
        """
        self._written |= {self._name(path): sha256(content) for path, content in files.items()}
        about = {"output": str(self._main), _WRITTEN: self._written, "environment": environment()}
        try:
            write_json(self._record, {**record, **about})
            for path, content in files.items():
                write_whole(path, partial(_put, content=content))
        except BadFile as error:
            came, expected, _ = error.args
            raise BadFile(came, expected, f"the result is in {_rescue(files)}") from error

    def finished(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record that was written, where it has the given parts and every file is still as it was; else None."""
        written = _read(self._record)
        asked = plain_values(dict(record))
        same = all(written.get(key) == value for key, value in asked.items())
        return written if same and written and all(map(self._is_own, self._paths)) else None

    def _require_own(self) -> None:
        for path in self._paths:
            if path.exists() and not self._is_own(path):
                changed = self._name(path) in self._written
                came = f"{path} was changed after dipops wrote it" if changed else f"{path} exists, and dipops did not write it"
                raise BadFile(came, "a new file", "choose another name, or add --force")

    def _is_own(self, path: Path) -> bool:
        digest = self._written.get(self._name(path))
        return digest is not None and path.is_file() and digest == sha256(path.read_bytes())

    def _name(self, path: Path) -> str:
        """The path as the record says it, which stays right where the folder is moved."""
        return os.path.relpath(path.resolve(), self._record.parent.resolve())


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def require_inputs(paths: Any) -> Any:
    """The path, or the paths, of a command's inputs as they are; a FIFO or a device is refused with BadFile."""
    for path in paths if isinstance(paths, list | tuple) else [paths]:
        if isinstance(path, Path) and path.exists() and not path.is_dir():
            require_regular(path)
    return paths


def _put(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _rescue(files: Mapping[Path, bytes]) -> Path:
    """A new folder with the files."""
    folder = Path(tempfile.mkdtemp(prefix="dipops-"))
    for path, content in files.items():
        (folder / path.name).write_bytes(content)
    return folder


def _require_different(paths: list[Path]) -> None:
    files = [path.resolve() for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise BadValue(f"{path} would be written twice", "files of different names", "choose another name")


def _require_no_input(paths: list[Path], inputs: Iterable[Path | None]) -> None:
    read = {path.resolve() for path in inputs if path is not None}
    for path in paths:
        if path.resolve() in read:
            raise BadFile(f"{path} is an input and an output", "another output", "choose another name, or add --force")


def _read(record: Path) -> dict[str, Any]:
    """The record, empty where there is none; BadFile where the file is no JSON object."""
    if not record.exists():
        return {}
    try:
        return dict(json.loads(record.read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _foreign(record) from error


def _digests(content: dict[str, Any], record: Path) -> dict[str, str]:
    """The SHA-256 of each file that dipops wrote, by its record; BadFile where the content is of no such record."""
    written = content.get(_WRITTEN, {} if not content else None)
    if not isinstance(written, dict):
        raise _foreign(record)
    return {str(name): str(digest) for name, digest in written.items()}


def _foreign(record: Path) -> BadFile:
    return BadFile(f"{record} is no record of dipops", "a new file", "choose another output")
