"""
Remove text from an image
=========================

Letters were printed over a photograph, and their pixels are lost. The mask is made here, with a font that comes with
matplotlib.
"""

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from dipops import Mask, PrimalDual, Problem, TotalVariation, images, plot, recipes, solve

size = 128
page = Image.new("L", (size, size), 255)
font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 12)
for line in range(8):
    ImageDraw.Draw(page).text((2 - 9 * line, 16 * line), "the deep image prior knows no text " * 2, fill=0, font=font)
known = torch.from_numpy(np.array(page) > 128).float()

# %%
# A mask keeps the known pixels. The light recipe fits those, and returns them unchanged.

x = images.portrait(size)
problem = Problem.simulate(Mask(known, channels=3), x, 0)
results = {
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.inpaint_text().solve(problem, steps=400, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
