"""The best step by the ground truth: a yardstick for stopping rules."""

from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import BadValue
from dipops.problem import Problem
from dipops.stopping.interface import Observe, StopRule


class Oracle(Observe):
    """Observes which answer comes nearest to the ground truth, for tables that say how far behind it a rule stops.

    Raises:
        BadValue: on start, the ground truth is not known.
    """

    def __init__(self) -> None:
        super().__init__(_Nearest())

    def __repr__(self) -> str:
        return "Oracle()"


class _Nearest(StopRule):
    """Keeps the answer of least squared error."""

    state = (*StopRule.state, "least")

    def start(self, problem: Problem, lag: int = 0) -> None:
        super().start(problem, lag)
        if problem.truth is None:
            raise BadValue("Oracle() on a problem without its ground truth", "a problem with truth", "leave the oracle out")
        self._truth = problem.truth
        self.least = problem.y.new_full((len(problem.y),), float("inf"))

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        error = power(answer - self._truth)
        nearer = error < self.least
        self.least = error.where(nearer, self.least)
        self.keep(nearer, index, answer)
