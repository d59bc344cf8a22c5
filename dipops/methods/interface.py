"""What a method is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dipops.errors import require_integer
from dipops.priors.interface import Prior
from dipops.problem import Problem


class Iteration(Protocol):
    """A method at work on one problem.

    Attributes:
        ran: how its steps are computed, for the result.
    """

    ran: str

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One step: the images (N, *in_shape), detached, and the objective (N,) there. Nothing is read from the device.

        Where the objective costs extra, it may be None unless ``measure`` asks for it.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a step depends on, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave; the iteration may keep and change what is in it."""
        ...


@runtime_checkable
class Slowing(Protocol):
    """An iteration whose steps can be made smaller, and whose faults ``solve`` therefore undoes.

    Attributes:
        usual: an objective that it may well rise to from below: of a sampler, that of the truth; of a descent, 0.
    """

    usual: float

    def slow_down(self, factor: float) -> None:
        """Multiply the learning rate by ``factor``."""
        ...


class Method(Protocol):
    """A way to solve min over θ of ½ ‖A(g(θ)) - y‖² + R(g(θ)).

    Attributes:
        steps: how many steps ``solve`` makes where it is not told.
        every: how many steps lie between two moments when values are read from the device.
        monitors: the average and the stop rules that suit it, used where the user gives none of that kind.
    """

    @property
    def steps(self) -> int: ...
    @property
    def every(self) -> int: ...
    @property
    def monitors(self) -> Sequence[Any]: ...

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> Iteration:
        """Begin on a prior that has been started for the problem; the generators are one for each member of the batch."""
        ...


def require_steps(method: Method) -> None:
    """Refuse a method whose ``steps`` or ``every`` is no positive integer."""
    require_integer("steps", method.steps, 1, "leave it out for the default")
    require_integer("every", method.every, 1, "leave it out for the default")
