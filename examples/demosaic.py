"""
Demosaic a photograph
=====================

A sensor under a Bayer array measures one colour at each pixel. The other two are restored.
"""

from dipops import PrimalDual, Problem, TotalVariation, images, plot, recipes, solve
from dipops.operators import Mosaic

x = images.portrait(64)
mosaic = Mosaic(x.shape, "RGGB")
problem = Problem.simulate(mosaic, x, 0)

# %%
# Edges of the three colours are at the same places. Coupled total variation uses this: each pixel has one gradient over
# all colours. The deep image prior makes all three from the same features.

results = {
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "coupled TV": solve(problem, TotalVariation(1.0, coupled=True), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.inpaint_random().solve(problem, steps=400, progress=False),
}
measured = {"measured": mosaic.T(problem.y)}
plot.compare({**measured, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
