"""What a sensor does to values: noise that is clipped to [0, 1], on average, saturation, and gamma correction."""

from collections.abc import Sequence
from math import inf, isfinite

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue, require_number, require_positive
from dipops.operators.interface import DifferentiableOperator

_LARGEST_POWER = 20


class ExpectedClip(DifferentiableOperator):
    """The mean of clip(x + n, 0, 1) for normal n, value by value: what averages of noisy 8-bit images converge to.

    m(x) = x (Φ(b) - Φ(a)) + σ (φ(a) - φ(b)) + 1 - Φ(b) with a = -x / σ, b = (1 - x) / σ, and φ, Φ of the standard normal
    distribution (Foi, "Clipped noisy images: heteroskedastic modeling and practical denoising", Signal Processing 2009). It
    rises strictly. With another operator A between, ``ExpectedClip(A.out_shape, sigma) @ A`` is the mean of a measurement that
    is clipped after A.

    Args:
        in_shape: any shape.
        sigma: standard deviation of n, in image units.

    Raises:
        BadValue: sigma is not positive.
    """

    def __init__(self, in_shape: Sequence[int], sigma: float) -> None:
        super().__init__(in_shape)
        advice = "without noise nothing is clipped: use Identity"
        self.sigma = require_positive("sigma", sigma, "a positive standard deviation", advice)

    def forward(self, x: Tensor) -> Tensor:
        return clipped_noise_moments(x, self.sigma)[0]


class Saturation(DifferentiableOperator):
    """Values above a threshold are cut, as by a sensor whose wells are full.

    y = min(x, t), or with smoothness s > 0 the smooth y = x - s log(1 + exp((x - t) / s)), which lies below it by s log 2 at t
    and by less elsewhere; Whyte, Sivic and Zisserman, "Deblurring shaken and partially saturated images", IJCV 2014. The
    derivative of the first is 0 above t: a solve that starts there does not move, which the second avoids.

    Args:
        in_shape: any shape.
        threshold: t, in image units.
        smoothness: s, the width of the bend, in image units.

    Raises:
        BadType: one is no number.
        BadValue: the threshold is not finite, or the smoothness negative or not finite.
    """

    def __init__(self, in_shape: Sequence[int], threshold: float = 1.0, smoothness: float = 0.0) -> None:
        super().__init__(in_shape)
        self.threshold = require_number("threshold", threshold, isfinite, "a finite value", "1 is white")
        expected, advice = "a width from 0 in image units", "0.02 is a narrow bend, 0 none"
        self.smoothness = require_number("smoothness", smoothness, lambda width: 0 <= width < inf, expected, advice)

    def forward(self, x: Tensor) -> Tensor:
        if self.smoothness == 0:
            return x.clamp(max=self.threshold)
        return self.threshold + self.smoothness * F.logsigmoid((x - self.threshold) / self.smoothness)


class Gamma(DifferentiableOperator):
    """The transfer curve from linear light to stored values: a power with a linear toe.

    y = (1 + a) x^(1/γ) - a above x₀, and the tangent y = s x below it, for all real x. Value and slope agree at
    x₀ = (a γ / ((1 + a) (γ - 1)))^γ, where s = a / ((γ - 1) x₀). By default it is the curve of sRGB, IEC 61966-2-1, whose
    x₀ = 0.0031308 and s = 12.92 are rounded; γ = 1 / 0.45 and a = 0.099 are those of ITU-R BT.709.

    Args:
        in_shape: any shape.
        gamma: γ, above 1.
        offset: a, above 0 and below γ - 1, so that x₀ < 1.

    Raises:
        BadType: one is no number.
        BadValue: it is out of its range.
    """

    def __init__(self, in_shape: Sequence[int], gamma: float = 2.4, offset: float = 0.055) -> None:
        super().__init__(in_shape)
        expected, advice = f"a power above 1, at most {_LARGEST_POWER}", "2.4 and 0.055 are those of sRGB"
        self.gamma = require_number("gamma", gamma, lambda power: 1 < power <= _LARGEST_POWER, expected, advice)
        self.offset = require_positive("offset", offset, "a positive number", advice)
        if self.offset >= self.gamma - 1:
            raise BadValue(f"offset = {offset} with gamma = {gamma}", f"less than gamma - 1 = {self.gamma - 1:g}", advice)
        self.toe = (self.offset * self.gamma / ((1 + self.offset) * (self.gamma - 1))) ** self.gamma
        self.slope = self.offset / ((self.gamma - 1) * self.toe)

    def forward(self, x: Tensor) -> Tensor:
        power = (1 + self.offset) * x.clamp(min=self.toe) ** (1 / self.gamma) - self.offset
        return torch.where(x > self.toe, power, self.slope * x)


def clipped_noise_moments(clean: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of clip(v + n, 0, 1) for normal n of standard deviation ``sigma``, for each value v.

    The noise is clipped to [-v, 1 - v]; with φ, Φ of the normal distribution the integrals are in closed form.
    """
    low, high = -clean / sigma, (1 - clean) / sigma
    density_low, density_high = (torch.exp(-0.5 * edge.square()) / (2 * torch.pi) ** 0.5 for edge in (low, high))
    below, above = torch.special.ndtr(low), torch.special.ndtr(-high)
    shift = sigma * (density_low - density_high + low * below + high * above)
    inside = 1 - below - above + low * density_low - high * density_high
    power = sigma**2 * (inside + low.square() * below + high.square() * above)
    return clean + shift, power - shift.square()
