"""PNG, JPEG 2000 and AVIF files of more than 8 bits, whose precision or values Pillow loses, by imagecodecs."""

from typing import BinaryIO

from PIL import Image

from dipops.errors import BadFile
from dipops.images.extra import package
from dipops.images.picture import Layers
from dipops.images.tiff import scaled

_PNG_GREY = 0
_S_YCC = 18


def decode(path: object, file: BinaryIO, image: Image.Image) -> Layers | None:
    """Colours and alpha, or None for a file that is Pillow's to read; ``image`` is opened, not loaded."""
    find = {"PNG": _png, "JPEG2000": _jpeg2000, "AVIF": _avif}.get(image.format or "")
    data = _content(file) if find else b""
    if find is None or (found := find(data, image)) is None:
        return None
    codec, bits = found
    came = f"{path} is a {image.format} file of {bits} bits"
    values = scaled(path, getattr(package("imagecodecs", came), codec)(data), bits)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[-1] > 4:
        raise BadFile(f"{came} and shape {values.shape}", "grey or RGB, perhaps with alpha", "convert it")
    return (values[..., :-1], values[..., -1:]) if values.shape[-1] in (2, 4) else (values, None)


def _content(file: BinaryIO) -> bytes:
    """All of a file, which stays where it is read."""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return content


def _png(data: bytes, image: Image.Image) -> tuple[str, int] | None:
    bits, colour = data[24], data[25]
    return ("png_decode", 16) if bits == 16 and colour != _PNG_GREY else None


def _jpeg2000(data: bytes, image: Image.Image) -> tuple[str, int] | None:
    start = data.index(b"\xff\x4f\xff\x51")  # the code stream begins with its sizes
    components = int.from_bytes(data[start + 40 : start + 42])
    depths = {data[start + 42 + 3 * k] + 1 for k in range(components)}
    if depths == {8}:
        return None
    colour = data[:start].partition(b"colr\x01")[2][2:6]
    if len(depths) > 1 or max(depths) > 16 or image.mode in ("P", "PA", "CMYK") or int.from_bytes(colour) == _S_YCC:
        raise ValueError("JPEG 2000 with signed, mixed, palette, CMYK or YCC components of other than 8 bits")
    return "jpeg2k_decode", max(depths)


def _avif(data: bytes, image: Image.Image) -> tuple[str, int] | None:
    flags = data[data.index(b"av1C") + 6]  # AV1 configuration record: bits 6 and 5 are high_bitdepth and twelve_bit
    bits = 8 + 2 * (flags >> 6 & 1) + 2 * (flags >> 5 & 1)
    return ("avif_decode", bits) if bits > 8 else None
