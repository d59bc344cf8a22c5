"""
Denoise a photograph with the help of one with flash
====================================================

Images with flash are sharp but have the wrong light; images by lamplight have the right light but are noisy. The pair is
made here from the bundled photograph: one with another light and colour, the other one dim, warm and noisy. With two
photographs of yours it is ``dipops flash flash.jpg noflash.jpg clean.png``.
"""

import torch

from dipops import GuidedInput, Identity, Problem, TotalVariation, images, plot, recipes
from dipops.tune import SURE, tune

scene = images.portrait(128)
down, across = torch.meshgrid(torch.linspace(0, 1, 128), torch.linspace(0, 1, 128), indexing="ij")
flash = (scene * (1.25 - 0.6 * ((down - 0.5) ** 2 + (across - 0.5) ** 2)) * torch.tensor([0.9, 1.0, 1.1]).view(3, 1, 1)).clamp(
    0, 1
)
truth = 0.6 * scene * (0.6 + 0.4 * across) * torch.tensor([1.0, 0.8, 0.55]).view(3, 1, 1)
sigma = 0.06

# %%
# The measurement does not depend on the flash: ``GuidedInput`` is the identity. The prior uses the guide, as the input
# of the network in place of noise.

problem = Problem.simulate(GuidedInput(flash), truth, sigma)
plain = Problem(Identity(truth.shape), problem.y, sigma, truth=truth)
results = {
    "TV": tune(plain, TotalVariation, SURE(), progress=False).result,
    "DIP with the flash image": recipes.flash().solve(problem, steps=300, progress=False),
}
restored = {name: result.image for name, result in results.items()}
plot.compare({"flash": flash, "no flash": problem.y, **restored, "ground truth": truth}, truth=truth)
