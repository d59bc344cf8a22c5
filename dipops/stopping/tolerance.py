"""A stop for convex methods, near their minimum."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, require_positive
from dipops.methods.interface import Iteration
from dipops.problem import Problem
from dipops.stopping.interface import StopRule, Watch

_LOOK = 10
_LONGEST = 100


@dataclass(frozen=True)
class Tolerance(StopRule):
    """Stop a convex method once it is near its minimum: by the relative primal-dual gap, or by how little a step moves.

    With neither given, a gap of 1e-4 where the method can compute one (PrimalDual on Identity), else a change of 2e-6. Each
    member of a batch is kept as it is when it gets there.

    Attributes:
        gap: (primal - dual objective) / primal objective, at most this.
        change: ‖x_k - x_(k-1)‖ / ‖x_k‖, at most this.

    Raises:
        BadValue: both are given, or one is not positive.
        BadType: it is no number; on start, the method has no such measure.
    """

    gap: float | None = None
    change: float | None = None

    def __post_init__(self) -> None:
        given = [bound for bound in (self.gap, self.change) if bound is not None]
        advice = "write Tolerance(gap=1e-4) or Tolerance(change=1e-5)"
        if len(given) > 1:
            raise BadValue(f"{self}", "one positive bound", advice)
        for bound in given:
            require_positive("bound", bound, "one positive bound", advice)

    def start(self, problem: Problem, iteration: Iteration, lag: int = 0) -> "ToleranceWatch":
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


class ToleranceWatch(Watch):
    """A tolerance at work. A gap costs as much as two steps, so it is measured when it may have fallen enough, no sooner."""

    state = (*Watch.state, "_reached", "_index", "_next")

    def __init__(self, problem: Problem, iteration: Any, by_gap: bool, bound: float) -> None:
        super().__init__(problem)
        self._iteration, self._by_gap, self._bound = iteration, by_gap, bound
        self._reached = problem.y.new_zeros(len(problem.y))
        self._index, self._image, self._next = 0, self.kept, _LOOK

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        self._index, self._image = index, image

    def due(self, index: int, read: bool) -> bool:
        return index >= self._next

    def look(self) -> None:
        measured = self._iteration.gap() if self._by_gap else self._iteration.change()
        new = (measured <= self._bound) & ~self.done
        self.keep(new, self._index, self._image)
        self._reached = torch.where(new, measured, self._reached)
        self.end(new, self._index)
        if not bool(self.done.all()):
            self._next = self._index + self._steps_to_go(float(torch.where(self.done, 0, measured).max()))

    def reason(self) -> str:
        name = "primal-dual gap" if self._by_gap else "relative change"
        return f"the {name} fell to {float(self._reached.max()):.1e} at step {self._index}"

    def _steps_to_go(self, measured: float) -> int:
        """When to look again: the gap falls about as 1 / k², and hardly faster than 1 / k³."""
        if not self._by_gap:
            return _LOOK
        return min(max(round(self._index * ((measured / self._bound) ** (1 / 3) - 1)), 2), _LONGEST)
