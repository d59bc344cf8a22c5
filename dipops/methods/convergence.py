"""The stop of the convex methods, near their minimum."""

from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor

from dipops.problem import Problem
from dipops.stopping import Mean, StopRule

GAP = ERROR = 1e-4
_FIRST_CHECK = 10
_LONGEST_WAIT = 100


class Convergence(StopRule):
    """Stops each member of a batch where a measure of its distance to the minimum falls to a tolerance.

    Args:
        measure: gives the measure of each member (N,).
        tolerance: the value at which, or below, the measure ends the solve.
        name: of the measure, for the reason.
        costly: whether the measure costs as much as two steps, as a gap does. The next check is then scheduled from its rate
            of decay: a gap falls about as 1 / k² over the steps, and hardly faster than 1 / k³.
    """

    state = (*StopRule.state, "_reached", "_index", "_next")

    def __init__(self, measure: Callable[[], Tensor], tolerance: float, name: str, costly: bool) -> None:
        self._measure, self._tolerance, self._name, self._costly = measure, tolerance, name, costly

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        self._reached = problem.y.new_zeros(len(problem.y))
        self._index, self._image, self._next = 0, self.image, _FIRST_CHECK

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        self._index, self._image = index, image

    def due(self, index: int, read: bool) -> bool:
        return index >= self._next

    def look(self) -> None:
        measured = self._measure()
        new = (measured <= self._tolerance) & ~self.done
        self.keep(new, self._index, self._image)
        self._reached = torch.where(new, measured, self._reached)
        self.end(new, self._index)
        if not bool(self.done.all()):
            self._next = self._index + self._steps_to_go(float(torch.where(self.done, 0, measured).max()))

    def reason(self) -> str:
        return f"the {self._name} is {float(self._reached.max()):.1e}"

    def _steps_to_go(self, measured: float) -> int:
        if not self._costly:
            return _FIRST_CHECK
        if not isfinite(measured):
            return _LONGEST_WAIT
        return min(max(round(self._index * ((measured / self._tolerance) ** (1 / 3) - 1)), 2), _LONGEST_WAIT)
