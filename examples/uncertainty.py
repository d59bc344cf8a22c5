"""
Where to doubt a restoration
============================

Four networks that start from different weights agree where the measurement decides, and differ a little where they
invent. Their mean is better than each of them.
"""

from dipops import ClippedGaussian, Identity, Problem, images, plot, recipes
from dipops.metrics import psnr

x = images.portrait(64)
problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(25 / 255))

# %%
# ``repeat(4)`` is four independent runs in one pass.

runs = recipes.denoise().solve(problem.repeat(4), steps=500, progress=False)
mean, std = runs.ensemble()
print("runs:", ", ".join(f"{float(value):.2f}" for value in psnr(runs.image, x.expand_as(runs.image))), "dB")
print(f"mean: {float(psnr(mean, x[None])):.2f} dB")
plot.uncertainty(mean, std, x)
