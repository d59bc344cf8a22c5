"""Images: files, crops, masks, and the bundled photograph."""

import warnings
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dipops._tools.files import write_whole
from dipops._tools.seeds import stream
from dipops.errors import BadFile, BadType, BadValue

MAX_PIXELS = 64 * 1024 * 1024
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
_OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY_MODES = ("1", "L", "LA", "La")


def load(path: str | Path) -> Tensor:
    """Read an image as float32 of shape (1 or 3, H, W), values in [0, 1].

    Grey stays one channel; palettes and CMYK become RGB; transparent pixels are composited over white; the EXIF rotation is
    applied. 16-bit grey keeps its precision; other 16-bit images come with the 8 bits that Pillow reads.

    Raises:
        BadFile: the file is missing, empty, cut off or no image, or has more than 64 million pixels.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning), Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            image.load()
            pixels = _pixels(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        largest = f"at most {MAX_PIXELS // 2**20} x 2**20 pixels"
        raise BadFile(f"{path} is too large: {error}", largest, "crop or reduce it first") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        advice = "check the path, convert the file or copy it again"
        raise BadFile(f"{path} cannot be read: {error}", "a complete PNG, JPEG, TIFF or WebP file", advice) from error
    return torch.from_numpy(np.array(pixels, dtype=np.float32)).movedim(-1, 0).contiguous()


def save(path: str | Path, image: Tensor) -> None:
    """Write an image with 8 bits a channel in the format of the suffix, completely or not at all.

    Args:
        path: ends in .png, .tif, .tiff, .webp (all without loss), .jpg or .jpeg (quality 95).
        image: shape (1 or 3, H, W) or (1, 1 or 3, H, W); values outside [0, 1] are clipped.

    Raises:
        BadValue: another suffix or shape, or values that are not finite.
        BadFile: the file cannot be written.
    """
    file_format = image_format(path)
    pil_image = to_pil(image)
    write_whole(path, lambda file: pil_image.save(file, file_format, **_OPTIONS.get(file_format, {})))


def image_format(path: str | Path) -> str:
    """The format that the suffix of ``path`` names, or BadValue."""
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise BadValue(f"{path} with suffix {suffix!r}", f"one of {', '.join(_FORMATS)}", "choose such a name")
    return _FORMATS[suffix]


def to_pil(image: Tensor) -> Image.Image:
    """The image as an 8-bit Pillow image; shapes and errors as in :func:`save`."""
    if not image.is_floating_point():
        raise BadType(f"an image of {image.dtype}", "floating-point values in [0, 1]", "divide 8-bit values by 255")
    planes = image[0] if image.ndim == 4 and len(image) == 1 else image
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        raise BadValue(f"a tensor of shape {tuple(image.shape)}", "one image (1 or 3, H, W)", "save a batch one by one")
    if not planes.isfinite().all():
        raise BadValue("an image with NaN or infinity", "finite values", "look at the objective's trace")
    values = (planes.detach().float().clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


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
    """The image (C, H, W) at ``size`` = (height, width) by Pillow, antialiased when it shrinks, in float."""
    planes = (Image.fromarray(plane.cpu().numpy()).resize((size[1], size[0]), method) for plane in image.float())
    return torch.stack([torch.from_numpy(np.array(plane)) for plane in planes]).to(image)


def centre_crop(image: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of (..., H, W) as (..., *size).

    Raises:
        BadValue: the image is smaller.
    """
    height, width = image.shape[-2:]
    if size[0] > height or size[1] > width:
        raise BadValue(f"an image of {height} x {width}", f"at least {size[0]} x {size[1]}", "ask for a smaller crop")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[..., top : top + size[0], left : left + size[1]]


def random_mask(height: int, width: int, keep: float, seed: int = 0) -> Tensor:
    """A mask (H, W) where each pixel is known, 1, with probability ``keep``, and else 0.

    Raises:
        BadValue: ``keep`` is not in (0, 1].
    """
    if not 0 < keep <= 1:
        raise BadValue(f"keep = {keep}", "a probability above 0 and at most 1", "0.5 keeps half of the pixels")
    return (torch.rand(height, width, generator=stream(seed, "mask"), dtype=torch.float32) < keep).float()


def noise_level(image: Tensor) -> float:
    """The standard deviation of white noise in one image, from its finest diagonal Haar coefficients.

    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994: their median over 0.6745.

    Args:
        image: (H, W), (C, H, W) or (1, C, H, W).

    Raises:
        BadValue: it is a batch of several images.
    """
    if image.ndim > 3 and len(image) > 1:
        raise BadValue(f"a batch of {len(image)}", "one image", "ask for each image by itself")
    even_rows, odd_rows = image[..., :-1:2, :], image[..., 1::2, :]
    rows = even_rows - odd_rows
    diagonal = (rows[..., :-1:2] - rows[..., 1::2]) / 2
    return float(diagonal.abs().median()) / 0.6745


def _pixels(image: Image.Image) -> np.ndarray:
    """Values (H, W, 1 or 3) in [0, 1]."""
    if image.mode in _DEEP_MODES:
        return np.asarray(image, dtype=np.float32)[..., None].clip(0, 65535) / 65535
    if image.mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError("floating-point values outside [0, 1]")
        return values[..., None]
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    values = np.asarray(image.convert(mode), dtype=np.float32) / 255
    return values[..., None] if values.ndim == 2 else values
