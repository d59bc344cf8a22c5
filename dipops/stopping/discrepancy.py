"""The discrepancy principle as a stop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops.errors import require_number
from dipops.noise import require_noise
from dipops.problem import Problem
from dipops.stopping.averages import Mean
from dipops.stopping.interface import StopRule, list_steps


@dataclass
class Discrepancy(StopRule):
    """The discrepancy principle: stop once the data term of the output is at most τ² times what the noise leaves on average.

    For normal noise the root mean square of the residual is then τσ (Morozov 1966). An average lags behind: the one that is
    kept is the first whose outputs centre on that step. Normal noise is taken to be clipped for members whose y lies in [0, 1],
    see :attr:`dipops.Problem.is_clipped`: near black and white it is weaker than σ and no longer of mean zero.

    Attributes:
        tau: τ, at least 1. Noise on z makes the outputs of a network differ from step to step, which adds to their residuals. A
            value a little above 1 makes up for it; with 1 a solve may stop late, or never.

    Raises:
        BadValue: τ is below 1, or on start, the noise is not known or zero.
    """

    tau: float = 1.0

    state = (*StopRule.state, "_reached")

    def __post_init__(self) -> None:
        """Refuse a number below 1."""
        require_number("tau", self.tau, lambda tau: 1 <= tau < float("inf"), "at least 1", "1 is the noise itself")

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._problem, self._mean = problem, mean
        self._noise = require_noise(problem.noise, "Discrepancy()")
        self._reached = torch.zeros_like(self.image_steps)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        low = self._excess(image) <= self.tau**2
        self._reached = torch.where((self._reached == 0) & low, index, self._reached)
        centre = index - (self._mean.lag if self._mean else 0)
        new = (self._reached > 0) & (self._reached <= centre) & ~self.done
        self.keep(new, index, answer)
        self.end(new, index)

    def reason(self) -> str:
        return f"what was removed matches {self._noise}; kept the image of step {list_steps(self.image_steps[self.done])}"

    def _excess(self, image: Tensor) -> Tensor:
        """The data term over what the noise would leave, (N,)."""
        with torch.no_grad():
            reached, expected = self._problem.data_terms(self._problem.operator(image))
        return reached / expected
