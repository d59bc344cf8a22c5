"""
Which image activates a unit most?
==================================

Instead of the feature of a photograph we ask for a strong response of one unit, and look at the image that gives it. The
energy is the usual one, with a measurement that no image gives.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dipops import DeepImagePrior, FeatureMap, Hourglass, Problem, TotalVariation, images, plot, solve
from dipops.operators import Activation

# %%
# A small network that needs no file of weights: the energy of edges in four directions. ``FeatureMap`` freezes it.


def edges() -> nn.Conv2d:
    angles = torch.arange(4) * torch.pi / 4
    grid = torch.linspace(-1, 1, 7)
    down, across = torch.meshgrid(grid, grid, indexing="ij")
    filters = [(angle.cos() * across + angle.sin() * down) * (-3 * (across**2 + down**2)).exp() for angle in angles]
    layer = nn.Conv2d(3, 4, 7, padding=3, bias=False)
    layer.weight.data = torch.stack(filters)[:, None].expand(4, 3, 7, 7) / 3
    return layer


class Energy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.edges = edges()

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.edges(x).square(), 8, stride=4)


shape = (3, 128, 128)
features = FeatureMap(shape, nn.Sequential(Energy()).eval(), "0")
print(features.out_shape)

# %%
# Unit 0 responds to upright edges, unit 1 to slanted ones. The target is twenty times what a photograph gives.

photo = images.portrait(128)
grey = 0.5 + 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
maximised = {}
for unit, words in enumerate(("upright", "slanted")):
    response = Activation(features.out_shape, unit) @ features
    problem = Problem(response, 20 * response(photo[None])).normalised()
    maximised[f"{words}, TV"] = solve(problem, TotalVariation(1e-6, initial=grey), steps=200, progress=False).image.clamp(0, 1)
    prior = DeepImagePrior(Hourglass((16, 32, 32, 32), skips=4))
    maximised[f"{words}, DIP"] = solve(problem, prior, steps=150, progress=False).image
plot.compare(maximised)

# %%
# A unit of a classifier's last layer stands for a class. This command makes an image that SqueezeNet takes for a monkey:
# ``dipops maximise monkey.png --network squeezenet --weights FILE --layer conv_final --unit 370``.
