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
# Samples lie on lines through the zero frequency. ``masks.radial`` has it in the first place, as ``torch.fft`` has;
# ``fftshift`` moves it to the middle for a look.

x = images.phantom("shepp-logan", 64)
samples = masks.radial((64, 64), spokes=16)
scanner = Fourier(x.shape, samples)
problem = Problem.simulate(scanner, x, 0.02)
plot.compare({f"{float(samples.mean()):.0%} of the samples": torch.fft.fftshift(samples)[None]})

# %%
# The adjoint fills the missing samples with zeros. Total variation has its weight from SURE, which knows the noise and not the
# ground truth, and the deep image prior stops by itself.

results = {
    "zero-filled": scanner.T(problem.y),
    "TV": tune(problem, TotalVariation, SURE(), progress=False).result.image,
    "DIP": recipes.restore().solve(problem, progress=False).image,
}
plot.compare({**results, "ground truth": x}, truth=x)
