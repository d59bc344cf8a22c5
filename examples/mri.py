"""
Magnetic resonance imaging (MRI) from a quarter of the samples
==============================================================

A scanner samples the Fourier transform of an image, line by line, and each line takes time. With a quarter of the samples an
image takes a quarter of the time, and something has to fill in the rest.
"""

import torch

from dipops import Problem, TotalVariation, images, masks, plot, recipes
from dipops.operators import Fourier
from dipops.tune import SURE, tune

# %%
# Samples lie on lines through the zero frequency. ``masks.radial`` puts it first, as ``torch.fft`` does;
# ``fftshift`` moves it to the middle to show it.

x = images.phantom("shepp-logan", 64)
samples = masks.radial((64, 64), spokes=16)
scanner = Fourier(x.shape, samples)
problem = Problem.simulate(scanner, x, 0.02)
plot.compare({f"{float(samples.mean()):.0%} of the samples": torch.fft.fftshift(samples)[None]})

# %%
# The adjoint fills the missing samples with zeros and transforms back. The weight of total variation comes from SURE, which
# needs σ and not the ground truth. The deep image prior stops by itself.

results = {
    "zero-filled": scanner.T(problem.y),
    "TV": tune(problem, TotalVariation, SURE(), progress=False).result.image,
    "DIP": recipes.restore().solve(problem, progress=False).image,
}
plot.compare({**results, "ground truth": x}, truth=x)
