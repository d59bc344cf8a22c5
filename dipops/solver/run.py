"""One solve under way: its state, its steps, and when it ends."""

import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from dipops._tools.seeds import stream
from dipops.errors import BadValue, Diverged, safe_repr
from dipops.methods import Method, Slowing
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.solver.divergence import LOOK_BACK, MOST_FAILURES, SLOWER, DivergenceGuard, Health
from dipops.solver.result import Status
from dipops.solver.trace import Trace
from dipops.stopping import Observe, Oracle, Step, StopRule

Ending = tuple[Status, str]
"""Why a solve ends, and the same in words."""


class Run:
    """One solve under way, which saves and loads its state.

    Attributes:
        problem: all of it, whatever is fitted.
        steps: number of steps at most.
        iteration: the method at work.
        mean: the average of its outputs, or None.
        rules: the stopping rules that decide.
        observed: the stopping rules that are only followed.
        guard: judges whether it diverges, where the steps can be made smaller.
        trace: its curves.
        index: number of steps done.
        last: the last output.
        ending: why the solve has ended, or None.
    """

    def __init__(
        self, problem: Problem, prior: Prior, method: Method, steps: int, seed: int, rules: Sequence[StopRule | Observe]
    ) -> None:
        self.problem, self.steps, self.every = problem, steps, method.every
        self.rules, self.observed = _copies(rules, problem)
        fitted = problem
        for rule in self.rules:
            fitted = rule.fitted(fitted)
        generators = [stream(seed + k, "perturbation", problem.y.device) for k in range(len(problem.y))]
        self.iteration = method.start(fitted, prior, generators)
        if not self.rules and self.iteration.convergence is not None:
            self.rules = [self.iteration.convergence]
        self.mean = self.iteration.mean
        if self.mean:
            self.mean.start(steps)
        for rule in (*self.rules, *self.observed):
            rule.start(problem, self.mean)
        self.guard = DivergenceGuard(self.iteration.reference_level) if isinstance(self.iteration, Slowing) else None
        self.trace = Trace(problem, steps, self.mean is not None)
        self.index, self.last = 0, problem.y
        self.ending: Ending | None = None
        self._started = time.perf_counter()

    @property
    def average(self) -> Tensor | None:
        """The average of the outputs, where there is one."""
        return self.mean.average if self.mean else None

    @property
    def answer(self) -> Tensor:
        """The average, or else the last output."""
        return self.last if self.average is None else self.average

    @property
    def seconds(self) -> float:
        """Duration so far."""
        return time.perf_counter() - self._started

    def step(self) -> bool:
        """Make one step; returns whether values are read from the device after it."""
        self.index += 1
        read = self.index % self.every == 0 or self.index == self.steps
        self.last, objective = self.iteration.step(read)
        if self.mean:
            self.mean.update(self.last)
        self.trace.record(self.index, objective, self.last, self.average)
        with torch.no_grad():
            for rule in (*self.rules, *self.observed):
                rule.update(self.index, self.last, self.answer)
        return read

    def health(self) -> Health:
        """Whether the solve converges, by the objectives of the last steps."""
        objectives = self.trace.window(self.index - max(LOOK_BACK, self.every), self.index)["objective"]
        if self.guard:
            return self.guard.judge(objectives, self.index, last=self.index == self.steps)
        if not objectives[-1].isfinite().all():
            came = f"an objective that is not finite at step {self.index}"
            raise Diverged(came, "finite values", "scale y to values near 1")
        return Health.OK

    def slow_down(self) -> None:
        """Halve the learning rate."""
        assert isinstance(self.iteration, Slowing)
        self.iteration.slow_down(SLOWER)

    @property
    def gives_up(self) -> bool:
        """Whether lower learning rates have not helped."""
        return self.guard is not None and self.guard.failures >= MOST_FAILURES

    def end_rolled_back(self, diverged_at: int) -> None:
        """End the solve at the step to which it went back, or at its first one, whose image no rate has moved yet."""
        if self.index == 0:
            self._require_finite(diverged_at)
            self.step()
        fault = f"not finite, or 5 dB above its lowest, before step {diverged_at}"
        words = f"the objective was {fault}, {MOST_FAILURES} times at ever lower rates: back at step {self.index}"
        self.ending = Status.ROLLED_BACK, words

    def report(self) -> Step:
        """What callbacks are given after a step."""
        curves = self.trace.window(self.index - 1, self.index)
        score = curves.get("psnr_average", curves.get("psnr"))
        return Step(
            index=self.index,
            steps=self.steps,
            image=self.last.clone(),
            average=None if self.average is None else self.average.clone(),
            objective=curves["objective"][-1],
            psnr=None if score is None else score[-1],
            seconds=self.seconds,
        )

    @torch.no_grad()
    def decision(self, read: bool) -> Ending | None:
        """Whether the rules end the solve, once each member of the batch is done by one of them."""
        for rule in self.observed:
            if rule.due(self.index, read):
                rule.look()
        due = [rule for rule in self.rules if rule.due(self.index, read)]
        for rule in due:
            rule.look()
        if not due or not bool(torch.stack([rule.done for rule in self.rules]).any(0).all()):
            return None
        reasons = "; ".join(rule.reason() for rule in self.rules if bool(rule.done.any()))
        if self.rules[0] is self.iteration.convergence:
            return Status.CONVERGED, f"converged after {self.index} steps: {reasons}"
        return Status.STOPPED, f"stopped at step {self.index}: {reasons}"

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the solve depends on."""
        return {
            "index": self.index,
            "seconds": self.seconds,
            "last": self.last,
            "iteration": self.iteration.state_dict(),
            "mean": self.mean.state_dict() if self.mean else {},
            "rules": [rule.state_dict() for rule in (*self.rules, *self.observed)],
            "guard": self.guard.state_dict() if self.guard else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Return to where a state was taken, all but the guard; the state stays as it is."""
        state = deepcopy(state)
        self.index, self.last = state["index"], state["last"]
        self.iteration.load_state_dict(state["iteration"])
        if self.mean:
            self.mean.load_state_dict(state["mean"])
        for rule, of_rule in zip((*self.rules, *self.observed), state["rules"], strict=True):
            rule.load_state_dict(of_rule)

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a saved state, which holds the trace too."""
        self.load_state_dict(state)
        self.trace.load(state["trace"])
        if self.guard:
            self.guard.load_state_dict(state["guard"])
        self._started -= state["seconds"]

    def _require_finite(self, index: int) -> None:
        """Raise Diverged unless every objective up to a step was finite."""
        finite = self.trace.window(0, index)["objective"].isfinite().all(1)
        if not finite.all():
            first = int((~finite).nonzero()[0]) + 1
            raise Diverged(f"an objective that is not finite at step {first}", "finite values", "lower the learning rate")


def _copies(rules: Sequence[StopRule | Observe], problem: Problem) -> tuple[list[StopRule], list[StopRule]]:
    """Copies of the rules that decide, and of those that are observed."""
    observed = [rule.rule if isinstance(rule, Observe) else rule for rule in rules if isinstance(rule, Observe | Oracle)]
    for rule in observed:
        if rule.fitted(problem) is not problem:
            raise BadValue(
                f"Observe({safe_repr(rule)})", "a rule that leaves all measurements to the fit", "solve with it by itself"
            )
    deciding = [rule for rule in rules if isinstance(rule, StopRule) and not isinstance(rule, Oracle)]
    return deepcopy(deciding), deepcopy(observed)
