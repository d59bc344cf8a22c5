"""The files that a command writes: refused before its work, and named afterwards in a record beside the main one."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dipops._tools.files import environment, require_regular, require_writable, write_json
from dipops.errors import BadFile, BadValue

_SUFFIX = ".dipops.json"
_WRITTEN = "written"


class Outputs:
    """The files of one command, of which every one can be written, and none replaces what dipops did not write.

    A file of before may be replaced where the record beside the main file names it.

    Args:
        main: the file beside which the record is written.
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
        self._known = _read_names(self._record)
        if not force:
            _require_no_input(every, inputs)
            self._require_own()

    def write_record(self, record: dict[str, Any]) -> None:
        """Write a record, with the environment and the names of all files, next to the main one."""
        names = sorted(self._known.union(map(self._name, self._paths)))
        write_json(self._record, {**record, "output": str(self._main), _WRITTEN: names, "environment": environment()})

    def _require_own(self) -> None:
        for path in self._paths:
            if path.exists() and self._name(path) not in self._known:
                came = f"{path} exists, and {self._record.name} does not say that dipops wrote it"
                raise BadFile(came, "a new file", "choose another name, or add --force")

    def _name(self, path: Path) -> str:
        """The path as the record says it, which stays right where the folder is moved."""
        return os.path.relpath(path.resolve(), self._record.parent.resolve())


def require_inputs(paths: Any) -> Any:
    """The path, or the paths, of a command's inputs as they are; a FIFO or a device is refused with BadFile."""
    for path in paths if isinstance(paths, list) else [paths]:
        if path is not None and path.exists() and not path.is_dir():
            require_regular(path)
    return paths


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


def _read_names(record: Path) -> set[str]:
    """The names of the files that dipops wrote, by its record; BadFile where the file is no such record."""
    if not record.exists():
        return set()
    try:
        return set(map(str, json.loads(record.read_text())[_WRITTEN]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile(f"{record} is no record of dipops", "a new file", "choose another output") from error
