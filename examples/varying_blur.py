"""
A blur that varies over the image
=================================

A cheap lens is sharp in the middle and blurs the corners. A custom operator models this in a few lines, as a weighted
sum of existing blurs.
"""

import torch

from dipops import LinearOperator, Problem, TotalVariation, check, images, plot, recipes
from dipops.operators import Blur, Diagonal, kernels
from dipops.tune import SURE, tune


class Lens(LinearOperator):
    """Interpolates between blurs: each pixel mixes the two whose widths are next to its own."""

    def __init__(self, in_shape, widths=(0.3, 1.2, 2.1)):
        super().__init__(in_shape)
        height, width = in_shape[-2:]
        down, right = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
        place = torch.hypot(down, right) / 2**0.5 * (len(widths) - 1)
        blurs = [Blur(in_shape, kernels.gaussian(width)) for width in widths]
        shares = [(1 - (place - k).abs()).clamp(min=0) for k in range(len(widths))]
        self.parts = torch.nn.ModuleList(Diagonal(in_shape, share) @ blur for share, blur in zip(shares, blurs, strict=True))

    def forward(self, x):
        return sum(part(x) for part in self.parts)

    def adjoint(self, y):
        return sum(part.adjoint(y) for part in self.parts)


print(check(Lens((1, 24, 22))))

# %%
# The adjoint would come by itself; by hand it takes half the time, and ``check`` tests it. Every prior takes the operator.

x = images.portrait(64).mean(0, keepdim=True)
problem = Problem.simulate(Lens(x.shape), x, 0.01)
results = {
    "TV": tune(problem, TotalVariation, SURE(), progress=False).result.image,
    "DIP": recipes.restore().solve(problem, steps=800, progress=False).image,
}
plot.compare({"through the lens": problem.y, **results, "ground truth": x}, truth=x)
