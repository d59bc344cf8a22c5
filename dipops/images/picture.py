"""What an image file holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dipops._tools.batches import CHANNELS_FIRST, is_channels_last
from dipops.errors import BadType, BadValue

Depth = Literal[8, 16]
Layers = tuple[np.ndarray, np.ndarray | None]  # colours (H, W, 1 or 3) and alpha (H, W, 1), in [0, 1]

ORIENTATION = 0x0112
_SIZES = (0xA002, 0xA003)  # of the image in the file, which may be turned or enlarged
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_DESCRIPTIVE = (
    *(0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298),  # description, camera, software, date, artist, rights
    *(0x4746, 0x4749, *range(0x9C9B, 0x9CA0)),  # ratings, and the title and its kin that Windows writes
)
_TURNS: dict[int, tuple[tuple[int, ...], bool]] = {
    2: ((-1,), False),
    3: ((-2, -1), False),
    4: ((-2,), False),
    5: ((), True),
    6: ((-2,), True),
    7: ((-2, -1), True),
    8: ((-1,), True),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with what else its file holds, upright.

    Attributes:
        image: the colours, float32 of shape (1 or 3, H, W), values in [0, 1]; alpha is not applied.
        alpha: the opacity, float32 of shape (1, H, W), or None.
        depth: bits a channel that hold it, 8 or 16.
        icc: the bytes of the ICC profile, or None.
        exif: the bytes of the EXIF data, with the orientation reset to 1, or None.
        dpi: pixels per inch across and down, or None.
    """

    image: Tensor
    alpha: Tensor | None = None
    depth: Depth = 8
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None

    def over_white(self) -> Tensor:
        """The image composited over white."""
        return self.image if self.alpha is None else self.image * self.alpha + (1 - self.alpha)


def require_image(image: Tensor) -> None:
    """Refuse what is no image (..., H, W): another type, integers, or an array (H, W, C)."""
    if not isinstance(image, Tensor):
        raise BadType(f"an image of {type(image).__module__}.{type(image).__name__}", "a tensor", "use torch.as_tensor")
    if not image.is_floating_point():
        raise BadType(f"an image of {image.dtype}", "floating-point values in [0, 1]", "divide 8-bit values by 255")
    if is_channels_last(image.shape):
        raise BadValue(f"a tensor of shape {tuple(image.shape)}", "an image (C, H, W)", CHANNELS_FIRST)


def size_of(image: Tensor) -> str:
    """Width x height of an image (..., H, W), as image viewers print it."""
    return f"{image.shape[-1]} x {image.shape[-2]}"


def upright(values: np.ndarray, orientation: int) -> Tensor:
    """Values (H, W, C) as a float32 tensor (C, H, W), turned as an EXIF orientation says."""
    flipped, transposed = _TURNS.get(orientation, ((), False))
    planes = torch.from_numpy(np.array(values, dtype=np.float32)).movedim(-1, 0).flip(flipped)
    return (planes.mT if transposed else planes).contiguous()


def swaps_sides(orientation: int) -> bool:
    """Whether an EXIF orientation exchanges width and height."""
    return _TURNS.get(orientation, ((), False))[1]


def carried_exif(tags: Mapping[int, Any], sub_ifd: Callable[[int], Mapping[int, Any]]) -> bytes | None:
    """EXIF data of the tags that describe the picture, not how its file stores it; None where they are broken."""
    exif = Image.Exif()
    try:
        for tag in _DESCRIPTIVE:
            if tag in tags:
                exif[tag] = tags[tag]
        for tag in (EXIF_IFD, GPS_IFD):
            if tag in tags and (fields := {key: value for key, value in sub_ifd(tag).items() if key not in _SIZES}):
                exif[tag] = fields
        if not len(exif):
            return None
        exif[ORIENTATION] = 1
        return exif.tobytes()
    except Exception:  # whatever Pillow raises on broken tags, which are no reason to refuse the pixels
        return None
