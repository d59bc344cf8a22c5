"""
The mean of several runs
========================

Four networks start from different weights and give slightly different images. Their mean is better than each of them.
Their standard deviation shows where they differ, but hardly where they are wrong.
"""

from dipops import ClippedGaussian, Identity, Problem, images, plot, recipes
from dipops.metrics import psnr

x = images.portrait(64)
problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(25 / 255))

# %%
# Four independent runs in one pass.

answer = recipes.denoise().ensemble(problem, 4, steps=500, progress=False)
runs = answer.runs[0]
print("runs:", ", ".join(f"{float(value):.2f}" for value in psnr(runs, x.expand_as(runs))), "dB")
print(f"mean: {float(psnr(answer.image, x[None])):.2f} dB")
plot.uncertainty(answer.image, answer.std, x)
