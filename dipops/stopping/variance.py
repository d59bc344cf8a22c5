"""Stops by the variance of the outputs, which falls while the image forms and rises when the noise comes in."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops._tools.precision import has_float64
from dipops.errors import require_integer, require_number
from dipops.problem import Problem
from dipops.stopping.averages import Mean
from dipops.stopping.interface import LowestRule, require_patience


@dataclass
class WindowedVariance(LowestRule):
    """Keep the answer where the variance of the outputs over a window is smallest.

    Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, equation 4. The window is held in memory, and again in
    each of the two states that a solve can go back to: 100 colour images of 512 x 512 are 315 MB, three times.
    ExponentialVariance needs none of it.

    Attributes:
        window: number of outputs.
        patience: stop when the variance has not fallen for so many steps.

    Raises:
        BadValue: the window is smaller than 2, or the patience not positive.
    """

    window: int = 100
    patience: int = 1000

    state = (*LowestRule.state, "_ring", "_sum", "_squares")

    def __post_init__(self) -> None:
        require_integer("window", self.window, 2, "the authors' is 100")
        require_patience(self.patience)
        self.curve = f"variance over {self.window} outputs"

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._ring = self.image.new_zeros(self.window, *self.image.shape)
        self._sum = torch.zeros_like(self.image, dtype=torch.float64 if has_float64(self.image.device) else torch.float32)
        self._squares = self._sum.flatten(1).sum(1)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        slot = (index - 1) % self.window
        old, new = self._ring[slot].to(self._sum.dtype), image.to(self._sum.dtype)
        self._sum += new - old
        self._squares += power(new) - power(old)
        self._ring[slot] = image
        if index >= self.window:
            variance = self._squares / self.window - power(self._sum / self.window)
            self.consider(variance.to(self.lowest.dtype), index, answer)


@dataclass
class ExponentialVariance(LowestRule):
    """Keep the answer where the exponential variance of the outputs is smallest.

    Wang et al., "Early Stopping for Deep Image Prior", TMLR 2023, algorithm 2: v ← (1 - α) (v + α ‖x - a‖²), where the
    average is a ← (1 - α) a + α x. The first 3 / α values are left out: the average starts at 0, so they fall from above.

    Attributes:
        alpha: α, the weight of the newest output.
        patience: stop when the variance has not fallen for so many steps.

    Raises:
        BadValue: alpha is not between 0 and 1, or the patience not positive.
    """

    alpha: float = 0.1
    patience: int = 1000

    state = (*LowestRule.state, "_mean", "_variance")
    curve = "exponential variance of the outputs"

    def __post_init__(self) -> None:
        require_number("alpha", self.alpha, lambda alpha: 0 < alpha < 1, "between 0 and 1", "the authors' is 0.1")
        require_patience(self.patience)

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._mean = torch.zeros_like(self.image)
        self._variance = self.lowest.new_zeros(len(self.lowest))

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        difference = image - self._mean
        self._mean = self._mean + self.alpha * difference
        self._variance = (1 - self.alpha) * (self._variance + self.alpha * power(difference))
        if index >= 3 / self.alpha:
            self.consider(self._variance, index, answer)
