"""A part of the measurements that is not fitted, to see when the fit begins to follow the noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dipops._tools.batches import weighted_mean
from dipops._tools.seeds import stream
from dipops.errors import BadValue, require_number
from dipops.operators import Mask, is_mask
from dipops.problem import Problem
from dipops.stopping.interface import LowestRule, require_patience


@dataclass
class HeldOut(LowestRule):
    """Hold a random part of the measurements out of the fit, and keep the answer that predicts it best.

    The answer has not seen that part, which costs a little of its quality; nothing need be known about the noise, as long as it
    is independent from pixel to pixel.

    Attributes:
        fraction: of the measured pixels, all channels of a pixel together.
        patience: stop when the error on them has not fallen for so many steps.

    Raises:
        BadValue: the fraction is not between 0 and 1, or the patience not positive; on start, measurements that are not
            (C, H, W).
    """

    fraction: float = 0.1
    patience: int = 500

    curve = "error on the held-out pixels"

    def __post_init__(self) -> None:
        wanted = ("between 0 and 1", "0.1 holds out a tenth")
        require_number("fraction", self.fraction, lambda fraction: 0 < fraction < 1, *wanted)
        require_patience(self.patience)

    def fitted(self, problem: Problem) -> Problem:
        fitted = ~self.chosen(problem)
        channels = problem.operator.out_shape[0]
        if is_mask(problem.operator):
            return replace(problem, operator=Mask(problem.operator.mask * fitted, channels), y=problem.y * fitted)
        mask = Mask(fitted.to(problem.y), channels)
        return replace(problem, operator=mask @ problem.operator, y=problem.y * fitted)

    def start(self, problem: Problem, lag: int = 0) -> None:
        super().start(problem, lag)
        self._problem = problem
        chosen = self.chosen(problem).expand(problem.operator.out_shape).to(problem.y)
        self._weight = chosen * (problem.operator.mask if is_mask(problem.operator) else 1)

    def chosen(self, problem: Problem) -> Tensor:
        """Which pixels are held out, (1, H, W); the same for the same size."""
        shape = problem.operator.out_shape
        if len(shape) != 3:
            raise BadValue(f"HeldOut on measurements of shape {shape}", "(C, H, W)", "use another stopping rule")
        chosen = torch.rand(1, *shape[1:], generator=stream(0, "held out")) < self.fraction
        chosen = chosen.to(problem.y.device)
        known = problem.operator.mask > 0 if is_mask(problem.operator) else torch.ones_like(chosen)
        if not (chosen & known).any() or not (~chosen & known).any():
            came = f"{int((chosen & known).any(0).sum())} of {int(known.any(0).sum())} measured pixels held out"
            raise BadValue(came, "some, and not all", "choose another fraction")
        return chosen

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        with torch.no_grad():
            difference = self._problem.operator(answer) - self._problem.y
        self.consider(weighted_mean(difference.square(), self._weight).sqrt(), index, answer)
