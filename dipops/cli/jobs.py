"""Which files a restoring command reads and writes: one image, or every image of a folder."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from dipops._tools.files import exists
from dipops.errors import BadFile, BadValue
from dipops.images.writing import can_write

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Job:
    """The files of one image.

    Attributes:
        input: is read.
        output: is written.
        partners: other files that are read, by their role, such as "mask".
        fault: why a partner was not found, or None.
    """

    input: Path
    output: Path
    partners: Mapping[str, Path]
    fault: BadFile | None = None

    @property
    def std(self) -> Path:
        """Where the standard deviation of several runs is written."""
        return self.output.with_name(f"{self.output.stem}-std{self.output.suffix}")


def find_jobs(inputs: Sequence[Path], output: Path, partners: Mapping[str, Path | None]) -> tuple[list[Job], Path | None]:
    """The images to restore, and the folder of the outputs; None for one image, whose output is named.

    In a folder an output has the name of its input, with the suffix .png where the format cannot be written.

    Args:
        inputs: an image, or several, folders, and patterns such as ``*.png``.
        output: a file for one image, else a folder.
        partners: for each role a file for all images, or a folder with an image of the same name for each.

    Raises:
        BadFile: there is no such image, a folder has no image, or the output for several is a file.
    """
    given = {role: path for role, path in partners.items() if path is not None}
    if len(inputs) == 1 and not _is_folder(inputs[0]) and not _is_pattern(inputs[0]):
        if _is_folder(output):
            raise BadFile(f"{output} is a folder", "a file for one image", f"write {output / inputs[0].name}")
        return [_job(inputs[0], output, given)], None
    if exists(output) and not _is_folder(output):
        raise BadFile(f"{output} is a file", "a folder for several images", "choose another name")
    return [_job(path, output / _name(path), given) for path in find_images(inputs)], output


def _job(path: Path, output: Path, partners: Mapping[str, Path]) -> Job:
    try:
        return Job(path, output, {role: _partner(path, role, place) for role, place in partners.items()})
    except BadFile as error:
        return Job(path, output, {}, error)


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """The images that files, folders and patterns stand for, each once.

    Raises:
        BadFile: there is none in a folder or for a pattern.
    """
    return list(dict.fromkeys(_expanded(inputs)))


def _expanded(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if _is_folder(path):
            files = _images_in(path)
        elif _is_pattern(path):
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207, for Path.glob takes no absolute pattern
            files = [file for file in map(Path, matches) if _is_image(file)]
        else:
            files = [path]
        if not files:
            raise BadFile(f"no image in {path}", "files such as .png, .jpg or .tif", "check the path")
        yield from files


def _images_in(folder: Path) -> list[Path]:
    try:
        return [file for file in sorted(folder.iterdir()) if _is_image(file)]
    except OSError as error:
        raise BadFile(f"cannot list {folder}: {error.strerror}", "a folder that can be read", "check the path") from error


def _is_pattern(path: Path) -> bool:
    return not exists(path) and not _WILDCARDS.isdisjoint(str(path))


def _is_image(path: Path) -> bool:
    """Whether a file is an image by its suffix, and not hidden."""
    return path.suffix.lower() in _suffixes() and not path.name.startswith(".") and not _is_folder(path)


@cache
def _suffixes() -> set[str]:
    """Of the files that Pillow reads."""
    Image.init()
    return {suffix for suffix, name in Image.EXTENSION.items() if name in Image.OPEN}


def _name(path: Path) -> str:
    return path.name if can_write(path) else f"{path.stem}.png"


def _partner(image: Path, role: str, place: Path) -> Path:
    """The file of a role for an image: the given file, or the one in the given folder that has the same name."""
    if not _is_folder(place):
        return place
    candidates = [path for path in _images_in(place) if path.stem == image.stem]
    same = [path for path in candidates if path.name == image.name] or candidates
    if len(same) != 1:
        came = f"{len(same)} images named {image.stem} in {place}, for the {role} of {image}"
        raise BadFile(came, "one", f"name the {role} like the image")
    return same[0]


def require_different(jobs: Sequence[Job], runs: int) -> None:
    """Refuse two outputs of one name with BadValue; of several runs the standard deviations are outputs too."""
    first: dict[Path, Path] = {}
    for job in jobs:
        for output in (job.output, job.std) if runs > 1 else (job.output,):
            if output in first:
                came = f"{first[output]} and {job.input}, which would both be written to {output}"
                raise BadValue(came, "different names", "rename one of them")
            first[output] = job.input


def _is_folder(path: Path) -> bool:
    return exists(path) and path.is_dir()
