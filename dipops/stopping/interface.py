"""What a stopping rule is, and what a callback is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dipops._tools.batches import per_image
from dipops._tools.state import Stateful
from dipops.errors import require_integer
from dipops.problem import Problem
from dipops.stopping.averages import Mean


@dataclass(frozen=True)
class Step:
    """What a callback is given where values are read from the device: every 25 steps by default, and after the last.

    Attributes:
        index: number of steps done.
        steps: number of steps at most.
        image: the last images (N, *in_shape).
        average: their average, or None where there is none.
        objective: (N,), on the CPU.
        psnr: of the average, or else of the last image, in dB (N,), or None where the ground truth is not known.
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


class StopRule(Stateful):
    """Decides without the ground truth when an image is done, and keeps that image.

    ``solve`` copies a rule and starts the copy. A started rule follows each member of the batch by itself: it updates on the
    device in every step, and its decisions are read now and then. A subclass writes ``start``, ``update`` and ``reason``, and
    adds to ``state`` the name of each attribute that changes from step to step, or a resumed solve would lose it.

    Attributes:
        image: the images kept so far (N, *in_shape).
        image_steps: the steps they are from (N,), 0 for a member of which none is kept yet.
        end_steps: the steps at which the rule was done with a member (N,), 0 for a member that needs more.
    """

    state = ("image", "image_steps", "end_steps")

    def fitted(self, problem: Problem) -> Problem:
        """The problem to fit: the given one, unless the rule needs a part of the measurements for itself."""
        return problem

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        """Begin to follow a solve.

        Args:
            problem: all of it, whatever is fitted.
            mean: the average of the outputs that is the answer, whose ``lag`` tells how old they are; None where the answer is
                the last output.
        """
        self.image = problem.y.new_zeros(len(problem.y), *problem.operator.in_shape)
        self.image_steps = torch.zeros(len(problem.y), dtype=torch.int64, device=problem.y.device)
        self.end_steps = torch.zeros_like(self.image_steps)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        """Follow step ``index``, counted from 1: its output, and the image that is the answer so far.

        A method may reuse the memory of both in later steps: copy what is kept, as ``keep`` does.
        """
        raise NotImplementedError

    def due(self, index: int, read: bool) -> bool:
        """Whether to look after step ``index``; ``read`` says that values are read from the device anyway."""
        return read

    def look(self) -> None:
        """Compute what costs too much to compute in every step."""

    def reason(self) -> str:
        """Why the rule is done, with some members at least."""
        raise NotImplementedError

    @property
    def done(self) -> Tensor:
        """Which members need no more steps (N,)."""
        return self.end_steps > 0

    def keep(self, which: Tensor, index: int, image: Tensor) -> None:
        """Keep the image of the members ``which`` (N,)."""
        self.image = torch.where(per_image(which, image), image, self.image)
        self.image_steps = torch.where(which, index, self.image_steps)

    def end(self, which: Tensor, index: int) -> None:
        """Be done with the members ``which`` (N,)."""
        self.end_steps = torch.where(which & ~self.done, index, self.end_steps)


class LowestRule(StopRule):
    """Keeps the answer at the smallest value of a curve, and is done once it has not fallen further for ``patience`` steps."""

    state = (*StopRule.state, "lowest")
    patience: int
    curve: str

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self.lowest = problem.y.new_full((len(problem.y),), float("inf"))

    def consider(self, value: Tensor, index: int, answer: Tensor) -> None:
        """Follow the curve's value (N,) at a step."""
        lower = (value < self.lowest) & ~self.done
        self.lowest = torch.where(lower, value, self.lowest)
        self.keep(lower, index, answer)
        self.end((self.image_steps > 0) & (index - self.image_steps >= self.patience), index)

    def reason(self) -> str:
        steps = list_steps(self.image_steps[self.done])
        return f"the {self.curve} has not fallen for {self.patience} steps; kept the image of step {steps}"


@dataclass(frozen=True)
class Observe:
    """A stopping rule that is followed without ending the solve or choosing its answer.

    What it kept is in ``Result.observed``, in the order of the callbacks.

    ``solve`` refuses rules that keep measurements out of the fit, as HeldOut does.
    """

    rule: StopRule


class Observed(NamedTuple):
    """What an observed rule kept.

    Attributes:
        image: (N, *in_shape).
        image_steps: the steps they are from (N,), 0 where the rule kept none.
        stopped: whether the rule would have stopped with a member (N,).
    """

    image: Tensor
    image_steps: Tensor
    stopped: Tensor


def require_patience(patience: int) -> None:
    """Refuse a patience under one step."""
    require_integer("patience", patience, 1, "leave it out for the default")


def list_steps(steps: Tensor) -> str:
    """Step numbers, separated by commas."""
    return ", ".join(map(str, steps.tolist()))
