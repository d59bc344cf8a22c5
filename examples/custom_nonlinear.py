"""
Your own nonlinear operator
===========================

A sensor that saturates smoothly, behind a lens that blurs. There is no adjoint; a derivative is enough.
"""

import torch
import torch.nn.functional as F

from dipops import DifferentiableOperator, Problem, TotalVariation, check, images, plot, recipes, solve


class Overexposed(DifferentiableOperator):
    """Blurred by 5 x 5 pixels, exposed too long, and saturated like film."""

    def __init__(self, in_shape, exposure=3.0):
        super().__init__(in_shape)
        self.exposure = exposure
        taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
        self.kernel = (taps[:, None] * taps / 256).expand(in_shape[0], 1, 5, 5).clone()

    def forward(self, x):
        blurred = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), self.kernel, groups=len(self.kernel))
        return 1 - torch.exp(-self.exposure * blurred)


print(check(Overexposed((3, 9, 13))))

# %%
# The solver is the same, and so are the priors. TV is minimised by descent here: its exact method is for linear
# operators.

x = images.portrait(64)
problem = Problem.simulate(Overexposed(x.shape), x, 0.01)
results = {
    "TV": solve(problem, TotalVariation(3e-4), steps=1500, progress=False),
    "DIP": recipes.restore().solve(problem, steps=700, progress=False),
}
plot.compare({"overexposed": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
