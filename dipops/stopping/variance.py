"""Stops by the variance of the outputs, which falls while the picture forms and rises when the noise comes in."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import require_integer, require_number
from dipops.methods.interface import Iteration
from dipops.problem import Problem
from dipops.stopping.interface import LowestWatch, StopRule, require_patience


@dataclass(frozen=True)
class WindowedVariance(StopRule):
    """Keep the answer where the variance of the raw outputs over a window is smallest.

    Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, equation 4. The window is held in memory, and again in
    each of the two states that a solve can go back to: 100 colour pictures of 512 x 512 are 315 MB, three times.
    ExponentialVariance needs none of it.

    Attributes:
        window: how many outputs.
        patience: stop when the variance has not fallen for so many steps.

    Raises:
        BadType: one is no integer.
        BadValue: the window is smaller than 2, or the patience not positive.
    """

    window: int = 100
    patience: int = 1000

    def __post_init__(self) -> None:
        require_integer("window", self.window, 2, "the authors' is 100")
        require_patience(self.patience)

    def start(self, problem: Problem, iteration: Iteration, lag: int = 0) -> "WindowedVarianceWatch":
        return WindowedVarianceWatch(self, problem)


class WindowedVarianceWatch(LowestWatch):
    """The windowed variance at work: a ring of outputs, their sum and the sum of their squares, in float64."""

    state = (*LowestWatch.state, "_ring", "_sum", "_squares")

    def __init__(self, rule: WindowedVariance, problem: Problem) -> None:
        super().__init__(problem, rule.patience, f"variance over {rule.window} outputs")
        self._window = rule.window
        self._ring = self.kept.new_zeros(rule.window, *self.kept.shape)
        self._sum = torch.zeros_like(self.kept, dtype=torch.float64)
        self._squares = self._sum.flatten(1).sum(1)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        place = (index - 1) % self._window
        old, new = self._ring[place].double(), image.double()
        self._sum += new - old
        self._squares += power(new) - power(old)
        self._ring[place] = image
        if index >= self._window:
            variance = self._squares / self._window - power(self._sum / self._window)
            self.consider(variance.to(self.lowest.dtype), index, answer)


@dataclass(frozen=True)
class ExponentialVariance(StopRule):
    """Keep the answer where the exponential variance of the raw outputs is smallest.

    Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, algorithm 2: v ← (1 - α) (v + α ‖x - a‖²), where the
    average is a ← (1 - α) a + α x.

    Attributes:
        alpha: α, the weight of the newest output.
        patience: stop when the variance has not fallen for so many steps.

    Raises:
        BadType: alpha is no number, or patience no integer.
        BadValue: alpha is not between 0 and 1, or the patience not positive.
    """

    alpha: float = 0.1
    patience: int = 1000

    def __post_init__(self) -> None:
        require_number("alpha", self.alpha, lambda alpha: 0 < alpha < 1, "between 0 and 1", "the authors' is 0.1")
        require_patience(self.patience)

    def start(self, problem: Problem, iteration: Iteration, lag: int = 0) -> "ExponentialVarianceWatch":
        return ExponentialVarianceWatch(self, problem)


class ExponentialVarianceWatch(LowestWatch):
    """The exponential variance at work. It speaks after 3 / α steps; its average starts at 0, so that it falls from above."""

    state = (*LowestWatch.state, "_mean", "_variance")

    def __init__(self, rule: ExponentialVariance, problem: Problem) -> None:
        super().__init__(problem, rule.patience, "exponential variance of the outputs")
        self._alpha = rule.alpha
        self._mean = torch.zeros_like(self.kept)
        self._variance = self.lowest.new_zeros(len(self.lowest))

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        difference = image - self._mean
        self._mean = self._mean + self._alpha * difference
        self._variance = (1 - self._alpha) * (self._variance + self._alpha * power(difference))
        if index >= 3 / self._alpha:
            self.consider(self._variance, index, answer)
