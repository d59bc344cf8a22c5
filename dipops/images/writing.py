"""Writing image files, completely or not at all."""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from torch import Tensor

from dipops._tools.files import write_whole
from dipops.errors import BadValue
from dipops.images import tiff
from dipops.images.picture import Depth, Picture, require_image, size_of

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
_OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
_DEEP_FORMATS = ("PNG", "TIFF")


def save(path: str | Path, image: Tensor, *, depth: Depth | None = None, like: Picture | None = None) -> None:
    """Write an image in the format of the suffix, completely or not at all.

    Args:
        path: ends in .png, .tif, .tiff, .webp (all without loss), .jpg or .jpeg (quality 95).
        image: shape (1 or 3, H, W) or (1, 1 or 3, H, W); values outside [0, 1] are clipped.
        depth: bits a channel, 8 or 16; 16 for PNG and TIFF only. By default that of ``like`` where the format has it, else 8.
        like: a picture that was read; its alpha, colour profile, EXIF data and resolution are written too. JPEG has no alpha:
            the image is composited over white.

    Raises:
        BadValue: another suffix, shape or depth, values that are not finite, or an alpha of another size.
        BadFile: the file cannot be written.
    """
    content = encode(path, image, depth, like)
    write_whole(path, lambda file: file.write(content))


def encode(path: str | Path, image: Tensor, depth: Depth | None = None, like: Picture | None = None) -> bytes:
    """What :func:`save` writes."""
    file_format = image_format(path)
    require_depth(path, depth)
    like = like or Picture(image)
    pixels = _pixels(_with_alpha(_planes(image), like.alpha, file_format), 16 if _is_deep(file_format, depth, like) else 8)
    about = _about(like, grey=pixels.shape[-1] < 3)
    file = BytesIO()
    if pixels.dtype == np.uint8:
        _to_pil(pixels).save(file, file_format, **_OPTIONS.get(file_format, {}), **about)
    else:
        (_write_png if file_format == "PNG" else _write_tiff)(file, pixels, **about)
    return file.getvalue()


def require_depth(path: str | Path, depth: Depth | None) -> None:
    """Refuse a number of bits that the format of the suffix does not have, with BadValue."""
    if depth not in (None, 8, 16):
        raise BadValue(f"depth = {depth!r}", "8 or 16", "leave it out for 8")
    if depth == 16 and image_format(path) not in _DEEP_FORMATS:
        raise BadValue(f"depth = 16 for {path}", "8 bits in this format", "save it as .png or .tif")


def can_write(path: Path) -> bool:
    """Whether images can be written in the format of the suffix."""
    return path.suffix.lower() in _FORMATS


def image_format(path: str | Path) -> str:
    """The format that the suffix of ``path`` names, or BadValue."""
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise BadValue(f"{path} with suffix {suffix!r}", f"one of {', '.join(_FORMATS)}", "choose such a name")
    return _FORMATS[suffix]


def to_pil(image: Tensor) -> Image.Image:
    """The image as an 8-bit Pillow image; shapes and errors as in :func:`save`."""
    return _to_pil(_pixels(_planes(image), 8))


def _planes(image: Tensor) -> Tensor:
    """The image as (1 or 3, H, W), checked."""
    require_image(image)
    planes = image[0] if image.ndim == 4 and len(image) == 1 else image
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        advice = "write image[None] for one channel" if image.ndim == 2 else "take the images of a batch one by one"
        raise BadValue(f"a tensor of shape {tuple(image.shape)}", "one image (1 or 3, H, W)", advice)
    if not planes.isfinite().all():
        raise BadValue("an image with NaN or infinity", "finite values", "look at the objective's trace")
    return planes.detach().float().clamp(0, 1).cpu()


def _with_alpha(planes: Tensor, alpha: Tensor | None, file_format: str) -> Tensor:
    if alpha is None:
        return planes
    if alpha.shape[1:] != planes.shape[1:]:
        came = f"an image of {size_of(planes)} pixels like one with alpha of {size_of(alpha)}"
        raise BadValue(came, "the same size", "give like=dataclasses.replace(picture, alpha=None) or an alpha of that size")
    if file_format == "JPEG":
        return Picture(planes, alpha).over_white()
    return planes.new_tensor(np.concatenate([planes.numpy(), alpha.cpu().numpy()]))


def _is_deep(file_format: str, depth: Depth | None, like: Picture) -> bool:
    return (depth or like.depth) == 16 and file_format in _DEEP_FORMATS


def _pixels(planes: Tensor, depth: Depth) -> np.ndarray:
    """Integers (H, W, C)."""
    values = (planes.cpu().double() * (2**depth - 1)).round().movedim(0, -1).numpy()
    return values.astype(np.uint8 if depth == 8 else np.uint16)


def _to_pil(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _about(like: Picture, grey: bool) -> dict[str, Any]:
    """What Pillow's writers take; a profile of other colours than those written is left out."""
    fits = like.icc is not None and like.icc[16:20] == (b"GRAY" if grey else b"RGB ")
    about = {"icc_profile": like.icc if fits else None, "exif": like.exif, "dpi": like.dpi}
    return {name: value for name, value in about.items() if value is not None}


def _write_png(
    file: BinaryIO, pixels: np.ndarray, icc_profile: bytes = b"", exif: bytes = b"", dpi: tuple[float, float] | None = None
) -> None:
    """16 bits, which Pillow writes for grey only."""

    def chunk(name: bytes, *data: bytes) -> None:
        content = name + b"".join(data)
        file.write((len(content) - 4).to_bytes(4) + content + zlib.crc32(content).to_bytes(4))

    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", width.to_bytes(4), height.to_bytes(4), bytes([16, colour, 0, 0, 0]))
    if icc_profile:
        chunk(b"iCCP", b"ICC profile\0\0", zlib.compress(icc_profile))
    if dpi:
        chunk(b"pHYs", *(round(dots / 0.0254).to_bytes(4) for dots in dpi), b"\1")  # per metre
    if exif:
        chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    chunk(b"IDAT", zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes()))  # each row begins with filter 0, none
    chunk(b"IEND")


def _write_tiff(
    file: BinaryIO, pixels: np.ndarray, icc_profile: bytes = b"", exif: bytes = b"", dpi: tuple[float, float] | None = None
) -> None:
    """16 bits in one compressed strip, which Pillow writes for grey only."""
    height, width, channels = pixels.shape
    data = zlib.compress(pixels.astype("<u2").tobytes())
    tags = ImageFileDirectory_v2()
    described = Image.Exif()
    described.load(exif)
    for tag in described:
        tags[tag] = described.get_ifd(tag) or described[tag]
    tags[tiff.WIDTH], tags[tiff.HEIGHT], tags[tiff.SAMPLES] = width, height, channels
    tags[tiff.BITS] = (16,) * channels
    tags[tiff.COMPRESSION] = 8  # deflate
    tags[tiff.PHOTOMETRIC] = tiff.BLACK_IS_ZERO if channels < 3 else tiff.RGB
    tags[273], tags[278], tags[279] = 0, height, len(data)  # the strip: Pillow adds the length of the tags to its offset
    if channels in (2, 4):
        tags[338] = 2  # the extra sample is alpha, not multiplied in
    if dpi:
        tags[tiff.X_RESOLUTION], tags[tiff.Y_RESOLUTION] = dpi
        tags[tiff.RESOLUTION_UNIT] = 2
    if icc_profile:
        tags[tiff.ICC] = icc_profile
    tags.save(file)
    file.write(data)
