"""Descent along the gradient by any optimiser of PyTorch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from dipops._tools.precision import Precision, fastest
from dipops.errors import BadType, BadValue
from dipops.methods.interface import require_steps
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.stopping.interface import Monitor

MakeOptimizer = Callable[[Iterable[Parameter]], Optimizer]
MakeSchedule = Callable[[Optimizer], LRScheduler]

_COUPLING = tuple(getattr(torch.optim, name) for name in ("LBFGS", "Adafactor", "Muon") if hasattr(torch.optim, name))
ADAM = partial(torch.optim.Adam, lr=0.01, fused=True)


@dataclass(frozen=True)
class Descent:
    """Gradient descent on θ, for any operator and prior.

    Attributes:
        optimizer: makes the optimiser from the parameters, such as ``partial(torch.optim.Adam, lr=0.01)``, the default.
            One that couples the entries of a parameter, as Muon does, is told how many networks lie side by side along its
            first dimension by its group option ``members``.
        schedule: makes a learning-rate schedule from the optimiser, stepped once a step; None keeps the rate.
        steps: how many steps ``solve`` makes where it is not told.
        every: how many steps lie between two moments when values are read from the device.
        precision: of the networks in the prior, if there are any; None takes what is fastest on the processor, and
            ``Result.ran`` says which.

    Raises:
        BadType: an argument is of another kind.
        BadValue: steps or every is not positive.
    """

    optimizer: MakeOptimizer = ADAM
    schedule: MakeSchedule | None = None
    steps: int = 2000
    every: int = 25
    precision: Precision | None = None

    def __post_init__(self) -> None:
        if not callable(self.optimizer):
            raise BadType(
                f"{self.optimizer!r} for an optimizer", "a function that makes one", "write partial(torch.optim.SGD, lr=1)"
            )
        if self.schedule is not None and not callable(self.schedule):
            raise BadType(
                f"{self.schedule!r} for a schedule", "a function that makes one", "write partial(CosineAnnealingLR, T_max=9)"
            )
        if self.precision is not None and not isinstance(self.precision, Precision):
            raise BadType(f"precision = {self.precision!r}", "a Precision", "write Precision.MIXED, say")
        require_steps(self)

    @property
    def monitors(self) -> Sequence[Monitor]:
        return ()

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> "DescentIteration":
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadValue: an optimiser that couples parameters, such as L-BFGS or Adafactor, for a batch; a prior with a box; mixed
                precision for a problem that is not in float32.
            BadType: a schedule that wants more than the number of the step, or an optimizer that is none.
        """
        return DescentIteration(self, problem, prior, generators)


class DescentIteration:
    """Descent at work: the image it yields is the one whose objective and gradient the step was taken from."""

    usual = 0.0

    def __init__(self, method: Descent, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> None:
        if prior.box:
            raise BadValue(f"Descent with {prior!r}", "no box, which it cannot hold", "use PrimalDual, or leave the box out")
        self._problem, self._prior, self._generators = problem, prior, generators
        self._parameters = [p for p in prior.parameters() if p.requires_grad]
        self.optimizer = method.optimizer(self._parameters)
        if not isinstance(self.optimizer, Optimizer):
            came = f"an optimizer that is a {type(self.optimizer).__name__}"
            raise BadType(came, "one of torch.optim", "write partial(torch.optim.SGD, lr=1)")
        self.schedule = method.schedule(self.optimizer) if method.schedule else None
        if isinstance(self.schedule, ReduceLROnPlateau):
            raise BadType("ReduceLROnPlateau, which wants a figure", "a schedule of steps alone", "use a cosine, say")
        for group in self.optimizer.param_groups:
            if "members" in group:
                group["members"] = len(problem.y)
        self._searches = isinstance(self.optimizer, LBFGS)
        if isinstance(self.optimizer, _COUPLING) and len(problem.y) > 1:
            came = f"{type(self.optimizer).__name__} on a batch of {len(problem.y)}"
            raise BadValue(came, "one image", "it couples them: solve them one by one")
        precision = (method.precision or fastest(problem.y)) if _has_networks(prior) else Precision.FULL
        self._mixed = precision is Precision.MIXED
        if self._mixed:
            _prepare_for_mixed_precision(prior, problem)
        self.ran = f"{precision.value} precision"
        self._image, self._objective = problem.y, problem.y

    def step(self, measure: bool) -> tuple[Tensor, Tensor]:
        self._prior.refresh(self._generators)
        self.optimizer.step(self._closure)
        if self._searches:
            with torch.no_grad():
                self._evaluate()
        if self.schedule is not None:
            self.schedule.step()
        return self._image, self._objective

    def slow_down(self, factor: float) -> None:
        for group in self.optimizer.param_groups:
            for name in group:
                if name.endswith("lr"):  # schedules keep initial_lr, max_lr and min_lr here
                    group[name] = group[name] * factor
        if self.schedule is not None:
            _lower(self.schedule, factor)

    def state_dict(self) -> dict[str, Any]:
        return {
            "prior": self._prior.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "generators": [generator.get_state() for generator in self._generators],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._prior.load_state_dict(state["prior"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        for generator, kept in zip(self._generators, state["generators"], strict=True):
            generator.set_state(kept)

    def _closure(self) -> float:
        self.optimizer.zero_grad()
        total = self._evaluate()
        total.backward(inputs=self._parameters)  # an operator's own parameters stay as they are
        return total  # pyright: ignore[reportReturnType]  (torch takes the tensor, which is not read from the device)

    def _evaluate(self) -> Tensor:
        with torch.autocast(self._problem.y.device.type, torch.bfloat16, enabled=self._mixed):
            image = self._prior()
        image = image.to(self._problem.y.dtype)
        objective = self._problem.misfit(image) + self._prior.penalty(image)
        self._image, self._objective = image.detach(), objective.detach()
        return objective.sum()


def _has_networks(prior: Prior) -> bool:
    """Pixels without convolutions are not worth a second precision."""
    return any(isinstance(module, torch.nn.Conv2d) for module in prior.modules())


def _prepare_for_mixed_precision(prior: Prior, problem: Problem) -> None:
    """Lay convolutions out as they are fastest."""
    if problem.y.dtype is not torch.float32:
        raise BadValue(f"mixed precision for {problem.y.dtype}", "float32", "write Precision.FULL, or move the problem")
    for module in prior.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _lower(schedule: LRScheduler, factor: float) -> None:
    """The rates from which a schedule, or a chain of them, derives its own."""
    for inner in getattr(schedule, "_schedulers", ()):
        _lower(inner, factor)
    for name in ("base_lrs", "max_lrs", "eta_min"):
        if hasattr(schedule, name):
            rates = getattr(schedule, name)
            setattr(schedule, name, [rate * factor for rate in rates] if isinstance(rates, list) else rates * factor)
