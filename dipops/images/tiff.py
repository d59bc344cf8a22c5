"""TIFF files that Pillow does not read, or misreads, by tifffile."""

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dipops.errors import BadFile
from dipops.images.extra import package
from dipops.images.picture import Depth, Layers

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT = 256, 257, 258, 259, 262, 277, 284, 339
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, ICC = 282, 283, 296, 34675
IMAGE_DEPTH = 32997
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SEPARATED = 0, 1, 2, 5
_UNSIGNED, _FLOAT = 1, 3
_INCHES = {2: 1.0, 3: 2.54}  # units of the resolution, in units per inch
_CLASSIC, _BIG = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")


def read_tags(file: BinaryIO, pointer: int | None = None) -> dict[int, Any] | None:
    """The tags of the first page, or of the directory that ``pointer`` gives; None if the file is no TIFF."""
    file.seek(0)
    head = file.read(8)
    if head[:4] not in _CLASSIC + _BIG:
        return None
    directory = ImageFileDirectory_v2(head + (file.read(8) if head[:4] in _BIG else b""))
    file.seek(directory.next if pointer is None else pointer)
    directory.load(file)
    return {tag: directory[tag] for tag in directory}


def pillow_reads(tags: Mapping[int, Any], little_endian: bool) -> bool:
    """Whether Pillow is known to read pixels of this kind right."""
    bits, photometric, samples = set(_tuple(tags.get(BITS, 1))), tags.get(PHOTOMETRIC), tags.get(SAMPLES, 1)
    sample_format = set(_tuple(tags.get(SAMPLE_FORMAT, _UNSIGNED)))
    chunky = tags.get(PLANAR, 1) == 1 or samples == 1
    if tags.get(IMAGE_DEPTH, 1) != 1:
        return False
    if sample_format == {_UNSIGNED} and photometric == RGB:
        return bits == {8} and (chunky or samples == 3)
    if sample_format == {_UNSIGNED} and bits <= {1, 2, 4, 8}:
        return chunky and not (photometric == WHITE_IS_ZERO and samples > 1)
    grey = photometric == BLACK_IS_ZERO and samples == 1
    return grey and (
        (sample_format == {_UNSIGNED} and bits == {16}) or (sample_format == {_FLOAT} and bits == {32} and little_endian)
    )


def depth(tags: Mapping[int, Any]) -> Depth:
    """The bits a channel, 8 or 16, that hold the pixels."""
    return 8 if max(_tuple(tags.get(BITS, 1))) <= 8 else 16


def decode(path: object, file: BinaryIO, tags: Mapping[int, Any]) -> Layers:
    """Colours and alpha of the first page, by tifffile."""
    if tags.get(IMAGE_DEPTH, 1) != 1:
        raise BadFile(f"{path} is a volume of {tags[IMAGE_DEPTH]} slices", "an image", "save its slices one by one")
    came = f"{path} is a TIFF file of {_kind(tags)}"
    colours = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, SEPARATED: 4}.get(tags.get(PHOTOMETRIC, -1))
    if colours is None or not set(_tuple(tags.get(SAMPLE_FORMAT, _UNSIGNED))) <= {_UNSIGNED, _FLOAT}:
        raise BadFile(came, "grey, RGB or CMYK of unsigned integers or floats", "convert it")
    tifffile = package("tifffile", came)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        _require_whole(page, tiff.filehandle.size)
        values = page.asarray(maxworkers=1)
        bits, extra = page.bitspersample, tuple(map(int, page.extrasamples))
    if page.samplesperpixel == 1:
        values = values[..., None]
    elif page.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    return _layers(scaled(path, values, bits), colours, tags[PHOTOMETRIC] == WHITE_IS_ZERO, extra)


def scaled(path: object, values: np.ndarray, bits: int) -> np.ndarray:
    """Integers over their largest, or floats that must be in [0, 1], as float32."""
    if values.dtype.kind == "u":
        return (values / (2.0**bits - 1)).astype(np.float32)
    if not np.isfinite(values).all():
        raise BadFile(f"{path} has NaN or infinity", "finite values in [0, 1]", "replace them first")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        came = f"{path} has floating-point values from {low:.4g} to {high:.4g}, outside [0, 1]"
        raise BadFile(came, "values in [0, 1]", "scale them first, so that white is 1")
    return values.astype(np.float32)


def dots_per_inch(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """The resolution, if the tags give it with a unit."""
    inches = _INCHES.get(tags.get(RESOLUTION_UNIT, 2))
    if inches is None or X_RESOLUTION not in tags or Y_RESOLUTION not in tags:
        return None
    return float(tags[X_RESOLUTION]) * inches, float(tags[Y_RESOLUTION]) * inches


def _layers(values: np.ndarray, colours: int, white_is_zero: bool, extra: tuple[int, ...]) -> Layers:
    image = values[..., :colours]
    if colours == 4:
        image = (1 - image[..., :3]) * (1 - image[..., 3:])
    alphas = [(kind, values[..., colours + k, None]) for k, kind in enumerate(extra) if kind in (1, 2)]
    if not alphas:
        return 1 - image if white_is_zero else image, None
    kind, alpha = alphas[0]
    if kind == 1:  # the colours are multiplied by alpha
        image = np.divide(image, alpha, out=np.zeros_like(image), where=alpha > 0).clip(0, 1)
    return 1 - image if white_is_zero else image, alpha


def _require_whole(page: Any, size: int) -> None:
    """tifffile fills what is missing with zeros."""
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if min(page.databytecounts, default=0) <= 0 or max(ends) > size:
        raise ValueError("it is truncated")


def _kind(tags: Mapping[int, Any]) -> str:
    bits, samples = max(_tuple(tags.get(BITS, 1))), tags.get(SAMPLES, 1)
    number = {1: "", 2: " signed", 3: " floating-point"}.get(_tuple(tags.get(SAMPLE_FORMAT, _UNSIGNED))[0], " unknown")
    colour = {0: "WhiteIsZero", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 8: "Lab"}.get(tags.get(PHOTOMETRIC, -1), "other")
    planar = "planar " if tags.get(PLANAR, 1) == 2 and samples > 1 else ""
    return f"{bits}-bit{number} {planar}{colour} pixels"


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
