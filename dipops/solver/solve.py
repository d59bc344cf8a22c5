"""The one loop: solve a problem with a prior by a method."""

import time
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dipops._tools.allocator import reused_memory
from dipops._tools.batches import per_image
from dipops._tools.seeds import stream
from dipops.errors import BadFile, BadType, BadValue, Diverged, require_integer
from dipops.methods.default import default_method
from dipops.methods.interface import Method, Slowing
from dipops.methods.projection import consistency
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.solver.checkpoint import Checkpoint, fingerprint
from dipops.solver.divergence import LOOK_BACK, MOST_FAILURES, SLOWER, Faults, Health
from dipops.solver.result import Result
from dipops.solver.trace import Trace, progress_bar
from dipops.stopping.averages import Average
from dipops.stopping.interface import Averaging, Callback, Monitor, Step, StopRule, Watch
from dipops.stopping.oracle import Observed


def solve(
    problem: Problem,
    prior: Prior,
    method: Method | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    monitors: Sequence[Monitor] = (),
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Result:
    """Minimise ½ ‖A(g(θ)) - y‖² + R(g(θ)) over θ, each image of a batch by itself.

    The same seed, threads and PyTorch give the same bits on a CPU. Global random state is neither used nor changed.

    Where the objective of Descent or Langevin is not finite, or rises 5 dB above its lowest level and stays there, the solve
    goes back to where it was well, with all its state, and on from there at half the rate. After five such faults in a row it
    ends there, and says so. A fault of one member takes the whole batch back.

    Args:
        problem: operator and measurement.
        prior: g and R; it is left as it was.
        method: how θ moves; by default PrimalDual for TotalVariation and ConjugateGradient for Tikhonov where the operator is
            linear, else Descent with Adam at 0.01.
        steps: how many at most; by default the method's own number.
        seed: of everything random; member k of a batch gets seed + k.
        monitors: an Average, stop rules, and functions that take a Step now and then and return None or the reason to
            stop. Generator priors average with decay 0.99 unless an Average is given.
        checkpoint: a file in which the state is laid down now and then and at the end. Where it exists, the solve goes on from
            it and ends with the bits of one that was never interrupted (on a CPU with as many threads), a finished one
            after a few steps, and with a larger ``steps`` further on. It must be the same solve: operator, prior, method and
            monitors are told apart by their repr, their tensors, their plain public attributes and the code of functions.
        progress: whether to show a bar.

    Raises:
        BadType: an argument is of another kind.
        BadValue: steps is not positive, or prior and problem do not fit.
        BadFile: the checkpoint cannot be written, or is damaged or of another solve; it is then left as it was.
        Diverged: the objective was never finite.
    """
    require_solvable(problem, prior, method, steps)
    _require_seed_and_path(seed, checkpoint)
    started = deepcopy(prior)
    started.start(problem, [seed + k for k in range(len(problem.y))])
    method = method or default_method(problem, prior)
    run = _Run(problem, started, method, steps or method.steps, seed, monitors)
    with reused_memory(started):
        if checkpoint is None:
            return run.complete(progress)
        file = Checkpoint(Path(checkpoint), fingerprint(problem, started, prior, method, monitors, seed))
        return run.complete(progress, file)


class _Run:
    """One solve under way."""

    def __init__(
        self, problem: Problem, prior: Prior, method: Method, steps: int, seed: int, monitors: Sequence[Monitor]
    ) -> None:
        self.problem, self.steps, self.seed, self.every = problem, steps, seed, method.every
        averaging, rules, self.callbacks = _sorted(monitors, method, prior)
        generators = [stream(seed + k, "perturbation", problem.y.device) for k in range(len(problem.y))]
        fitted = problem
        for rule in rules:
            fitted = rule.fitted(fitted)
        self.iteration = method.start(fitted, prior, generators)
        self.mean = averaging.start(steps) if averaging else None
        lag = self.mean.lag if self.mean else 0
        self.watches = [rule.start(problem, self.iteration, lag) for rule in rules]
        self.faults = Faults(self.iteration.usual) if isinstance(self.iteration, Slowing) else None
        self.trace = Trace(problem, steps, averaging is not None)
        self.index, self.last = 0, problem.y
        self.stopped: str | None = None
        self.started = time.perf_counter()

    def complete(self, progress: bool, file: Checkpoint | None = None) -> Result:
        """Go to the end.

        Two states are held: ``well``, from which a whole stretch was seen to be well, and ``newest``, of which that is not
        known yet: the step that it was taken after may have spoilt it.
        """
        if file is not None and (state := file.load()) is not None:
            self._resume(state, file.path)
        keeps = self.faults is not None or file is not None
        well = newest = deepcopy(self._state()) if keeps else {}
        with progress_bar(self.steps, progress) as bar:
            while not self.stopped and self.index < self.steps:
                bar.update(self.index - bar.n)
                self.index += 1
                read = self.index % self.every == 0 or self.index == self.steps
                self._step(read)
                curves = self.trace.window(max(self.index - max(LOOK_BACK, self.every), 0), self.index) if read else {}
                health = self._health(curves["objective"]) if read else Health.DOUBTFUL
                if health is Health.FAULTY:
                    well = newest = self._gone_back(well)
                    continue
                self.stopped = (self._speak(bar, curves) if read else None) or self._reason(read)
                if health is Health.WELL and keeps:
                    well, newest = newest, deepcopy(self._state())
                    if file is not None and file.due:
                        self._save(file, well)
            bar.update(self.index - bar.n)
        if file is not None:
            self._save(file, well)
        return self._result()

    def _save(self, file: Checkpoint, state: dict[str, Any]) -> None:
        """Lay a state down; where that fails, as on a full disk, the solve is worth more than its checkpoint."""
        try:
            file.save(state | {"trace": self.trace.window(0, state["index"])})
        except BadFile as error:
            warnings.warn(f"the solve goes on without a new checkpoint: {error}", stacklevel=4)

    def _step(self, measure: bool) -> None:
        self.last, objective = self.iteration.step(measure)
        if self.mean:
            self.mean.update(self.last)
        self.trace.record(self.index, objective, self.last, self._average)
        for watch in self.watches:
            watch.update(self.index, self.last, self._answer)

    @property
    def _average(self) -> Tensor | None:
        return self.mean.average if self.mean else None

    @property
    def _answer(self) -> Tensor:
        return self.last if self._average is None else self._average

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self.started

    def _state(self) -> dict[str, Any]:
        """All that the rest of the solve depends on."""
        return {
            "index": self.index,
            "seconds": self._seconds,
            "last": self.last,
            "iteration": self.iteration.state_dict(),
            "mean": self.mean.state_dict() if self.mean else {},
            "watches": [watch.state_dict() for watch in self.watches],
            "faults": self.faults.state_dict() if self.faults else {},
        }

    def _load(self, state: dict[str, Any]) -> None:
        """Stand where a state was taken; the state stays as it is."""
        state = deepcopy(state)
        place = self.problem.y.device
        self.index, self.last = state["index"], state["last"].to(place)
        self.iteration.load_state_dict(state["iteration"])
        if self.mean:
            self.mean.load_state_dict(_on(place, state["mean"]))
        for watch, its in zip(self.watches, state["watches"], strict=True):
            watch.load_state_dict(_on(place, its))

    def _resume(self, state: dict[str, Any], path: Path) -> None:
        if not isinstance(state, dict) or not isinstance(state.get("index"), int):
            raise BadFile(f"{path} holds no state of a solve", "what solve writes", "delete it to begin anew")
        if state["index"] > self.steps:
            came = f"a checkpoint after {state['index']} steps for a solve of {self.steps}"
            raise BadValue(came, "no fewer steps than it has made", "raise steps, or name another checkpoint")
        try:
            self._load(state)
            self.trace.load(state["trace"])
            if self.faults:
                self.faults.load_state_dict(state["faults"])
            self.started -= state["seconds"]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise BadFile(f"{path} holds another state ({error!r})", "what solve writes", "delete it to begin anew") from error

    def _health(self, objectives: Tensor) -> Health:
        """How the solve stands, by the objectives (steps, N) of the last steps."""
        if self.faults:
            return self.faults.judge(objectives, self.index, last=self.index == self.steps)
        if not objectives[-1].isfinite().all():
            raise self._diverged()
        return Health.WELL

    def _gone_back(self, well: dict[str, Any]) -> dict[str, Any]:
        """Undo all since the solve was well, and go on at a lower rate, or give up; the state in which that leaves it."""
        assert self.faults
        assert isinstance(self.iteration, Slowing)
        gives_up = self.faults.failures >= MOST_FAILURES
        if gives_up and well["index"] == 0:
            raise self._diverged()
        fault = f"not finite, or 5 dB above its lowest, before step {self.index}"
        self._load(well)
        if gives_up:
            self.stopped = f"the objective was {fault}, {MOST_FAILURES} times at ever lower rates: back at step {self.index}"
        self.iteration.slow_down(SLOWER)
        return deepcopy(self._state())

    def _diverged(self) -> Diverged:
        finite = self.trace.window(0, self.index)["objective"].isfinite().all(1)
        if finite.all():
            came = f"an objective that rose 5 dB before step {self.index}, {MOST_FAILURES} times at ever lower rates"
            return Diverged(came, "one that falls", "lower the learning rate")
        first = int((~finite).nonzero()[0]) + 1
        return Diverged(f"an objective that is not finite at step {first}", "finite values", "lower the learning rate")

    def _speak(self, bar: Any, curves: dict[str, Tensor]) -> str | None:
        """Progress and callbacks, told the newest entries of the curves."""
        score = curves.get("psnr_average", curves.get("psnr"))
        step = Step(
            index=self.index,
            steps=self.steps,
            image=self.last.clone(),
            average=None if self._average is None else self._average.clone(),
            objective=curves["objective"][-1],
            psnr=None if score is None else score[-1],
            seconds=self._seconds,
        )
        shown = {"objective": f"{float(step.objective.mean()):.4g}"}
        if step.psnr is not None:
            shown["PSNR"] = f"{float(step.psnr.mean()):.2f} dB"
        bar.set_postfix(shown, refresh=False)
        reasons = [callback(step) for callback in self.callbacks]
        for reason in reasons:
            if reason is not None and not isinstance(reason, str):
                raise BadType(f"a callback that returned {reason!r}", "None, or the reason to stop", "end it with return None")
        return next((reason for reason in reasons if reason), None)

    def _reason(self, read: bool) -> str | None:
        """Why the stop rules end the solve, once each member of the batch is done by one of them."""
        due = [watch for watch in self.watches if watch.due(self.index, read)]
        for watch in due:
            watch.look()
        if not due or not bool(torch.stack([watch.done for watch in self.watches]).any(0).all()):
            return None
        return "; ".join(watch.reason() for watch in self.watches if bool(watch.done.any()))

    def _result(self) -> Result:
        at = torch.full((len(self._answer),), self.index, device=self._answer.device)
        image, at, kinds = _decided(self.watches, self._answer, at)
        own = "last" if self._average is None else "average"
        counts = {kind: kinds.count(kind) for kind in ("stopped", "kept") if kind in kinds}
        if sum(counts.values()) == len(kinds):
            answer = ", ".join(counts) if len(counts) == 1 else _of_members(counts, len(kinds))
        else:
            answer = f"{_of_members(counts, len(kinds))}, else {own}" if counts else own
        return Result(
            image=image,
            answer=answer,
            last=self.last,
            average=self._average,
            kept=image if self.watches else None,
            at=at.cpu(),
            spread=self.mean.spread if self.mean else None,
            consistency=consistency(self.problem.operator, image, self.problem.y).cpu(),
            trace=self.trace.window(0, self.index),
            steps=self.index,
            undone=self.faults.undone if self.faults else 0,
            stopped=self.stopped or f"all {self.steps} steps are done",
            ran=self.iteration.ran,
            seconds=self._seconds,
            seed=self.seed,
        )


def _of_members(counts: dict[str, int], members: int) -> str:
    return ", ".join(f"{kind} for {count} of {members}" for kind, count in counts.items())


def _decided(watches: Sequence[Watch], image: Tensor, at: Tensor) -> tuple[Tensor, Tensor, list[str]]:
    """Of each member the image of the rule that was done first, "stopped", or else of the first that holds one, "kept"."""
    undecided, nothing = torch.iinfo(torch.int64).max - 1, torch.iinfo(torch.int64).max
    first = torch.full_like(at, nothing)
    for watch in watches:
        when = torch.where(watch.done, watch.ended, torch.where(watch.at > 0, undecided, nothing))
        sooner = when < first
        image = torch.where(per_image(sooner, image), watch.kept, image)
        at, first = torch.where(sooner, watch.at, at), torch.where(sooner, when, first)
    return image, at, ["" if when == nothing else "kept" if when == undecided else "stopped" for when in first.tolist()]


def _on(place: torch.device, state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to(place) if isinstance(value, Tensor) else value for name, value in state.items()}


def _sorted(
    monitors: Sequence[Monitor], method: Method, prior: Prior
) -> tuple[Averaging | None, list[StopRule], list[Callback]]:
    """The average, the stop rules and the callbacks; where one of the first two is not given, what suits method and prior."""
    if not isinstance(monitors, Sequence):
        raise BadType(f"monitors = {monitors!r}", "a sequence", "write monitors=(Average(0.99),)")
    for monitor in monitors:
        if isinstance(monitor, type):
            raise BadType(f"the class {monitor.__name__} as a monitor", "an instance", f"write {monitor.__name__}(...)")
        if not isinstance(monitor, Averaging | StopRule) and not callable(monitor):
            raise BadType(f"a monitor that is a {type(monitor).__name__}", "Average, a stop rule or a function", "see monitor")
    given = [one for one in monitors if isinstance(one, Averaging)]
    if len(given) > 1:
        raise BadValue(f"the averages {given}", "one", "solve twice to compare them")
    averages = given or [one for one in method.monitors if isinstance(one, Averaging)]
    rules = [one for one in monitors if isinstance(one, StopRule)]
    if not averages and prior.average_decay is not None:
        averages = [Average(prior.average_decay)]
    callbacks = [one for one in monitors if not isinstance(one, Averaging | StopRule)]
    if all(isinstance(rule, Observed) for rule in rules):
        rules += [one for one in method.monitors if isinstance(one, StopRule)]
    return averages[0] if averages else None, rules, callbacks


def require_solvable(problem: Problem, prior: Prior, method: Method | None, steps: int | None) -> None:
    """Refuse arguments that nothing can be made of; raises as ``solve``."""
    if not isinstance(problem, Problem):
        raise BadType(f"a {type(problem).__name__} for a problem", "Problem(operator, y)", "or Problem.simulate(operator, x)")
    if not isinstance(prior, Prior):
        advice = "write recipe.solve(problem)" if hasattr(prior, "prior") else "make an instance of the class"
        raise BadType(f"a {type(prior).__name__} for a prior", "one such as DeepImagePrior()", advice)
    if method is not None and (isinstance(method, type) or not hasattr(method, "start")):
        raise BadType(
            f"{method!r} for a method", "one such as Descent()", "wrap an optimiser: Descent(partial(torch.optim.SGD, lr=1))"
        )
    if steps is not None:
        require_integer("steps", steps, 1, "leave it out for the method's own number")


def _require_seed_and_path(seed: int, checkpoint: str | Path | None) -> None:
    if not isinstance(seed, int):
        raise BadType(f"seed = {seed!r}", "an integer", "leave it out for 0")
    if checkpoint is not None and not isinstance(checkpoint, str | Path):
        raise BadType(f"checkpoint = {checkpoint!r}", "the path of a file", 'write checkpoint="run.pt"')
