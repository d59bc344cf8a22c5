"""Reading image files: right, or refused."""

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError
from torch import Tensor

from dipops._tools.files import require_regular
from dipops.errors import BadFile, first_line
from dipops.images import deep, tiff
from dipops.images.picture import ORIENTATION, Depth, Layers, Picture, carried_exif, swaps_sides, upright

MAX_PIXELS = 64 * 1024 * 1024
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_DEEP_FORMATS = ("PNG", "TIFF", "PPM")
_CUT_LAYOUTS = ("L;16", "LA;16", "RGB;16", "RGBA;16", "RGBX;16", "RGBa;16", "CMYK;16")
_GREY_MODES = ("1", "L", "LA", "La")
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}


def load(path: str | Path) -> Tensor:
    """Read an image as float32 of shape (1 or 3, H, W), values in [0, 1], transparent pixels composited over white.

    This is ``read(path).over_white()``; see :func:`read`.
    """
    return read(path).over_white()


def read(path: str | Path) -> Picture:
    """Read an image with its alpha, depth, colour profile, EXIF data and resolution.

    Grey stays one channel; palettes, CMYK and Lab become RGB; the EXIF rotation is applied. White is 2^bits - 1 for
    integers of any depth and 1 for floats. Colour of more than 8 bits, and most TIFF files of more than 8 bits, need the
    extra ``images``. Of several pages or frames the first is read.

    Raises:
        BadFile: the file is missing, empty, cut off or no image, is of a kind that cannot be read right, or has more than
            64 million pixels.
    """
    path = Path(path)

    def opened() -> BinaryIO:
        require_regular(path)
        return path.open("rb")

    return _read_or_refuse(path, opened, MAX_PIXELS)


def from_bytes(content: bytes, name: str = "the image", max_pixels: int = MAX_PIXELS) -> Tensor:
    """The image of a file's content, such as an upload, as :func:`load` gives it.

    Args:
        content: all bytes of the file.
        name: what errors call it.
        max_pixels: how many it may have; a larger one is refused before its pixels are decoded.

    Raises:
        BadFile: as for :func:`read`.
    """
    return _read_or_refuse(name, lambda: BytesIO(content), max_pixels).over_white()


def _read_or_refuse(name: object, opened: Callable[[], BinaryIO], max_pixels: int) -> Picture:
    """What an opened file holds, or BadFile."""
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning), opened() as file:
            return _read(name, file, max_pixels)
    except BadFile:
        raise
    except FileNotFoundError as error:
        raise BadFile(f"{name} does not exist", "an image file", "check the path") from error
    except Image.DecompressionBombError as error:
        largest = f"at most {max_pixels / 2**20:g} x 2**20 pixels"
        raise BadFile(f"{name} is too large: {error}", largest, "crop or reduce it first") from error
    except Exception as error:  # whatever a reader of broken or foreign files raises
        advice = "convert the file, or copy it again"
        raise BadFile(f"{name} cannot be read: {_reason(error)}", "a complete PNG, JPEG, TIFF or WebP file", advice) from error


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "its format is not known"
    if isinstance(error, struct.error | KeyError | IndexError):
        return "it is damaged, or of a kind that its reader does not know"
    return (error.strerror if isinstance(error, OSError) else None) or first_line(error) or type(error).__name__


def _read(path: object, file: BinaryIO, max_pixels: int) -> Picture:
    tags = tiff.read_tags(file)
    file.seek(0)
    if tags is not None and not tiff.pillow_reads(tags, file.read(2) == b"II"):
        _limit(tags[tiff.WIDTH], tags[tiff.HEIGHT], max_pixels)
        layers = tiff.decode(path, file, tags)
        exif = carried_exif(tags, lambda tag: tiff.read_tags(file, tags[tag]) or {})
        orientation = tags.get(ORIENTATION, 1)
        dpi = _resolution(tiff.dots_per_inch(tags), orientation)
        return _picture(layers, tiff.depth(tags), orientation, tags.get(tiff.ICC), exif, dpi)
    file.seek(0)
    with Image.open(file) as image:
        _limit(image.width, image.height, max_pixels)
        if (layers := deep.decode(path, file, image)) is None:
            _require_all_bits(path, image)
        image.load()  # this refuses a cut file, which imagecodecs may fill with zeros
        depth = 16 if layers or image.mode in (*_SIXTEEN_BITS, "F") else 8
        exif = image.getexif()
        left = exif.get(ORIENTATION, 1)  # Pillow itself has turned a TIFF file
        turned = left if tags is None else tags.get(ORIENTATION, 1)
        dpi = _resolution(image.info.get("dpi") if tags is None else tiff.dots_per_inch(tags), turned)
        carried = carried_exif(exif, exif.get_ifd)
        return _picture(layers or _pillow_layers(path, image), depth, left, image.info.get("icc_profile"), carried, dpi)


def _picture(
    layers: Layers, depth: Depth, orientation: int, icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None
) -> Picture:
    image, alpha = layers
    return Picture(
        upright(image, orientation), None if alpha is None else upright(alpha, orientation), depth, icc or None, exif, dpi
    )


def _resolution(dpi: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    """The resolution across and down the upright image, where it is given and positive."""
    if dpi is None or not min(dpi) > 0:
        return None
    across, down = map(float, dpi)
    return (down, across) if swaps_sides(orientation) else (across, down)


def _limit(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Image.DecompressionBombError(f"{width} x {height} pixels")


def _require_all_bits(path: object, image: Image.Image) -> None:
    """Refuse what Pillow would cut to 8 bits, or whose white it does not tell; ``image`` is opened, not loaded."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    codec, _, _, arguments = tiles[0] if tiles else ("", None, 0, None)
    first, *others = arguments if isinstance(arguments, tuple) and arguments else (arguments,)
    cut = codec == "SGI16" or str(first).startswith(_CUT_LAYOUTS)
    cut |= codec.startswith("ppm") and image.mode == "RGB" and bool(others) and others[0] > 255
    if cut or (image.mode in (*_SIXTEEN_BITS, "F") and image.format not in _DEEP_FORMATS):
        raise BadFile(
            f"{path} is a {image.format} file of more than 8 bits", "8 bits in this format", "convert it to PNG or TIFF"
        )
    if image.mode == "LAB" and image.format != "TIFF":
        raise BadFile(f"{path} is a {image.format} file of Lab colours", "RGB in this format", "convert it")


def _pillow_layers(path: object, image: Image.Image) -> Layers:
    """Colours and alpha of an image that Pillow has loaded."""
    if image.mode == "F":
        return tiff.scaled(path, np.asarray(image), 32)[..., None], None
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image)[..., None]
        clear = image.info.get("transparency")
        alpha = None if clear is None else (values != clear).astype(np.float32)
        return values.clip(0, 65535).astype(np.float32) / 65535, alpha
    if image.mode == "LAB":
        image = _lab_to_rgb(image)
    grey = image.mode in _GREY_MODES
    if not image.has_transparency_data:
        values = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.float32) / 255
        return values[..., None] if grey else values, None
    straight = image.convert(_STRAIGHT.get(image.mode, image.mode)).convert("RGBA")
    values = np.asarray(straight, dtype=np.float32) / 255
    return values[..., : 1 if grey else 3], values[..., 3:]


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, rgb = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)) for name in ("LAB", "sRGB"))
    exact = ImageCms.Flags.NOOPTIMIZE  # the optimised transform is wrong by up to 34 of 255
    return ImageCms.ImageCmsTransform(lab, rgb, "LAB", "RGB", flags=exact).apply(image)
