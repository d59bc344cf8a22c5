"""Thumbnails that show what a script is about: of a row of images, half of the input and half of the result."""

from pathlib import Path

from PIL import Image, ImageDraw

_PANEL = 0.84  # width of an image over the height of its row, with titles and scores
_ROWS = {
    "denoise": (0, -2),
    "upscale": (0, -2),
    "inpaint_text": (0, -2),
    "inpaint_random": (0, -2),
    "inpaint_hole": (0, -2),
    "demosaic": (0, -2),
    "jpeg": (0, 1),
    "flash": (1, -2),
    "custom_linear": (0, -2),
    "custom_nonlinear": (0, -2),
    "algebra": (0, -2),
    "batch": (2, 3),
    "poisson": (0, -2),
    "preimage": (0, -1),
    "maximise": (1, -1),
    "tuning": (2, 0),
}


def write(gallery):
    """Replace the thumbnails of scripts whose first figure is a row of images."""
    for name, (before, after) in _ROWS.items():
        source = gallery / "images" / f"sphx_glr_{name}_001.png"
        if source.exists():
            _split(source, before, after).save(gallery / "images" / "thumb" / f"sphx_glr_{name}_thumb.png")


def _split(source: Path, before: int, after: int) -> Image.Image:
    row = Image.open(source).convert("RGB")
    count = round(row.width / row.height / _PANEL)
    side = row.width // count
    left, right = (_panel(row, index % count, side) for index in (before, after))
    half = left.width // 2
    left.paste(right.crop((half, 0, *right.size)), (half, 0))
    ImageDraw.Draw(left).line([(half, 0), (half, left.height)], fill="white", width=3)
    return left


def _panel(row: Image.Image, index: int, side: int) -> Image.Image:
    """One image, without its border, title and score."""
    middle, reach = row.height // 2, int(0.42 * side)
    centre = side * index + side // 2
    box = (centre - int(0.46 * side), middle - reach, centre + int(0.46 * side), middle + reach)
    return row.crop(box).resize((480, 440), Image.Resampling.BICUBIC)
