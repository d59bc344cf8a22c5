"""
Denoise a photograph
====================

Noise of σ = 25, and three priors: none at all, total variation, and the deep image prior.
"""

from dipops import ClippedGaussian, Identity, NoPrior, Problem, TotalVariation, images, plot, recipes, solve
from dipops.tune import SURE, tune

# %%
# The measurement is the image itself with noise, clipped to [0, 1] as in 8-bit files. The priors and rules below read σ from
# the problem.

x = images.portrait(128)
problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(25 / 255))

# %%
# Without a prior the best fit to the noisy image is the noisy image. Total variation gets the weight that Stein's
# unbiased risk estimate finds, which never uses the ground truth, and its exact minimum. The deep image prior is an
# untrained network that is fitted to this one image; its recipe stops it before it learns the noise.

results = {
    "no prior": solve(problem, NoPrior(), progress=False),
    "TV": tune(problem, TotalVariation, SURE(), progress=False).result,
    "DIP": recipes.denoise().solve(problem, progress=False),
}
plot.compare({"noisy": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)

# %%
# How it went: thin lines are single outputs of the network, the thick one their average, which is the answer.

print(results["DIP"].message)
plot.trace({"DIP": results["DIP"]})
