"""The discrepancy principle as a stop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops.errors import BadValue
from dipops.methods.interface import Iteration
from dipops.monitor.interface import StopRule, Watch
from dipops.problem import Problem


@dataclass(frozen=True)
class Residual(StopRule):
    """The discrepancy principle: stop as soon as the residual of the raw image, root mean square, is that of the noise.

    Noise that was cut to [0, 1], as in 8-bit files, is weaker than σ near black and white: with ``clipped`` the residual is
    compared with what such noise would leave around A(x), value by value.

    Attributes:
        sigma: standard deviation of the noise in y before it was cut, in image units.
        clipped: whether y was cut to [0, 1].

    Raises:
        BadValue: sigma is not positive.
    """

    sigma: float
    clipped: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise BadValue(f"sigma = {self.sigma}", "a positive standard deviation", "without noise, stop by steps")

    def start(self, problem: Problem, iteration: Iteration) -> "ResidualWatch":
        return ResidualWatch(self, problem)


class ResidualWatch(Watch):
    """The discrepancy principle at work."""

    def __init__(self, rule: Residual, problem: Problem) -> None:
        super().__init__(problem)
        self._problem, self._rule = problem, rule

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        with torch.no_grad():
            new = (self._problem.residual(image) <= self._expected(image)) & ~self.done
        self.keep(new, index, answer)
        self.done = self.done | new

    def reason(self) -> str | None:
        if not bool(self.done.all()):
            return None
        kind = "that of clipped noise of " if self._rule.clipped else ""
        return f"the residual fell to {kind}σ = {self._rule.sigma:.4g} at {self.steps_kept()}"

    def _expected(self, image: Tensor) -> Tensor | float:
        if not self._rule.clipped:
            return self._rule.sigma
        power = clipped_noise_power(self._problem.operator(image).clamp(0, 1), self._rule.sigma)
        return self._problem.mean_known(power).sqrt()


def clipped_noise_power(clean: Tensor, sigma: float) -> Tensor:
    """E (clip(v + n, 0, 1) - v)² for normal n of standard deviation ``sigma``, for each value v in [0, 1].

    The noise is cut to [-v, 1 - v]; with φ, Φ of the normal distribution the integral is in closed form.
    """
    low, high = -clean / sigma, (1 - clean) / sigma
    density_low, density_high = (torch.exp(-0.5 * edge.square()) / (2 * torch.pi) ** 0.5 for edge in (low, high))
    below, above = torch.special.ndtr(low), torch.special.ndtr(-high)
    inside = 1 - below - above + low * density_low - high * density_high
    return sigma**2 * (inside + low.square() * below + high.square() * above)
