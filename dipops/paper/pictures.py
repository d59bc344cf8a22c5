"""The pictures of an experiment: which files they are, what size they have, and how they are cut for a smaller run."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from dipops import images
from dipops.errors import BadFile

Given = Mapping[str, Tensor]
MASK = "mask"
_LEAST = 0.05


@dataclass(frozen=True)
class Source:
    """A picture in the data folder.

    Attributes:
        file: its path there.
        height, width: in pixels.
        channels: 1 for grey, 3 for colour.
    """

    file: str
    height: int
    width: int
    channels: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    def require(self, folder: Path) -> None:
        """Refuse, by its name and size alone, what is another picture.

        Raises:
            BadFile: it is missing, no picture, or one of another size.
        """
        path = folder / self.file
        try:
            with Image.open(path) as picture:
                found = (1 if picture.mode == "L" else 3, picture.height, picture.width)
        except OSError as error:
            reason = "no file" if isinstance(error, FileNotFoundError) else "no picture that can be read"
            raise BadFile(f"{reason} at {path}", _size(self.shape), "put the picture of the paper there") from error
        if found != self.shape:
            raise BadFile(f"{path} of {_size(found)}", _size(self.shape), "put the picture of the paper there")

    def read(self, folder: Path) -> Tensor:
        """The picture (channels, H, W), values in [0, 1].

        Raises:
            BadFile: it is missing, damaged, or another picture than expected.
        """
        self.require(folder)
        return images.load(folder / self.file)


@dataclass(frozen=True)
class Case:
    """One picture of an experiment, with all that belongs to it.

    Attributes:
        name: of the picture.
        sources: what is read for it, by its role: "truth", "noisy", "mask", and so on.
    """

    name: str
    sources: Mapping[str, Source]

    def read(self, folder: Path, crop: int | None = None) -> dict[str, Tensor]:
        """Every source, by its role.

        With ``crop`` they are cut alike to at most crop x crop pixels: the middle, or the place nearest to it where a mask has
        both known and unknown pixels.
        """
        given = {role: source.read(folder) for role, source in self.sources.items()}
        if crop is None or not given:
            return given
        height, width = (min(crop, side) for side in next(iter(given.values())).shape[1:])
        top, left = _place(given, height, width)
        return {role: image[:, top : top + height, left : left + width].contiguous() for role, image in given.items()}

    def digest(self, folder: Path) -> str:
        """Of the files' bytes: other pictures have another one."""
        files = (hashlib.sha256((folder / source.file).read_bytes()).digest() for source in self.sources.values())
        return hashlib.sha256(b"".join(files)).hexdigest()[:16]


def _place(given: Given, height: int, width: int) -> tuple[int, int]:
    """Top and left of a cut: the middle, or the nearest to it where a mask has enough of both kinds of pixels."""
    rows, columns = next(iter(given.values())).shape[1:]
    middle = (rows - height) // 2, (columns - width) // 2
    if MASK not in given:
        return middle
    sums = F.pad((given[MASK][0] > 0.5).double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    known = inside / (height * width)
    tops, lefts = ((known >= _LEAST) & (known <= 1 - _LEAST)).nonzero().unbind(1)
    if not len(tops):
        return middle
    nearest = ((tops - middle[0]).square() + (lefts - middle[1]).square()).argmin()
    return int(tops[nearest]), int(lefts[nearest])


def require_pictures(folder: Path, cases: Iterable[Case]) -> None:
    """Refuse a folder where any picture is missing or another one, naming all of them.

    Raises:
        BadFile: at least one is not as expected.
    """
    if not folder.is_dir():
        raise BadFile(f"no folder {folder}", "the folder of pictures", "give --data, or set DIPOPS_DATA")
    complaints = []
    for source in {source.file: source for case in cases for source in case.sources.values()}.values():
        try:
            source.require(folder)
        except BadFile as error:
            complaints.append(f"{error.args[0]} instead of {error.args[1]}")
    if complaints:
        came = f"{len(complaints)} pictures are missing or others: {'; '.join(complaints)}"
        raise BadFile(came, "the paper's", "complete the folder")


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} pixels in {'colour' if channels == 3 else 'grey'}"
