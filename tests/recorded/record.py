"""Records the outputs of one denoising run, for the tests of stopping rules: ``python -m tests.recorded.record``.

Each output is kept as its products with 32 random orthonormal images, which keep distances between outputs but for a factor:
enough for a variance, in 64 KB.
"""

from pathlib import Path

import numpy as np
import torch

from dipops import ClippedGaussian, Identity, Problem, images, recipes, solve
from dipops.methods.descent import DescentIteration

FILE = Path(__file__).with_name("denoising.npz")
DIRECTIONS, STEPS, SIGMA = 32, 500, 25 / 255


def main() -> None:
    """Record the light recipe on the bundled portrait at 64 pixels, seed 0."""
    x = images.portrait(64)
    problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(SIGMA))
    directions = torch.linalg.qr(torch.randn(x.numel(), DIRECTIONS, generator=torch.Generator().manual_seed(0))).Q
    outputs: list[torch.Tensor] = []
    step = DescentIteration.step

    def recorded(iteration: DescentIteration, measure: bool) -> tuple[torch.Tensor, torch.Tensor]:
        image, objective = step(iteration, measure)
        outputs.append(image.flatten() @ directions)
        return image, objective

    recipe = recipes.denoise()
    DescentIteration.step = recorded
    result = solve(problem, recipe.prior, recipe.method, steps=STEPS)
    curve = result.trace["psnr_average"][:, 0]
    np.savez_compressed(FILE, outputs=torch.stack(outputs).numpy(), psnr_average=curve.numpy())


if __name__ == "__main__":
    main()
