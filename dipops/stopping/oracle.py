"""Rules that are watched and not obeyed, so that one solve tells what each would have kept."""

from typing import Any

from torch import Tensor

from dipops._tools.batches import power
from dipops.errors import BadType, BadValue
from dipops.methods.interface import Iteration
from dipops.problem import Problem
from dipops.stopping.interface import StopRule, Watch


class Observed(StopRule):
    """A stop rule that looks on and never ends the solve, nor makes its answer.

    Of a batch, each member is watched by itself. The instance holds what its last solve kept.

    Args:
        rule: the rule.

    Raises:
        BadType: it is no stop rule.
        BadValue: on start, it is one that keeps measurements out of the fit, as HeldOut does.
    """

    def __init__(self, rule: StopRule) -> None:
        if not isinstance(rule, StopRule):
            raise BadType(f"Observed({rule!r})", "a stop rule", "write Observed(ExponentialVariance()), say")
        self.rule = rule
        self._watch: Watch | None = None

    @property
    def kept(self) -> Tensor:
        """The images that the rule kept (N, *in_shape), of steps ``at``.

        Raises:
            BadValue: there was no solve yet.
        """
        return self._watched().kept

    @property
    def at(self) -> Tensor:
        """The steps they are from (N,), 0 where the rule kept none."""
        return self._watched().at

    def start(self, problem: Problem, iteration: Iteration, lag: int = 0) -> Watch:
        if self.rule.fitted(problem) is not problem:
            raise BadValue(f"{self!r}", "a rule that leaves all to the fit", f"give {self.rule!r} a solve of its own")
        self._watch = self.watch(problem, iteration, lag)
        return _Onlooker(self._watch, problem)

    def watch(self, problem: Problem, iteration: Iteration, lag: int) -> Watch:
        """The watch that looks on."""
        return self.rule.start(problem, iteration, lag)

    def _watched(self) -> Watch:
        if self._watch is None:
            raise BadValue(f"{self!r} before a solve", "one that has watched a solve", "give it to solve as a monitor")
        return self._watch

    def __repr__(self) -> str:
        return f"Observed({self.rule!r})"


class Oracle(Observed):
    """Holds the answer that came nearest to the truth: for tables that say how far behind it a rule was.

    Raises:
        BadValue: on start, the truth is not known.
    """

    def __init__(self) -> None:
        super().__init__(StopRule())

    def watch(self, problem: Problem, iteration: Iteration, lag: int) -> Watch:
        return _Nearest(problem)

    def __repr__(self) -> str:
        return "Oracle()"


class _Onlooker(Watch):
    """Passes all on to another watch, and itself keeps and ends nothing."""

    def __init__(self, watch: Watch, problem: Problem) -> None:
        super().__init__(problem)
        self._watch = watch

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        self._watch.update(index, image, answer)

    def due(self, index: int, read: bool) -> bool:
        if self._watch.due(index, read):
            self._watch.look()
        return False

    def state_dict(self) -> dict[str, Any]:
        return self._watch.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._watch.load_state_dict(state)


class _Nearest(Watch):
    """Keeps the answer of least squared error."""

    state = (*Watch.state, "_least")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        if problem.truth is None:
            raise BadValue("Oracle() without a truth", "a problem whose truth is known", "leave it out")
        self._truth = problem.truth
        self._least = problem.y.new_full((len(problem.y),), float("inf"))

    def update(self, index: int, image: Tensor, answer: Tensor) -> None:
        error = power(answer - self._truth)
        nearer = error < self._least
        self._least = error.where(nearer, self._least)
        self.keep(nearer, index, answer)
