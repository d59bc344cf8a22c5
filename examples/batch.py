"""
Several images at once
======================

All images of a batch are solved in one pass. There is one network for each image, and no image influences another.
"""

import torch

from dipops import ClippedGaussian, Identity, Problem, images, plot, recipes

photo = images.photograph()
height, width = photo.shape[1:]
corners = [(40, 150), (160, 120), (200, 260)]
x = torch.stack([photo[:, top : top + 64, left : left + 64] for top, left in corners])
problem = Problem.simulate(Identity(x.shape[1:]), x, ClippedGaussian(25 / 255))
result = recipes.denoise().solve(problem, steps=450, progress=False)
print(result.message)

# %%
# Each member stops where its own rule says.

print("the answers are of steps", result.image_steps.tolist())
pairs = {}
for number, (noisy, restored) in enumerate(zip(problem.y, result.image, strict=True), 1):
    pairs |= {f"{number}: noisy": noisy, f"{number}: restored": restored}
plot.compare(pairs, columns=2)
