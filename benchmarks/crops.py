"""Images to choose settings on, and images that take no part in a choice: small crops, and larger pieces.

They are scikit-image's photographs and, in the folder that DIPOPS_DATA names, the test images and a photograph with flash.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage import data
from torch import Tensor

from dipops import images

DATA = Path(os.environ.get("DIPOPS_DATA", "."))
SIZE = 128
_SOURCES: dict[str, tuple[Callable[[], np.ndarray], int, int, int]] = {  # image, shrinking, top, left
    "coffee": (data.coffee, 2, 40, 100),
    "motorcycle": (lambda: data.stereo_motorcycle()[0], 2, 80, 120),
    "tissue": (data.immunohistochemistry, 2, 60, 60),
    "astronaut": (data.astronaut, 2, 0, 50),
    "cat": (data.chelsea, 1, 60, 120),
    "rocket": (data.rocket, 2, 60, 90),
}
CHOOSING = ("coffee", "motorcycle", "tissue")
CHECKING = ("astronaut", "cat", "rocket")
HELD_OUT = (*CHECKING, "kodim03", "kodim12", "peppers")


def crop(name: str, size: int = SIZE) -> Tensor:
    """An image (3, size, size) with values in [0, 1]."""
    if name not in _SOURCES:
        return images.centre_crop(images.load(DATA / "denoising" / f"{name}.png"), (size, size)).contiguous()
    read, shrinking, top, left = _SOURCES[name]
    x = torch.from_numpy(np.asarray(read(), dtype=np.float32) / 255).movedim(-1, 0)
    x = images.resize(x, (x.shape[1] // shrinking, x.shape[2] // shrinking)).clamp(0, 1) if shrinking > 1 else x
    return x[:, top : top + size, left : left + size].contiguous()


WHOLE_CHOOSING = ("coffee", "hubble", "motorcycle", "rocket", "tissue")
WHOLE_HELD_OUT = ("astronaut", "cat", "cave", "retina")
_PHOTOGRAPHS: dict[str, Callable[[], np.ndarray]] = {
    **{name: read for name, (read, *_) in _SOURCES.items()},
    "hubble": data.hubble_deep_field,
    "retina": data.retina,
}


def piece(name: str, size: int) -> Tensor:
    """The middle of a photograph, at most ``size`` pixels a side; astronaut and tissue at half their size below 512."""
    if name == "cave":
        x = images.load(DATA / "flash" / "cave01_00_flash.jpg")
    else:
        x = torch.from_numpy(np.asarray(_PHOTOGRAPHS[name](), dtype=np.float32)[..., :3] / 255).movedim(-1, 0)
    if name in ("astronaut", "tissue") and size < 512:
        x = images.resize(x, (x.shape[1] // 2, x.shape[2] // 2)).clamp(0, 1)
    return images.centre_crop(x, [min(size, side) for side in x.shape[1:]]).contiguous()
