"""
Fill in half of the pixels
==========================

Every second pixel, drawn at random, is missing. This is the experiment of the paper's first table, on one small
photograph.
"""

from dipops import Mask, PrimalDual, Problem, TotalVariation, images, masks, plot, recipes, solve

x = images.portrait(128).mean(0, keepdim=True)
problem = Problem.simulate(Mask(masks.random((128, 128), keep=0.5), channels=1), x, 0)
results = {
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.inpaint_random().solve(problem, steps=400, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
