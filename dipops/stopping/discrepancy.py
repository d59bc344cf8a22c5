"""The discrepancy principle as a stop."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops.noise import require_noise
from dipops.problem import Problem
from dipops.stopping.averages import Mean
from dipops.stopping.interface import StopRule, list_steps


@dataclass
class Discrepancy(StopRule):
    """The discrepancy principle: stop once the data term of the output is what the noise leaves on average.

    For normal noise the root mean square of the residual is then σ (Morozov 1966). An average lags behind: the one that is kept
    is the first whose outputs centre on that step. Normal noise is taken to be clipped for members whose y lies in [0, 1], see
    :attr:`dipops.Problem.is_clipped`: near black and white it is weaker than σ and no longer of mean zero.

    Raises:
        BadValue: on start, the noise is not known or zero.
    """

    state = (*StopRule.state, "_reached")

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._problem, self._mean = problem, mean
        self._noise = require_noise(problem.noise, "Discrepancy()")
        self._reached = torch.zeros_like(self.image_steps)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        low = self._excess(image) <= 1
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
