"""The bundled photograph, and crops."""

from collections.abc import Sequence
from importlib.resources import as_file, files

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dipops.errors import BadValue
from dipops.images.picture import require_image
from dipops.images.reading import load


def photograph() -> Tensor:
    """The bundled photograph: astronaut Eileen Collins, (3, 512, 512), NASA, public domain."""
    with as_file(files("dipops") / "data" / "astronaut.png") as path:
        return load(path)


def portrait(size: int = 128) -> Tensor:
    """The face of the bundled photograph, 256 pixels square, reduced to (3, size, size).

    Raises:
        BadValue: ``size`` is not one of 32, 64, 128, 256.
    """
    if size not in (32, 64, 128, 256):
        raise BadValue(f"size = {size}", "32, 64, 128 or 256", "crop photograph() for other sizes")
    face = photograph()[:, :256, 96:352]
    return torch.nn.functional.avg_pool2d(face, 256 // size)


def resize(image: Tensor, size: Sequence[int], method: Image.Resampling = Image.Resampling.BICUBIC) -> Tensor:
    """The image (C, H, W) at ``size`` = (height, width) by Pillow, antialiased when it shrinks, in float.

    Raises:
        BadType, BadValue: it is no tensor of floats, or looks like (H, W, C).
    """
    require_image(image)
    planes = (Image.fromarray(plane.cpu().numpy()).resize((size[1], size[0]), method) for plane in image.float())
    return torch.stack([torch.from_numpy(np.array(plane)) for plane in planes]).to(image)


def centre_crop(image: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of (..., H, W) as (..., *size).

    Raises:
        BadValue: the image is smaller.
    """
    height, width = image.shape[-2:]
    if size[0] > height or size[1] > width:
        raise BadValue(f"an image of {width} x {height} pixels", f"at least {size[1]} x {size[0]}", "ask for a smaller crop")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[..., top : top + size[0], left : left + size[1]]
