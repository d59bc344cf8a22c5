"""Descent along the gradient by any optimiser of PyTorch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from dipops._tools.precision import Precision, fastest_precision
from dipops.errors import BadType, BadValue, require_choice, require_number, safe_repr
from dipops.methods.interface import require_steps
from dipops.methods.recording import RecordedStep, prepare, rates_as_numbers
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.stopping import ExponentialMean, Mean, StopRule

MakeOptimizer = Callable[[Iterable[Parameter]], Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]
ChosenPrecision = Literal["auto", "full", "mixed"]

_COUPLING = tuple(getattr(torch.optim, name) for name in ("LBFGS", "Adafactor", "Muon") if hasattr(torch.optim, name))
ADAM = partial(torch.optim.Adam, lr=0.01, fused=True)


@dataclass(frozen=True)
class Descent:
    """Gradient descent on θ, for any operator and prior.

    With a prior on pixels that has a box it is projected gradient descent: at the start and after each step the pixels are
    set to the nearest ones in the box.

    Attributes:
        optimizer: makes the optimiser from the parameters, such as ``partial(torch.optim.Adam, lr=0.01)``, the default.
            The networks of a batch are grouped along the first dimension of each parameter. An optimiser that couples the
            entries of a parameter, as Muon does, has a group option ``members``, which is set to their number.
        schedule: makes a learning-rate schedule from the optimiser, stepped once a step; None keeps the rate.
        average: decay of the exponential average of the outputs that is the answer, at least 0 and below 1; 0 for the last
            output, None for what suits the prior: 0.99, the paper's, for generators.
        warm_up: whether the average forgets its first outputs sooner, see :class:`dipops.stopping.ExponentialMean`; the paper's
            does not.
        steps: number of steps where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.
        precision: of the networks in the prior, if there are any. "full" computes in the precision of the problem, "mixed"
            the convolutions in bfloat16, and their weights, the normalisation, the output and the data term in float32: about
            twice as fast on processors that have bfloat16 and several times slower on others, single pixels differ. "auto"
            takes what is fastest; ``Result.precision`` says which.
        fit_operator: fit the operator's parameters that require gradients too, by the same optimiser; ``Result.operator`` is
            a copy with their values after the last step. Choose units in which a step of the learning rate is small. By
            default they stay as they are.
        capture: on CUDA, record a step as a graph and replay it where every step is the same, which is up to several times
            as fast; ``Result.precision`` says whether, and why not. Changed attributes of prior, operator and optimiser are
            noticed, but not what else a step of yours depends on from some step on, such as a clock or a global variable, nor
            kernels that PyTorch does not know. Other devices ignore it.

    Raises:
        BadValue: steps or every is not positive, or the average not in [0, 1).
    """

    optimizer: MakeOptimizer = ADAM
    schedule: MakeSchedule | None = None
    average: float | None = None
    warm_up: bool = True
    steps: int = 2000
    every: int = 25
    precision: ChosenPrecision = "auto"
    fit_operator: bool = False
    capture: bool = True

    def __post_init__(self) -> None:
        require_steps(self)
        require_choice("precision", self.precision, ChosenPrecision)
        if self.average is not None:
            wanted = ("at least 0 and below 1", "0.99 averages about the last 100 outputs")
            require_number("average", self.average, lambda decay: 0 <= decay < 1, *wanted)

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> "DescentIteration":
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadValue: an optimiser that couples parameters, such as L-BFGS or Adafactor, for a batch; a box for a generator or
                for L-BFGS; mixed precision for a problem that is not in float32; ``fit_operator`` for a batch or an operator
                without parameters.
            BadType: a schedule that needs more than the number of the step.
        """
        decay = (prior.average_decay or 0.0) if self.average is None else self.average
        return DescentIteration(self, problem, prior, generators, ExponentialMean(decay, self.warm_up) if decay else None)


class DescentIteration:
    """Descent at work: the image it yields is the one whose objective and gradient the step was taken from."""

    convergence: StopRule | None = None
    reference_level = 0.0

    def __init__(
        self, method: Descent, problem: Problem, prior: Prior, generators: Sequence[torch.Generator], mean: Mean | None
    ) -> None:
        if prior.box and not prior.on_pixels:
            raise BadValue(f"Descent with {safe_repr(prior)}", "a box for pixels alone", "leave the box out")
        self._problem, self._prior, self._generators, self.mean = problem, prior, generators, mean
        self._of_operator = _fitted_parameters(problem) if method.fit_operator else {}
        self._parameters = [*(p for p in prior.parameters() if p.requires_grad), *self._of_operator.values()]
        self.optimizer = method.optimizer(self._parameters)
        self._searches = isinstance(self.optimizer, LBFGS)
        self._recorded = self._recording(method)
        self.schedule = method.schedule(self.optimizer) if method.schedule else None
        if isinstance(self.schedule, ReduceLROnPlateau):
            raise BadType("ReduceLROnPlateau, which needs a metric", "a schedule of steps alone", "use CosineAnnealingLR, say")
        for group in self.optimizer.param_groups:
            if "members" in group:
                group["members"] = len(problem.y)
        if prior.box:
            if self._searches:
                came = f"L-BFGS with {safe_repr(prior)}, whose line search does not know the box"
                raise BadValue(came, "PrimalDual, or Descent by another optimiser", "leave the optimizer out for Adam")
            prior.clamp_()
        if isinstance(self.optimizer, _COUPLING) and len(problem.y) > 1:
            came = f"{type(self.optimizer).__name__} on a batch of {len(problem.y)}"
            raise BadValue(came, "one image, because it couples the images of a batch", "solve them one by one")
        self._of_networks: Precision = self._chosen_precision(method)
        if self._of_networks == "mixed":
            _prepare_for_mixed_precision(prior, problem, relayout=not self._searches)
        self._image, self._objective = problem.y, problem.y
        self._done = 0

    @property
    def precision(self) -> str:
        """What the networks compute in, and on CUDA whether their steps are captured."""
        return f"{self._of_networks}, {self._recorded}" if self._problem.y.is_cuda else self._of_networks

    def _recording(self, method: Descent) -> RecordedStep:
        """The step, recorded on CUDA unless that is not asked for, or a line search reads values."""
        on_gpu = self._problem.y.is_cuda
        refusals = {"no CUDA": not on_gpu, "capture=False": not method.capture, "L-BFGS": self._searches}
        refusal = next((reason for reason, applies in refusals.items() if applies), None)
        self._rates_on_gpu = refusal is None and method.schedule is not None
        if refusal is None:
            prepare(self.optimizer, scheduled=method.schedule is not None)
        modules = (self._prior, self._problem.operator)
        return RecordedStep(self._move, self.optimizer, modules, self._generators, refusal)

    def _chosen_precision(self, method: Descent) -> Precision:
        """What the method asks for; full precision for pixels, and for line searches where nothing is asked."""
        if not _has_networks(self._prior):
            return "full"
        if method.precision != "auto":
            return method.precision
        return "full" if self._searches else fastest_precision(self._problem.y)

    def step(self, measure: bool) -> tuple[Tensor, Tensor]:
        """One step, whose objective costs nothing."""
        self._prior.set_step(self._done)
        self._done += 1
        self._recorded()
        if self._recorded.refusal and self._rates_on_gpu:
            rates_as_numbers(self.optimizer, self.schedule)
        if self.schedule is not None:
            self.schedule.step()
        if self._recorded.replays:
            return self._image.clone(), self._objective.clone()
        return self._image, self._objective

    def _move(self) -> None:
        """The part of a step that is on the device, the same in each one."""
        self._prior.resample_noise(self._generators)
        self.optimizer.step(self._closure)
        if self._prior.box:
            self._prior.clamp_()
        if self._searches:
            with torch.no_grad():
                self._evaluate()

    def slow_down(self, factor: float) -> None:
        """Multiply all learning rates by ``factor``, those of the schedule too."""
        self._recorded.forget()
        for group in self.optimizer.param_groups:
            for name in group:
                if name.endswith("lr"):  # schedules keep initial_lr, max_lr and min_lr here
                    group[name] = group[name] * factor
        if self.schedule is not None:
            _lower(self.schedule, factor)

    def state_dict(self) -> dict[str, Any]:
        """The states of prior, optimiser, schedule and generators, and the operator's parameters where they are fitted."""
        return {
            "done": self._done,
            "prior": self._prior.state_dict(),
            "operator": {name: parameter.detach() for name, parameter in self._of_operator.items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "generators": [generator.get_state() for generator in self._generators],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` gave."""
        self._recorded.forget()
        self._done = state["done"]
        self._prior.load_state_dict(state["prior"])
        with torch.no_grad():
            for name, parameter in self._of_operator.items():
                parameter.copy_(state["operator"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.set_state(saved.cpu())

    def _closure(self) -> float:
        self.optimizer.zero_grad()
        total = self._evaluate()
        total.backward(inputs=self._parameters)
        return total.detach()  # pyright: ignore[reportReturnType]  (torch takes the tensor, which is not read from the device)

    def _evaluate(self) -> Tensor:
        mixed = self._of_networks == "mixed"
        with torch.autocast(self._problem.y.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            image = self._prior()  # autocast's cache is shared by all threads
        image = image.to(self._problem.y.dtype)
        objective = self._problem.data_term(image) + self._prior.penalty(image)
        self._image, self._objective = image.detach(), objective.detach()
        return objective.sum()


def _has_networks(prior: Prior) -> bool:
    """Pixels without convolutions are not worth a second precision."""
    return any(isinstance(module, torch.nn.Conv2d) for module in prior.modules())


def _fitted_parameters(problem: Problem) -> dict[str, Parameter]:
    """The parameters of the operator that require gradients."""
    parameters = {name: p for name, p in problem.operator.named_parameters() if p.requires_grad}
    if not parameters:
        came = f"fit_operator for {safe_repr(problem.operator)}, which has nothing to fit"
        raise BadValue(came, "an nn.Parameter that requires gradients", "assign one in the operator, or leave fit_operator out")
    if len(problem.y) > 1:
        came = f"fit_operator for a batch of {len(problem.y)}"
        raise BadValue(came, "one image, because a batch shares its operator", "solve them one by one")
    return parameters


def _prepare_for_mixed_precision(prior: Prior, problem: Problem, relayout: bool) -> None:
    """Convert convolutions to the memory layout in which they are fastest; L-BFGS takes PyTorch's own only."""
    if problem.y.dtype is not torch.float32:
        raise BadValue(f"mixed precision for {problem.y.dtype}", "float32", 'write precision="full", or move the problem')
    for module in prior.modules():
        if relayout and isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _lower(schedule: LRScheduler, factor: float) -> None:
    """The rates from which a schedule, or a chain of them, derives its own."""
    for inner in getattr(schedule, "_schedulers", ()):
        _lower(inner, factor)
    for name in ("base_lrs", "max_lrs", "eta_min"):
        if hasattr(schedule, name):
            rates = getattr(schedule, name)
            setattr(schedule, name, [rate * factor for rate in rates] if isinstance(rates, list) else rates * factor)
