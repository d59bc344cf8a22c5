"""The discrepancy principle as a stop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops.errors import require_positive
from dipops.problem import Problem, mean_measured
from dipops.stopping.interface import StopRule, list_steps


@dataclass
class Discrepancy(StopRule):
    """The discrepancy principle: stop once the residual of the output, root mean square, is that of the noise.

    An average lags behind: the one that is kept comes so many steps later that its outputs centre on that step. Where all of
    y lies in [0, 1] the noise is taken to be clipped there, as in 8-bit files. Near black and white it is then weaker than σ
    and no longer of mean zero, and least squares lead to the mean of y instead of the ground truth: the residual is compared
    with the standard deviation of clipped noise around such a mean, value by value.

    Attributes:
        sigma: standard deviation of the noise in y before it was clipped, in image units.

    Raises:
        BadValue: sigma is not positive.
    """

    sigma: float

    state = (*StopRule.state, "_reached")

    def __post_init__(self) -> None:
        require_positive("sigma", self.sigma, "a positive standard deviation", "without noise, stop by steps")

    def start(self, problem: Problem, lag: int = 0) -> None:
        super().start(problem, lag)
        self._problem, self._lag = problem, lag
        self._reached = torch.zeros_like(self.image_steps)
        self._clipped = ((problem.y >= 0) & (problem.y <= 1)).flatten(1).all(1)
        self._clipped_noise = ClippedNoise(self.sigma, problem.y) if self._clipped.any() else None

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        low = self._excess(image) <= 1
        self._reached = torch.where((self._reached == 0) & low, index, self._reached)
        new = (self._reached > 0) & (self._reached + self._lag == index)
        self.keep(new, index, answer)
        self.end(new, index)

    def reason(self) -> str:
        clipped = ", clipped to [0, 1]," if bool(self._clipped.all()) else ""
        reached, kept = (list_steps(steps[self.done]) for steps in (self._reached, self.image_steps))
        fell = f"the residual fell to noise of σ = {self.sigma:.4g}{clipped} at step {reached}"
        return f"{fell}; the image is from step {kept}" if self._lag else fell

    def _excess(self, image: Tensor) -> Tensor:
        """Mean square of the residual over what the noise would leave, (N,)."""
        with torch.no_grad():
            measured = self._problem.operator(image)
        residual = mean_measured(self._problem.operator, (measured - self._problem.y).square())
        if self._clipped_noise is None:
            return residual / self.sigma**2
        variance = mean_measured(self._problem.operator, self._clipped_noise.variance(measured))
        return residual / torch.where(self._clipped, variance, self.sigma**2)


class ClippedNoise:
    """clip(v + n, 0, 1) for values v in [0, 1] and normal n, whose moments are known in closed form.

    Args:
        sigma: standard deviation of n, in image units.
        like: of the device and the type to compute in.
    """

    _VALUES = 1025

    def __init__(self, sigma: float, like: Tensor) -> None:
        means, variances = clipped_noise_moments(torch.linspace(0, 1, self._VALUES, dtype=torch.float64), sigma)
        self._means, self._variances = means.to(like), variances.to(like)

    def variance(self, mean: Tensor) -> Tensor:
        """The variance where the mean is as given, between the tabled ones; beyond them, that of black or white."""
        above = torch.searchsorted(self._means, mean.contiguous()).clamp(1, self._VALUES - 1)
        low, high = self._means[above - 1], self._means[above]
        part = ((mean - low) / (high - low)).clamp(0, 1)
        return torch.lerp(self._variances[above - 1], self._variances[above], part)


def clipped_noise_moments(clean: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of clip(v + n, 0, 1) for normal n of standard deviation ``sigma``, for each value v in [0, 1].

    The noise is clipped to [-v, 1 - v]; with φ, Φ of the normal distribution the integrals are in closed form.
    """
    low, high = -clean / sigma, (1 - clean) / sigma
    density_low, density_high = (torch.exp(-0.5 * edge.square()) / (2 * torch.pi) ** 0.5 for edge in (low, high))
    below, above = torch.special.ndtr(low), torch.special.ndtr(-high)
    shift = sigma * (density_low - density_high + low * below + high * above)
    inside = 1 - below - above + low * density_low - high * density_high
    power = sigma**2 * (inside + low.square() * below + high.square() * above)
    return clean + shift, power - shift.square()
