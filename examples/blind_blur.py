"""
Blind deblurring: fit the operator too
======================================

Two photographs of one scene, out of focus by an unknown amount: the second through an aperture of twice the diameter, which
doubles the blur. How wide is it?
"""

from functools import partial

import torch
import torch.nn.functional as F

from dipops import Descent, LinearOperator, Problem, TotalVariation, images, plot, solve


class Defocus(LinearOperator):
    """Blurred by a Gaussian for each aperture; for aperture 1 its width in pixels is exp(parameter / 10)."""

    def __init__(self, in_shape, width, apertures=(1, 2)):
        super().__init__(in_shape)
        self.parameter = torch.nn.Parameter(10 * torch.tensor(width).log())
        self.offsets = torch.arange(-8.0, 9.0)
        self.apertures = apertures

    @property
    def width(self):
        return (self.parameter / 10).exp()

    def forward(self, x):
        return torch.cat([self.blur(x, aperture * self.width) for aperture in self.apertures], dim=1)

    def blur(self, x, width):
        taps = torch.exp(-0.5 * (self.offsets / width) ** 2)
        kernel = (taps[:, None] * taps / taps.sum() ** 2).expand(x.shape[1], 1, -1, -1)
        return F.conv2d(F.pad(x, (8, 8, 8, 8), mode="reflect"), kernel, groups=x.shape[1])


# %%
# The measurement is made with a width of 2 pixels, and the problem starts from a guess of 1. ``fit_operator=True`` fits
# the operator's parameters together with the image. The width is exp(parameter / 10), so that a change of 1 in the
# parameter, as an optimiser makes it, is a small change of the width.

x = images.portrait(64).mean(0, keepdim=True)
y = Problem.simulate(Defocus(x.shape, 2.0), x, 0.01).y
guess = Problem(Defocus(x.shape, 1.0), y)
lbfgs, prior = partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"), TotalVariation(3e-4)
wrong = solve(guess, prior, Descent(lbfgs), steps=20, progress=False)
fitted = solve(guess, prior, Descent(lbfgs, fit_operator=True), steps=20, progress=False)
print(f"true width 2.00, guess {guess.operator.width:.2f}, fitted {fitted.operator.width:.2f} pixels")
plot.compare({"photograph": y[:, :1], "with the guess": wrong.image, "fitted": fitted.image, "ground truth": x}, truth=x)

# %%
# One photograph is not enough. Total variation is lower for a blurred image than for a sharp one, so the solve treats the
# blur as part of the scene (Levin et al., "Understanding and evaluating blind deconvolution algorithms", CVPR 2009).

one = Problem(Defocus(x.shape, 1.0, apertures=(1,)), y[:, :1])
blind = solve(one, prior, Descent(lbfgs, fit_operator=True), steps=20, progress=False)
print(f"from one photograph: {blind.operator.width:.2f} pixels")
