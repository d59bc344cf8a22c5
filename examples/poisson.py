"""
Denoise an image of few photons
===============================

In little light a sensor counts photons. The noise of a count grows with the count: it is Poisson noise, and no one σ fits
both the bright and the dark parts of an image.
"""

from dataclasses import replace

import torch

from dipops import Identity, Poisson, Problem, TotalVariation, images, plot
from dipops.metrics import psnr
from dipops.tune import Discrepancy, tune

# %%
# Light falls in from the right, and white is 30 photons. The noise model is given once, in the problem. It determines
# the simulated counts, the data term, and the rule that chooses the weight.

light = torch.linspace(0.1, 1, 64)
x = images.portrait(64).mean(0, keepdim=True) * light
counted = Problem.simulate(Identity(x.shape), x, Poisson(peak=30))

# %%
# Least squares assumes the same σ for all pixels. Here it is the σ of the mean count.

sigma = float((counted.y.mean() / 30).sqrt())
problems = {"least squares": replace(counted, noise=sigma), "Poisson": counted}
tuned = {
    name: tune(problem, TotalVariation, Discrepancy(), weights=(0.1, 1.0), progress=False) for name, problem in problems.items()
}
restored = {name: choice.result.image for name, choice in tuned.items()}
shown = {name: image.clamp(0, 1) for name, image in {"counted": counted.y, **restored}.items()}
plot.compare({**shown, "ground truth": x}, truth=x)

# %%
# Both weights are chosen by the discrepancy principle. The dark half has less noise than this σ, so least squares
# smooths it too much. The Poisson data term gives it more weight. The principle itself smooths too much in both cases: the last
# column is the best of the weights that it tried, which only the ground truth can tell.

dark = slice(32)
print(f"{'PSNR in dB':<14} {'image':>6} {'dark half':>10} {'best weight':>12}")
for name, image in shown.items():
    scores = f"{float(psnr(image, x[None])):>6.2f} {float(psnr(image[..., dark], x[None, ..., dark])):>10.2f}"
    tried = [trial.psnr for trial in tuned[name].trials if trial.psnr is not None] if name in tuned else []
    print(f"{name:<14} {scores} {max(tried):>12.2f}" if tried else f"{name:<14} {scores}")
