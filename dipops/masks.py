"""Masks (H, W) for teaching and simulation: 1 where a pixel, or a frequency, is known, and 0 where it is not."""

from collections.abc import Sequence
from math import pi
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue, require_choice, require_integer, require_number, require_positive

HoleShape = Literal["disc", "square"]
_WORDS = "the deep image prior knows no text"
_LINE_SPACING = 4 / 3


@usual_defaults()
def random(size: Sequence[int], keep: float, seed: int = 0) -> Tensor:
    """A random mask (H, W): each pixel is known with probability ``keep``, independently of the others.

    Args:
        size: (height, width).
        keep: the probability, in (0, 1].
        seed: of the draw.

    Raises:
        BadValue: ``keep`` is not in (0, 1], or ``size`` is no size.
    """
    expected, advice = "a probability above 0 and at most 1", "0.5 keeps half of the pixels"
    require_number("keep", keep, lambda probability: 0 < probability <= 1, expected, advice)
    height, width = _require_size(size)
    return (torch.rand(height, width, generator=stream(seed, "mask"), dtype=torch.float32) < keep).float()


@usual_defaults()
def text(size: Sequence[int], words: str = _WORDS, font_size: float = 12) -> Tensor:
    """A mask (H, W) that hides the pixels under text, which is printed over the whole image.

    The words are repeated and run on from line to line, in the font DejaVu Sans, which comes with matplotlib.

    Args:
        size: (height, width).
        words: what is printed; letters of most alphabets.
        font_size: in pixels; the lines are 4/3 of it apart.

    Raises:
        BadType: ``words`` is no string.
        BadValue: it prints nothing, or ``font_size`` is not positive.
    """
    if not isinstance(words, str):
        raise BadType(f"words = {words!r:.40}", "a string", 'write words="some text"')
    height, width, words = *_require_size(size), " ".join(words.split())
    require_positive("font_size", font_size, "a size in pixels", "12 is legible")
    font = ImageFont.truetype(_font_file(), font_size)
    length = font.getlength(f"{words} ")
    if not font.getmask(words).getbbox():
        raise BadValue(f"words = {words!r:.40}", "letters", "leave words out for some")
    page = Image.new("L", (width, height))
    line = f"{words} " * (2 + int(width / length))
    for number in range(1 + int(height / (_LINE_SPACING * font_size))):
        start = (-number * width % length - length, number * _LINE_SPACING * font_size)
        ImageDraw.Draw(page).text(start, line, fill=255, font=font)
    return _known(torch.from_numpy(np.array(page) >= 128), "print smaller letters")


@usual_defaults()
def holes(size: Sequence[int], count: int = 5, radius: float = 8, shape: HoleShape = "disc", seed: int = 0) -> Tensor:
    """A mask (H, W) that hides discs or squares around random pixels; they may overlap, and be cut by the border.

    Args:
        size: (height, width).
        count: how many.
        radius: of a disc, or half the side of a square, in pixels.
        shape: "disc" or "square".
        seed: of the draw.

    Raises:
        BadValue: ``count`` or ``radius`` is not positive, or no pixel is left.
    """
    height, width = _require_size(size)
    require_integer("count", count, 1, "leave the mask out where nothing is lost")
    require_positive("radius", radius, "a number of pixels", "8 is a good start")
    require_choice("shape", shape, HoleShape)
    centres = _points(size, count, seed, "holes")
    down, right = (torch.arange(side) - centre[:, None] for side, centre in zip((height, width), centres.T, strict=True))
    down, right = down[:, :, None].abs(), right[:, None, :].abs()
    distance = torch.maximum(down, right) if shape == "square" else torch.hypot(down, right)
    return _known((distance <= radius).any(0), "make fewer or smaller holes")


@usual_defaults()
def strokes(size: Sequence[int], count: int = 8, width: float = 3, seed: int = 0) -> Tensor:
    """A mask (H, W) that hides scratches: random smooth curves, drawn with a round brush.

    Each is a quadratic Bézier curve with three random points.

    Args:
        size: (height, width).
        count: how many.
        width: the diameter of the brush, in pixels.
        seed: of the draw.

    Raises:
        BadValue: ``count`` or ``width`` is not positive, or no pixel is left.
    """
    from scipy.ndimage import distance_transform_edt

    size = _require_size(size)
    require_integer("count", count, 1, "leave the mask out where nothing is lost")
    require_positive("width", width, "a number of pixels", "3 is a good start")
    start, middle, end = _points(size, 3 * count, seed, "strokes").view(3, count, 1, 2)
    t = torch.linspace(0, 1, 4 * sum(size), dtype=torch.float32)[:, None]  # at most half a pixel apart
    pixels = ((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end).round().long().view(-1, 2)
    outside = np.ones(size)
    outside[pixels[:, 0], pixels[:, 1]] = 0
    distance = torch.from_numpy(np.asarray(distance_transform_edt(outside)))
    return _known(distance <= width / 2, "make fewer or thinner strokes")


@usual_defaults()
def radial(size: Sequence[int], spokes: int) -> Tensor:
    """Frequencies on lines through the zero frequency, at equal angles: radial sampling in magnetic resonance imaging.

    The mask is in the order of ``torch.fft.fft2``, the zero frequency at [0, 0]; ``torch.fft.fftshift(mask)`` shows it
    centred. It holds -k with every frequency k. The lines are straight in cycles per pixel, and end where the frequencies do:
    Candès, Romberg and Tao, "Robust uncertainty principles", IEEE Transactions on Information Theory 2006, figure 1.

    Args:
        size: (height, width).
        spokes: how many lines; the first is along the width.

    Raises:
        BadValue: ``spokes`` is less than 1.
    """
    height, width = _require_size(size)
    require_integer("spokes", spokes, 1, "22 are usual for 256 x 256")
    angles = torch.arange(spokes, dtype=torch.float64)[:, None] * pi / spokes
    steps = 2 * max(height, width)
    radii = torch.arange(-steps, steps + 1, dtype=torch.float64) / steps  # at most half a frequency apart, 0 among them
    down, right = (height * radii * angles.sin()).round(), (width * radii * angles.cos()).round()
    inside = (down.abs() <= height / 2) & (right.abs() <= width / 2)
    mask = torch.zeros(height, width, dtype=torch.float32)
    mask[down[inside].long() % height, right[inside].long() % width] = 1
    return mask


def _require_size(size: Sequence[int]) -> tuple[int, int]:
    """(height, width) as two positive integers, or BadType or BadValue."""
    if not isinstance(size, Sequence) or len(size) != 2:
        raise BadValue(f"size = {size!r:.40}", "(height, width)", "write x.shape[-2:] for an image x")
    height, width = (require_integer("a side of size", side, 1, "write (height, width)") for side in size)
    return height, width


def _points(size: Sequence[int], count: int, seed: int, purpose: str) -> Tensor:
    """Random points (count, 2) of an image, (down, right)."""
    draws = torch.rand(count, 2, generator=stream(seed, purpose), dtype=torch.float32)
    return draws * (torch.tensor(size, dtype=torch.float32) - 1)


def _known(lost: Tensor, advice: str) -> Tensor:
    """1 where nothing is lost, or BadValue where all is."""
    if lost.all():
        raise BadValue("a mask with no known pixel", "at least one", advice)
    return (~lost).float()


def _font_file() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
