"""
What information does a feature keep?
=====================================

A histogram of oriented gradients is a feature that was used to detect pedestrians. All images with the same histograms
are its *pre-image*; what they have in common is what the feature keeps. Which one we see depends on the prior.
"""

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops import (
    DeepImagePrior,
    DifferentiableOperator,
    Hourglass,
    NoPrior,
    Problem,
    TotalVariation,
    check,
    images,
    plot,
    recipes,
    solve,
)
from dipops.operators.networks import AlexNet
from dipops.paper import preimages

# %%
# The feature, as an operator that has a derivative everywhere: the energy of edges in eight directions, in cells of 4 x
# 4 pixels, each cell scaled by its own strength. ``check`` tests that derivative.


class OrientedGradients(DifferentiableOperator):
    def __init__(self, in_shape):
        super().__init__(in_shape)
        angles = torch.arange(8) * torch.pi / 8
        self.directions = torch.stack([angles.cos(), angles.sin()], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(1, keepdim=True)
        across = F.pad(grey[..., 1:] - grey[..., :-1], (0, 1))
        down = F.pad(grey[..., 1:, :] - grey[..., :-1, :], (0, 0, 0, 1))
        slopes = torch.einsum("dk,nkhw->ndhw", self.directions, torch.cat([across, down], dim=1))
        energy = F.avg_pool2d(slopes.square(), 4)
        return energy / (energy.sum(1, keepdim=True) + 1e-3).sqrt()


print(check(OrientedGradients((3, 8, 12))))

# %%
# The feature of a photograph, and images made from it. ``normalised()`` makes the data term relative to the size of the
# feature.

photo = images.portrait(128).mean(0, keepdim=True)
start = 0.5 + 0.02 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
problem = Problem.simulate(OrientedGradients(photo.shape), photo, 0).normalised()
results = {
    "no prior": solve(problem, NoPrior(start), steps=500, progress=False),
    "TV": solve(problem, TotalVariation(3e-6, initial=start), steps=500, progress=False),
    "DIP": solve(problem, DeepImagePrior(Hourglass((32, 64, 64, 64, 64), skips=8)), steps=300, progress=False),
}
plot.compare({"photograph": photo, **{name: result.image.clamp(0, 1) for name, result in results.items()}})

# %%
# The histograms do not contain which side of an edge is bright, nor how bright it is.
#
# The same for a layer of AlexNet, where ``DIPOPS_ALEXNET`` names a file of its weights.

weights = os.environ.get("DIPOPS_ALEXNET")
if weights:
    network = AlexNet.load(Path(weights))
    photo = images.resize(images.photograph(), (227, 227))
    contestants = {"TV": recipes.preimage(TotalVariation(preimages.TV_WEIGHT))}
    inverted = list(preimages.preimages(photo, network, ["conv1", "conv3"], contestants, steps=100, progress=False))
    preimages.figure(photo, inverted)
