"""What watches a solve: averages, stop rules, callbacks, the trace and the progress bar."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue
from dipops.methods.interface import Iteration
from dipops.metrics import psnr
from dipops.problem import Problem

_LOOK = 10
_LONGEST = 100


@dataclass(frozen=True)
class Step:
    """What a callback is given, every 25 steps.

    Attributes:
        index: how many steps are done.
        steps: how many there will be at most.
        image: the last images (N, *in_shape).
        average: their exponential average, or None where there is none.
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


@dataclass(frozen=True)
class Average:
    """The exponential average of the outputs: a ← decay a + (1 - decay) x. The paper's decay is 0.99.

    Raises:
        BadValue: the decay is not in [0, 1).
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise BadValue(f"decay = {self.decay}", "at least 0 and below 1", "0.99 averages about the last 100 outputs")


class StopRule(Protocol):
    """Decides without the truth when an image is done, and keeps it."""

    def start(self, problem: Problem, iteration: Iteration) -> "Watch":
        """Begin to watch a method at work on ``problem``."""
        ...


class Watch(Protocol):
    """A stop rule at work. It updates on the device in every step and is read now and then."""

    done: Tensor
    kept: Tensor

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        """Take in step ``index``, counted from 1: the raw image, and the one that is the answer so far."""
        ...

    def due(self, index: int, read: bool) -> bool:
        """Whether to ask for the reason after step ``index``; ``read`` says that values are read from the device anyway."""
        ...

    def reason(self) -> str | None:
        """Why to stop, once all members of the batch are done; else None."""
        ...


@dataclass(frozen=True)
class Residual:
    """The discrepancy principle: stop as soon as the residual of the raw image, root mean square, is no larger than σ.

    Attributes:
        sigma: standard deviation of the noise in y, in image units. Clipped noise is weaker: 24.42/255 for 25/255.

    Raises:
        BadValue: sigma is not positive.
    """

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma < float("inf"):
            raise BadValue(f"sigma = {self.sigma}", "a positive standard deviation", "without noise, stop by steps")

    def start(self, problem: Problem, iteration: Iteration) -> "ResidualWatch":
        return ResidualWatch(self.sigma, problem)


class ResidualWatch:
    """The discrepancy principle at work."""

    def __init__(self, sigma: float, problem: Problem) -> None:
        self._problem, self._sigma = problem, sigma
        self.done = torch.zeros(len(problem.y), dtype=torch.bool, device=problem.y.device)
        self.kept = problem.y.new_zeros(len(problem.y), *problem.operator.in_shape)
        self._at = torch.zeros(len(problem.y), dtype=torch.int64, device=problem.y.device)

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        with torch.no_grad():
            new = (self._problem.residual(image) <= self._sigma) & ~self.done
        self.kept = torch.where(new.view(-1, *[1] * (answer.ndim - 1)), answer, self.kept)
        self._at = torch.where(new, index, self._at)
        self.done = self.done | new

    def due(self, index: int, read: bool) -> bool:
        return read

    def reason(self) -> str | None:
        if not bool(self.done.all()):
            return None
        return f"the residual fell to σ = {self._sigma:.4g} at step {', '.join(map(str, self._at.tolist()))}"


@dataclass(frozen=True)
class Tolerance:
    """Stop a convex method once it is near its minimum: by the relative primal-dual gap, or by how little a step moves.

    With neither given, a gap of 1e-4 where the method can compute one (PrimalDual on Identity), else a change of 2e-6. Each
    member of a batch is kept as it is when it gets there.

    Attributes:
        gap: (primal - dual objective) / primal objective, at most this.
        change: ‖x_k - x_(k-1)‖ / ‖x_k‖, at most this.

    Raises:
        BadValue: both are given, or one is not positive.
        BadType: on start, the method has no such measure.
    """

    gap: float | None = None
    change: float | None = None

    def __post_init__(self) -> None:
        given = [bound for bound in (self.gap, self.change) if bound is not None]
        if len(given) > 1 or any(not 0 < bound < float("inf") for bound in given):
            raise BadValue(f"{self}", "one positive bound", "write Tolerance(gap=1e-4) or Tolerance(change=1e-5)")

    def start(self, problem: Problem, iteration: Iteration) -> "ToleranceWatch":
        if not isinstance(iteration, Measured):
            raise BadType(
                f"Tolerance on {type(iteration).__name__}", "PrimalDual or ConjugateGradient", "stop Descent by steps"
            )
        if self.gap is not None and not iteration.has_gap:
            raise BadType(
                f"Tolerance(gap={self.gap}) where no gap can be computed",
                "PrimalDual on Identity",
                "use Tolerance(change=1e-5)",
            )
        by_gap = iteration.has_gap if self.change is None else False
        bound = self.gap or self.change or (1e-4 if by_gap else 2e-6)
        return ToleranceWatch(problem, iteration, by_gap, bound)


@runtime_checkable
class Measured(Protocol):
    """An iteration that knows how near its minimum it is; with ``has_gap`` it has ``gap() -> Tensor`` of shape (N,) too."""

    has_gap: bool

    def change(self) -> Tensor:
        """Relative change in the last step (N,)."""
        ...


class ToleranceWatch:
    """A tolerance at work. A gap costs as much as two steps, so it is measured when it may have fallen enough, no sooner."""

    def __init__(self, problem: Problem, iteration: Any, by_gap: bool, bound: float) -> None:
        self._iteration, self._by_gap, self._bound = iteration, by_gap, bound
        self.done = torch.zeros(len(problem.y), dtype=torch.bool, device=problem.y.device)
        self.kept = problem.y.new_zeros(len(problem.y), *problem.operator.in_shape)
        self._reached = problem.y.new_zeros(len(problem.y))
        self._index, self._image, self._next = 0, self.kept, _LOOK

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        self._index, self._image = index, image

    def due(self, index: int, read: bool) -> bool:
        return index >= self._next

    def reason(self) -> str | None:
        measured = self._iteration.gap() if self._by_gap else self._iteration.change()
        new = (measured <= self._bound) & ~self.done
        self.kept = torch.where(new.view(-1, *[1] * (self.kept.ndim - 1)), self._image, self.kept)
        self._reached = torch.where(new, measured, self._reached)
        self.done = self.done | new
        if not bool(self.done.all()):
            self._next = self._index + self._steps_to_go(float(torch.where(self.done, 0, measured).max()))
            return None
        name = "primal-dual gap" if self._by_gap else "relative change"
        return f"the {name} fell to {float(self._reached.max()):.1e} at step {self._index}"

    def _steps_to_go(self, measured: float) -> int:
        """When to look again: the gap falls about as 1 / k², and hardly faster than 1 / k³."""
        if not self._by_gap:
            return _LOOK
        return min(max(round(self._index * ((measured / self._bound) ** (1 / 3) - 1)), 2), _LONGEST)


Monitor = Average | StopRule | Callback


class Trace:
    """The curves of a solve, kept on the device: objective, and PSNR where the truth is known, of shape (steps, N)."""

    def __init__(self, problem: Problem, steps: int, averages: bool) -> None:
        names = ["objective"]
        if problem.truth is not None:
            names += ["psnr", "psnr_average"] if averages else ["psnr"]
        self._truth = problem.truth
        self._curves = {name: problem.y.new_full((steps, len(problem.y)), float("nan")) for name in names}

    def record(self, index: int, objective: Tensor | None, image: Tensor, average: Tensor | None) -> None:
        """Take in step ``index``, counted from 1. What was not measured stays NaN."""
        if objective is not None:
            self._curves["objective"][index - 1] = objective
        if self._truth is not None:
            self._curves["psnr"][index - 1] = psnr(image, self._truth)
            if average is not None:
                self._curves["psnr_average"][index - 1] = psnr(average, self._truth)

    def window(self, start: int, stop: int) -> dict[str, Tensor]:
        """Entries ``start`` to ``stop`` of every curve, on the CPU."""
        return {name: curve[start:stop].cpu().clone() for name, curve in self._curves.items()}


def progress_bar(steps: int, shown: bool) -> Any:
    """A tqdm bar for a terminal or a notebook, or a silent one; into a file it writes a line every half minute at most."""
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(total=steps, disable=not shown, unit="step", dynamic_ncols=True, mininterval=0.1 if watched else 30)
