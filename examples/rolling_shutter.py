"""
A shaken rolling shutter
========================

Most cameras read their rows one after another. While the camera shakes, each row sees the scene from another place.
"""

import torch

from dipops import Problem, TotalVariation, images, plot, recipes
from dipops.operators import rolling_shutter
from dipops.tune import SURE, tune

# %%
# The path of the camera is known, as from a gyroscope: three swings of 2 pixels to the right and left, one of 1 pixel down
# and up.

x = images.portrait(64)
time = torch.linspace(0, 2 * torch.pi, 64)
path = torch.stack([time.sin(), 2 * (3 * time).sin()])
problem = Problem.simulate(rolling_shutter(x.shape, path), x, 5 / 255)

# %%
# The operator shifts each row as the camera did; shifting them back would interpolate twice and keep the noise. The weight of
# total variation is chosen by Stein's unbiased risk estimate, and the deep image prior stops by a rule of its own.

tuned = tune(problem, TotalVariation, SURE(), weights=(0.001, 0.1), progress=False)
restored = {"TV": tuned.result.image, "DIP": recipes.restore().solve(problem, progress=False).image}
plot.compare({"measured": problem.y, **restored, "ground truth": x}, truth=x)
