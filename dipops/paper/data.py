"""The image files of the paper: what they must be, and how they are cut for a smaller run."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from dipops import images
from dipops.errors import BadFile

Images = Mapping[str, Tensor]
MASK = "mask"
_LEAST = 0.05


@dataclass(frozen=True)
class PaperImage:
    """One image of an experiment, with all files that belong to it.

    Attributes:
        name: of the image.
        files: paths in the data folder by role: "truth", "noisy", "mask", and so on.
        shape: (channels, height, width) of each file; a mask has one channel.
    """

    name: str
    files: Mapping[str, str]
    shape: tuple[int, int, int]

    def read(self, folder: Path, crop: int | None = None) -> dict[str, Tensor]:
        """Every file by its role, (channels, H, W) with values in [0, 1].

        With ``crop`` all are cut alike to at most crop x crop pixels: the middle, or the nearest place to it where a mask has
        both known and unknown pixels.

        Raises:
            BadFile: a file is missing, damaged, or of another size.
        """
        require_images(folder, [self])
        whole = {role: images.load(folder / file) for role, file in self.files.items()}
        if crop is None or not whole:
            return whole
        height, width = (min(crop, side) for side in self.shape[1:])
        top, left = _corner(whole, height, width)
        return {role: image[:, top : top + height, left : left + width].contiguous() for role, image in whole.items()}

    def shape_of(self, role: str) -> tuple[int, int, int]:
        """The shape of the file of that role."""
        return (1, *self.shape[1:]) if role == MASK else self.shape

    def complaints(self, folder: Path) -> list[str]:
        """What is wrong with the files in a folder, as far as their names and sizes show."""
        return [text for role, file in self.files.items() if (text := _complaint(folder / file, self.shape_of(role)))]

    def digest(self, folder: Path) -> str:
        """A digest of the bytes of the files."""
        parts = (hashlib.sha256((folder / file).read_bytes()).digest() for file in self.files.values())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def require_images(folder: Path, wanted: Iterable[PaperImage]) -> None:
    """Raise BadFile, naming all files that are missing or of another size, if there is one."""
    if not folder.is_dir():
        raise BadFile(f"no folder {folder}", "the folder of the paper's images", "give --data, or set DIPOPS_DATA")
    complaints = dict.fromkeys(text for image in wanted for text in image.complaints(folder))
    if complaints:
        raise BadFile(f"images are missing or differ: {', '.join(complaints)}", "those of the paper", "complete the folder")


def _complaint(path: Path, shape: tuple[int, int, int]) -> str:
    try:
        with Image.open(path) as image:
            actual = (1 if image.mode == "L" else 3, image.height, image.width)
    except FileNotFoundError:
        return f"no file at {path}"
    except OSError:
        return f"no image that can be read at {path}"
    return "" if actual == shape else f"{path} of {_words(actual)} instead of {_words(shape)}"


def _words(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width} x {height} pixels in {'colour' if channels == 3 else 'grey'}"


def _corner(whole: Images, height: int, width: int) -> tuple[int, int]:
    """Top and left of a cut: the middle, or the nearest place to it where a mask has enough of both kinds of pixels."""
    rows, columns = next(iter(whole.values())).shape[1:]
    middle = (rows - height) // 2, (columns - width) // 2
    if MASK not in whole:
        return middle
    sums = F.pad((whole[MASK][0] > 0.5).double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    known = inside / (height * width)
    tops, lefts = ((known >= _LEAST) & (known <= 1 - _LEAST)).nonzero().unbind(1)
    if not len(tops):
        return middle
    nearest = ((tops - middle[0]).square() + (lefts - middle[1]).square()).argmin()
    return int(tops[nearest]), int(lefts[nearest])
