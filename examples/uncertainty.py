"""
Where to doubt a restoration
============================

Four networks that start from other weights agree where the measurement decides, and differ a little where they make
things up.
Their mean is better than each of them.
"""

from dipops import Identity, Problem, images, plot, recipes
from dipops.metrics import psnr

x = images.portrait(64)
sigma = 25 / 255
problem = Problem.simulate(Identity(x.shape), x, sigma, clip=True)

# %%
# ``repeat(4)`` is four runs in one pass: four networks side by side that do not know of each other.

runs = recipes.denoise(sigma).solve(problem.repeat(4), steps=500, progress=False)
mean, spread = runs.pooled()
print("runs:", ", ".join(f"{float(value):.2f}" for value in psnr(runs.image, x.expand_as(runs.image))), "dB")
print(f"mean: {float(psnr(mean, x[None])):.2f} dB")
plot.uncertainty(mean, spread, x)
