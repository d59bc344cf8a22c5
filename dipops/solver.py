"""The one loop: solve a problem with a prior by a method."""

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, Diverged
from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.default import default_method
from dipops.methods.interface import Iteration, Method
from dipops.methods.primal_dual import PrimalDual
from dipops.monitor import Average, Callback, Monitor, Step, StopRule, Tolerance, Trace, Watch, progress_bar
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.seeds import stream


@dataclass(frozen=True)
class Result:
    """What a solve gives.

    Attributes:
        image: the answer, (N, *in_shape); which one it is, ``answer`` says.
        answer: "stopped" for what a stop rule kept, "average" for the exponential average, "last" for the last output; of a
            batch where the rule stopped some members only, it says how many.
        last: the last output.
        average: the exponential average at the end, or None where there was none.
        trace: curves of shape (steps, N): "objective" (NaN in steps where a method did not compute it), and with a known
            truth "psnr" of the output and "psnr_average".
        steps: how many steps were made.
        stopped: why the solve ended.
        seconds: how long it took.
        seed: where it started from; member k of the batch from seed + k.
    """

    image: Tensor = field(repr=False)
    answer: str
    last: Tensor = field(repr=False)
    average: Tensor | None = field(repr=False)
    trace: dict[str, Tensor] = field(repr=False)
    steps: int
    stopped: str
    seconds: float
    seed: int


def solve(
    problem: Problem,
    prior: Prior,
    method: Method | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    monitors: Sequence[Monitor] = (),
    progress: bool = True,
) -> Result:
    """Minimise ½ ‖A(g(θ)) - y‖² + R(g(θ)) over θ, each image of a batch by itself.

    The same seed, threads and PyTorch give the same bits on a CPU. Global random state is neither used nor changed.

    Args:
        problem: operator and measurement.
        prior: g and R; it is left as it was.
        method: how θ moves; by default PrimalDual for TotalVariation and ConjugateGradient for Tikhonov where the operator is
            linear, else Descent with Adam at 0.01.
        steps: how many at most; by default the method's own number.
        seed: of everything random; member k of a batch gets seed + k.
        monitors: an Average, stop rules, and functions that take a Step now and then and return None or the reason to
            stop. Generator priors average with decay 0.99 unless an Average is given.
        progress: whether to show a bar.

    Raises:
        BadType: an argument is of another kind.
        BadValue: steps is not positive, or prior and problem do not fit.
        Diverged: the objective is no longer finite.
    """
    _require_solvable(problem, prior, method, steps)
    started = deepcopy(prior)
    started.start(problem, [seed + k for k in range(len(problem.y))])
    run = _Run(problem, started, method or default_method(problem, prior), steps, seed, monitors)
    return run.complete(progress)


class _Run:
    """One solve under way."""

    def __init__(
        self, problem: Problem, prior: Prior, method: Method, steps: int | None, seed: int, monitors: Sequence[Monitor]
    ) -> None:
        self.started = time.perf_counter()
        self.steps, self.seed, self.every = steps or method.steps, seed, method.every
        members = range(len(problem.y))
        generators = [stream(seed + k, "perturbation", problem.y.device) for k in members]
        self.iteration = method.start(problem, prior, generators)
        self.decay, self.watches, self.callbacks = _sorted(monitors, prior.average_decay, problem, self.iteration)
        if isinstance(method, PrimalDual | ConjugateGradient) and not self.watches:
            self.watches.append(Tolerance().start(problem, self.iteration))
        self.trace = Trace(problem, self.steps, self.decay is not None)
        self.last: Tensor = problem.y
        self.average: Tensor | None = None

    def complete(self, progress: bool) -> Result:
        index, stopped = 0, None
        with progress_bar(self.steps, progress) as bar:
            while not stopped and index < self.steps:
                index += 1
                read = index % self.every == 0 or index == self.steps
                self._step(index, read)
                bar.update()
                stopped = (self._speak(index, bar) if read else None) or self._reason(index, read)
        return self._result(index, stopped)

    def _step(self, index: int, measure: bool) -> None:
        self.last, objective = self.iteration.step(measure)
        if self.decay is not None:
            self.average = self.last.clone() if self.average is None else self.average.lerp_(self.last, 1 - self.decay)
        self.trace.record(index, objective, self.last, self.average)
        for watch in self.watches:
            watch.update(index, self.last, self._answer)

    @property
    def _answer(self) -> Tensor:
        return self.last if self.average is None else self.average

    def _speak(self, index: int, bar: object) -> str | None:
        """The moment when values are read from the device: faults, progress and callbacks."""
        start = (index - 1) // self.every * self.every
        curves = self.trace.window(start, index)
        if not curves["objective"][-1].isfinite().all():
            first = start + int((~curves["objective"].isfinite()).any(1).nonzero()[0]) + 1
            raise Diverged(f"an objective that is not finite at step {first}", "finite values", "lower the learning rate")
        score = curves.get("psnr_average", curves.get("psnr"))
        step = Step(
            index=index,
            steps=self.steps,
            image=self.last.clone(),
            average=None if self.average is None else self.average.clone(),
            objective=curves["objective"][-1],
            psnr=None if score is None else score[-1],
            seconds=time.perf_counter() - self.started,
        )
        shown = {"objective": f"{float(step.objective.mean()):.4g}"}
        if step.psnr is not None:
            shown["PSNR"] = f"{float(step.psnr.mean()):.2f} dB"
        bar.set_postfix(shown, refresh=False)  # pyright: ignore[reportAttributeAccessIssue]
        reasons = [callback(step) for callback in self.callbacks]
        return next((reason for reason in reasons if reason), None)

    def _reason(self, index: int, read: bool) -> str | None:
        """Why a stop rule that is due ends the solve."""
        reasons = [watch.reason() for watch in self.watches if watch.due(index, read)]
        return next((reason for reason in reasons if reason), None)

    def _result(self, index: int, stopped: str | None) -> Result:
        image, answer = self._answer, "last" if self.average is None else "average"
        for watch in self.watches:
            if bool(watch.done.any()):
                image = torch.where(watch.done.view(-1, *[1] * (image.ndim - 1)), watch.kept, image)
                done, members = int(watch.done.sum()), len(watch.done)
                answer = "stopped" if done == members else f"stopped for {done} of {members}, else {answer}"
                break
        return Result(
            image=image,
            answer=answer,
            last=self.last,
            average=self.average,
            trace=self.trace.window(0, index),
            steps=index,
            stopped=stopped or f"all {self.steps} steps are done",
            seconds=time.perf_counter() - self.started,
            seed=self.seed,
        )


def _sorted(
    monitors: Sequence[Monitor], decay: float | None, problem: Problem, iteration: Iteration
) -> tuple[float | None, list[Watch], list[Callback]]:
    watches: list[Watch] = []
    callbacks: list[Callback] = []
    if not isinstance(monitors, Sequence):
        raise BadType(f"monitors = {monitors!r}", "a sequence", "write monitors=(Average(0.99),)")
    for monitor in monitors:
        if isinstance(monitor, type):
            raise BadType(f"the class {monitor.__name__} as a monitor", "an instance", f"write {monitor.__name__}(...)")
        if isinstance(monitor, Average):
            decay = monitor.decay
        elif callable(monitor):
            callbacks.append(monitor)
        elif hasattr(monitor, "start"):
            rule: StopRule = monitor
            watches.append(rule.start(problem, iteration))
        else:
            raise BadType(f"a monitor that is a {type(monitor).__name__}", "Average, a stop rule or a function", "see monitor")
    return decay, watches, callbacks


def _require_solvable(problem: Problem, prior: Prior, method: Method | None, steps: int | None) -> None:
    if not isinstance(problem, Problem):
        raise BadType(f"a {type(problem).__name__} for a problem", "Problem(operator, y)", "or Problem.simulate(operator, x)")
    if not isinstance(prior, Prior):
        raise BadType(f"a {type(prior).__name__} for a prior", "one such as DeepImagePrior()", "make an instance of the class")
    if method is not None and (isinstance(method, type) or not hasattr(method, "start")):
        raise BadType(
            f"{method!r} for a method", "one such as Descent()", "wrap an optimiser: Descent(partial(torch.optim.SGD, lr=1))"
        )
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise BadValue(f"steps = {steps}", "a positive integer", "leave it out for the method's own number")
