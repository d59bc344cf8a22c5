"""
Remove text from an image
=========================

Letters were printed over a photograph, and their pixels are lost.
"""

from dipops import Mask, PrimalDual, Problem, TotalVariation, images, masks, plot, recipes, solve

# %%
# A mask keeps the known pixels. The light recipe fits those, and returns them unchanged.

x = images.portrait(128)
known = masks.text((128, 128), "the deep image prior knows no text")
problem = Problem.simulate(Mask(known, channels=3), x, 0)
results = {
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.inpaint_text().solve(problem, steps=400, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
