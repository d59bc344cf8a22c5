"""The pictures of an experiment: which files they are, what size they have, and how they are cut for a smaller run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dipops import images
from dipops.errors import BadFile, BadValue

Given = Mapping[str, Tensor]


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

    def read(self, folder: Path, crop: int | None = None) -> Tensor:
        """The picture (channels, H, W), values in [0, 1]; with ``crop``, the middle of at most crop x crop pixels.

        Raises:
            BadFile: it is missing, damaged, or another picture than expected.
        """
        image = images.load(folder / self.file)
        expected = (self.channels, self.height, self.width)
        if tuple(image.shape) != expected:
            came = f"{folder / self.file} of {_size(image.shape)}"
            raise BadFile(came, _size(expected), "put the picture of the paper there")
        return image if crop is None else images.centre_crop(image, (min(crop, self.height), min(crop, self.width)))


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
        """Every source, by its role, cut alike."""
        return {role: source.read(folder, crop) for role, source in self.sources.items()}


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
            source.read(folder)
        except (BadFile, BadValue) as error:
            complaints.append(str(error))
    if complaints:
        shown = "\n  ".join(complaints)
        raise BadFile(f"{len(complaints)} pictures are not as expected:\n  {shown}", "all of them", "complete the folder")


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} pixels in {'colour' if channels == 3 else 'grey'}"
