"""
Fill a large hole
=================

In a large hole no pixel near the missing ones is known. The paper's network gets coordinates instead of noise as its
input, so that the filling is as smooth as possible, and has no skip connections.
"""

import torch

from dipops import Mask, PrimalDual, Problem, TotalVariation, images, plot, recipes, solve

x = images.portrait(128)
known = torch.ones(128, 128)
known[78:112, 20:60] = 0
problem = Problem.simulate(Mask(known, channels=3), x, 0)
results = {
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=2000, progress=False),
    "DIP": recipes.inpaint_hole().solve(problem, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
