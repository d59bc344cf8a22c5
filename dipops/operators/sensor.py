"""What a sensor does to values: noise that is clipped to [0, 1], on average."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dipops.errors import require_positive
from dipops.operators.interface import DifferentiableOperator


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
