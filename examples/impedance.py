"""
A network learns noise late
===========================

Why does an untrained network denoise? It can fit any image, but it fits natural images faster than noise.
"""

import matplotlib.pyplot as plt
import torch

from dipops import DeepImagePrior, Hourglass, Identity, Problem, images, solve

x = images.portrait(64)
generator = torch.Generator().manual_seed(0)
targets = {
    "photograph": x,
    "photograph + noise": x + 25 / 255 * torch.randn(x.shape, generator=generator),
    "its pixels, shuffled": x.flatten(1)[:, torch.randperm(64 * 64, generator=generator)].view(x.shape),
    "white noise": torch.rand(x.shape, generator=generator),
}

# %%
# Four fits with the same network, input and rate.

prior = DeepImagePrior(Hourglass((64, 64, 64, 64), skips=4), perturbation=0.0)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, target in targets.items():
    curve = solve(Problem(Identity(x.shape), target), prior, steps=150, progress=False).trace["objective"][:, 0]
    axes.loglog(range(1, len(curve) + 1), curve, label=name)
axes.set(xlabel="step", ylabel="E = ½ ‖g(θ) − y‖²")
axes.grid(alpha=0.3, which="both")
axes.legend(frameon=False)
