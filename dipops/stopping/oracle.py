"""The best step by the ground truth: a yardstick for stopping rules."""

from dataclasses import dataclass

from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import BadValue
from dipops.problem import Problem
from dipops.stopping.averages import Mean
from dipops.stopping.interface import StopRule


@dataclass
class Oracle(StopRule):
    """Keeps the answer that comes nearest to the ground truth, for tables that say how far behind it a rule stops.

    It is always observed: it never ends a solve nor chooses its answer.

    Raises:
        BadValue: on start, the ground truth is not known.
    """

    state = (*StopRule.state, "least")

    def start(self, problem: Problem, mean: Mean | None = None) -> None:
        super().start(problem, mean)
        if problem.truth is None:
            raise BadValue("Oracle() on a problem without its ground truth", "a problem with truth", "leave the oracle out")
        self._truth = problem.truth
        self.least = problem.y.new_full((len(problem.y),), float("inf"))

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        error = power(answer - self._truth)
        nearer = error < self.least
        self.least = error.where(nearer, self.least)
        self.keep(nearer, index, answer)
