"""
What excites a unit?
====================

Instead of the feature of a photograph we ask for a strong answer of one unit, and look at the picture that gives it. It
is the same energy as ever, with a measurement that no picture gives.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dipops import Activation, DeepImagePrior, FeatureMap, Hourglass, Problem, TotalVariation, images, plot, solve

# %%
# A small network that needs no file of weights: edges in four directions, then their corners. ``FeatureMap`` freezes
# it.


def edges() -> nn.Conv2d:
    angles = torch.arange(4) * torch.pi / 4
    grid = torch.linspace(-1, 1, 7)
    down, across = torch.meshgrid(grid, grid, indexing="ij")
    filters = [(angle.cos() * across + angle.sin() * down) * (-3 * (across**2 + down**2)).exp() for angle in angles]
    layer = nn.Conv2d(3, 4, 7, padding=3, bias=False)
    layer.weight.data = torch.stack(filters)[:, None].expand(4, 3, 7, 7) / 3
    return layer


class Corners(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.edges = edges()

    def forward(self, x: Tensor) -> Tensor:
        energy = F.avg_pool2d(self.edges(x).square(), 8, stride=4)
        return torch.stack([energy[:, a] * energy[:, b] for a, b in ((0, 2), (1, 3))], dim=1).sqrt()


shape = (3, 128, 128)
features = FeatureMap(shape, nn.Sequential(Corners()).eval(), "0")
print(features.out_shape)

# %%
# Unit 0 answers where upright and level edges meet, unit 1 to diagonal ones. The target is twenty times what a
# photograph gives.

photo = images.portrait(128)
pictures = {}
for unit, words in enumerate(("upright and level", "diagonals")):
    picked = Activation(features.out_shape, unit) @ features
    target = 20 * picked(photo[None])
    problem = Problem(picked, target).relative()
    pictures[f"{words}, TV"] = solve(problem, TotalVariation(1e-5), steps=200, progress=False).image.clamp(0, 1)
    prior = DeepImagePrior(Hourglass((16, 32, 32, 32), skips=4))
    pictures[f"{words}, DIP"] = solve(problem, prior, steps=150, progress=False).image
plot.compare(pictures, columns=4)

# %%
# With weights of a network that knows classes: ``dipops maximise --layer conv_final --unit 370 ...`` draws what it
# takes for a monkey.
