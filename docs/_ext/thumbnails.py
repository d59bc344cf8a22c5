"""Thumbnails that show what a script is about: half of the input and half of the result, of its first figure."""

from pathlib import Path
from shutil import copy

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageOps
from sphinx_gallery.scrapers import matplotlib_scraper

_SIZE = (480, 440)
_HALVES = {
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
"""Which images of the figure of a script are the left and the right half."""


def _get_sg_image_scraper():
    """What sphinx-gallery looks for in a module that is named as a scraper."""
    return _scrape


def _scrape(block, variables, settings, **kwargs):
    """Keep the halves of a script's first figure, and then let sphinx-gallery save its figures."""
    name, images = Path(variables["src_file"]).stem, _images_drawn()
    if name in _HALVES and images and not len(variables["image_path_iterator"]):
        left, right = (images[index] for index in _HALVES[name])
        folder = Path(variables["image_path_iterator"].image_path).parent
        folder.mkdir(exist_ok=True)
        _halves(left, right).save(_kept(folder, name))
    return matplotlib_scraper(block, variables, settings, **kwargs)


def write(gallery):
    """Replace the thumbnails of the scripts whose halves were kept."""
    for name in _HALVES:
        kept = _kept(gallery / "images", name)
        if kept.exists():
            copy(kept, gallery / "images" / "thumb" / f"sphx_glr_{name}_thumb.png")


def _kept(folder, name):
    return folder / f"halves_{name}.png"


def _images_drawn():
    """The images in the first of the open figures, as they are shown."""
    numbers = plt.get_fignums()
    axes = plt.figure(numbers[0]).axes if numbers else []
    drawn = [image for each in axes for image in each.images[:1]]
    return [np.ascontiguousarray(image.to_rgba(image.get_array(), bytes=True)[..., :3]) for image in drawn]


def _halves(left, right):
    left, right = (ImageOps.fit(Image.fromarray(pixels), _SIZE, Image.Resampling.BICUBIC) for pixels in (left, right))
    half = _SIZE[0] // 2
    left.paste(right.crop((half, 0, *_SIZE)), (half, 0))
    ImageDraw.Draw(left).line([(half, 0), (half, _SIZE[1])], fill="white", width=3)
    return left
