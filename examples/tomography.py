"""
Computed tomography (CT) from few views
=======================================

A scanner sees a slice of the body from many sides. Fewer views mean less dose, but no longer
determine one image.
"""

import torch

from dipops import Problem, TotalVariation, images, plot, recipes
from dipops.operators import Radon
from dipops.tune import Discrepancy, tune

# %%
# 30 views, of 91 detectors each, for 64 x 64 pixels: fewer numbers than unknowns. The noise is 1% of the largest
# measured value. A row of the measurement is one view.

x = images.phantom("shepp-logan", 64)
radon = Radon(x.shape, torch.arange(0, 180, 6))
largest = float(radon(x[None]).max())
problem = Problem.simulate(radon, x, 0.01 * largest)
plot.compare({"30 views": problem.y / largest})

# %%
# Filtered back-projection is the inverse for very many views without noise; here it leaves streaks. The discrepancy
# principle, a residual as large as the noise, chooses the weight of total variation and stops the deep image prior.

tuned = tune(problem, TotalVariation, Discrepancy(), weights=(0.1, 1.0), progress=False)
restored = {
    "FBP": radon.fbp(problem.y),
    "TV": tuned.result.image,
    "DIP": recipes.restore().solve(problem, progress=False).image,
}
plot.compare({**restored, "ground truth": x}, truth=x)

# %%
# The rule smooths the TV image too much. The best PSNR among the weights that it tried, found with the ground truth:

print(f"{max(trial.psnr for trial in tuned.trials if trial.psnr is not None):.1f} dB")
