"""What a monitor is: an average, a stop rule, or a function that is told how things stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dipops._tools.batches import per_image
from dipops.errors import require_integer
from dipops.methods.interface import Iteration
from dipops.problem import Problem


@dataclass(frozen=True)
class Step:
    """What a callback is given, every 25 steps.

    Attributes:
        index: how many steps are done.
        steps: how many there will be at most.
        image: the last images (N, *in_shape).
        average: their average, or None where there is none.
        objective: (N,), on the CPU.
        psnr: of the average, or else the last image, in dB (N,), or None where the truth is not known.
        seconds: since the start.
    """

    index: int
    steps: int
    image: Tensor
    average: Tensor | None
    objective: Tensor
    psnr: Tensor | None
    seconds: float


Callback = Callable[[Step], str | None]


class Stateful:
    """What can be laid down and taken up again: the attributes that ``state`` names."""

    state: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.state:
            setattr(self, name, state[name])


class Mean(Stateful):
    """An average at work.

    Attributes:
        average: of the images so far (N, *in_shape), or None before there is one.
        spread: their standard deviation pixel by pixel, or None where it is not kept.
        lag: how many steps old they are on average.
    """

    state = ("average",)
    lag = 0

    def __init__(self) -> None:
        self.average: Tensor | None = None

    @property
    def spread(self) -> Tensor | None:
        return None

    def update(self, image: Tensor) -> None:
        """Take in the image of a step."""
        raise NotImplementedError


class Averaging:
    """A way to average the outputs of a solve."""

    def start(self, steps: int) -> Mean:
        """Begin a solve of at most ``steps`` steps."""
        raise NotImplementedError


class Watch(Stateful):
    """A stop rule at work on a batch. It updates on the device in every step and is read now and then.

    Attributes:
        kept: the images that the rule has kept so far (N, *in_shape).
        at: the steps they are from (N,), 0 for a member of which none is kept yet.
        ended: the steps at which the rule was done with a member (N,), 0 for a member that needs more.
    """

    state = ("kept", "at", "ended")

    def __init__(self, problem: Problem) -> None:
        members = len(problem.y)
        self.kept = problem.y.new_zeros(members, *problem.operator.in_shape)
        self.at = torch.zeros(members, dtype=torch.int64, device=problem.y.device)
        self.ended = torch.zeros_like(self.at)

    @property
    def done(self) -> Tensor:
        """Which members need no more steps (N,)."""
        return self.ended > 0

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        """Take in step ``index``, counted from 1: the raw image, and the one that is the answer so far."""
        raise NotImplementedError

    def due(self, index: int, read: bool) -> bool:
        """Whether to look after step ``index``; ``read`` says that values are read from the device anyway."""
        return read

    def look(self) -> None:
        """Find out what costs too much to find out in every step."""

    def reason(self) -> str:
        """Why the rule is done, with some members at least."""
        raise NotImplementedError

    def keep(self, which: Tensor, index: int, image: Tensor) -> None:
        """Keep the image of the members ``which`` (N,)."""
        self.kept = torch.where(per_image(which, image), image, self.kept)
        self.at = torch.where(which, index, self.at)

    def end(self, which: Tensor, index: int) -> None:
        """Be done with the members ``which`` (N,)."""
        self.ended = torch.where(which & ~self.done, index, self.ended)

    def steps_kept(self) -> str:
        """The steps of the kept images, for the reason."""
        return f"step {', '.join(map(str, self.at[self.done].tolist()))}"


class LowestWatch(Watch):
    """Keeps the answer at the smallest value of a curve, and is done once it has not fallen further for ``patience`` steps."""

    state = (*Watch.state, "lowest")

    def __init__(self, problem: Problem, patience: int, curve: str) -> None:
        super().__init__(problem)
        self.lowest = problem.y.new_full((len(problem.y),), float("inf"))
        self._patience, self._curve = patience, curve

    def consider(self, value: Tensor, index: int, answer: Tensor) -> None:
        """Take in the curve's value (N,) at a step."""
        lower = (value < self.lowest) & ~self.done
        self.lowest = torch.where(lower, value, self.lowest)
        self.keep(lower, index, answer)
        self.end((self.at > 0) & (index - self.at >= self._patience), index)

    def reason(self) -> str:
        return f"the {self._curve} has not fallen for {self._patience} steps; the image kept is of {self.steps_kept()}"


def require_patience(patience: int) -> None:
    """Refuse a patience under one step."""
    require_integer("patience", patience, 1, "leave it out for the default")


class StopRule:
    """Decides without the truth when an image is done, and keeps it."""

    def fitted(self, problem: Problem) -> Problem:
        """The problem that is fitted: the given one, unless the rule needs a part of the measurements for itself."""
        return problem

    def start(self, problem: Problem, iteration: Iteration, lag: int = 0) -> Watch:
        """Begin to watch a method at work on ``problem``, of which all measurements are given.

        Args:
            problem: all of it, whatever is fitted.
            iteration: the method at work.
            lag: how many steps old the outputs are on average of which the answer is made.
        """
        raise NotImplementedError


Monitor = Averaging | StopRule | Callback
