"""A part of the measurements that is not fitted, to see when the fit begins to follow the noise."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dipops._tools.seeds import stream
from dipops.errors import BadValue, require_number
from dipops.operators.differences import has_channels
from dipops.problem import Problem
from dipops.stopping.averages import Mean
from dipops.stopping.interface import LowestRule, require_patience


@dataclass
class HeldOut(LowestRule):
    """Hold a random part of the measurements out of the fit, and keep the answer that predicts it best.

    The answer has not seen that part, which costs a little of its quality; nothing need be known about the noise, as long as it
    is independent from pixel to pixel.

    Attributes:
        fraction: the share to hold out: of pixels, all channels together, for (C, H, W) and more dimensions, else of
            values.
        patience: stop when the error on them has not fallen for so many steps.

    Raises:
        BadValue: the fraction is not between 0 and 1, or the patience not positive; on start, nothing or all of a measurement
            is held out.
    """

    fraction: float = 0.1
    patience: int = 500

    curve = "error on the held-out pixels"

    def __post_init__(self) -> None:
        wanted = ("between 0 and 1", "0.1 holds out a tenth")
        require_number("fraction", self.fraction, lambda fraction: 0 < fraction < 1, *wanted)
        require_patience(self.patience)

    def fitted(self, problem: Problem) -> Problem:
        return self._parted(problem, ~self.chosen(problem))

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._held_out = self._parted(problem, self.chosen(problem))

    def chosen(self, problem: Problem) -> Tensor:
        """What is held out, of the shape of a measurement, or with one channel for all; the same for the same size."""
        shape = problem.operator.out_shape
        pixels = (1, *shape[1:]) if has_channels(shape) else shape
        chosen = torch.rand(pixels, generator=stream(0, "held out"), dtype=torch.float32) < self.fraction
        chosen = chosen.to(problem.y.device)
        known = torch.ones_like(problem.y[:1], dtype=torch.bool) if problem.weights is None else problem.weights > 0
        for member in known:
            if not (chosen & member).any() or not (~chosen & member).any():
                came = f"{int((chosen & member).sum())} of {int(member.sum())} measured values held out"
                raise BadValue(came, "some, and not all", "choose another fraction")
        return chosen

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        with torch.no_grad():
            self.consider(self._held_out.rms_residual(answer), index, answer)

    @staticmethod
    def _parted(problem: Problem, part: Tensor) -> Problem:
        """The problem of a part of the pixels."""
        return replace(problem, weights=problem.weighted(part.expand(1, *problem.operator.out_shape).to(problem.y)))
