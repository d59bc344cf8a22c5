"""
Your own linear operator
========================

The camera moved during the exposure. The operator takes ten lines. Its adjoint, tests and restorations need no more code.
"""

import torch
import torch.nn.functional as F

from dipops import LinearOperator, Problem, TotalVariation, check, images, plot, recipes, solve


class MotionBlur(LinearOperator):
    def __init__(self, in_shape, length=9):
        super().__init__(in_shape)
        self.kernel = torch.full((in_shape[0], 1, 1, length), 1 / length)

    def forward(self, x):
        return F.conv2d(x, self.kernel, groups=len(self.kernel))


print(check(MotionBlur((3, 9, 13))))

# %%
# ``check`` says what is wrong, too. Here the same camera has an adjoint written by hand, and it is wrong.


class Careless(MotionBlur):
    def adjoint(self, y):
        return F.conv_transpose2d(y, self.kernel, groups=len(self.kernel)).roll(1, -1)


print(check(Careless((3, 9, 13)), strict=False))

# %%
# The restorations. The ground truth is only used for the scores.

x = images.portrait(64)
problem = Problem.simulate(MotionBlur(x.shape), x, 0.03)
results = {
    "TV": solve(problem, TotalVariation(0.006), progress=False),
    "DIP": recipes.restore().solve(problem, steps=600, progress=False),
}
plot.compare({"moved": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)
