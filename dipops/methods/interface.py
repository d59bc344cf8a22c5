"""What a method is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dipops.errors import require_instance, require_integer
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.stopping import Mean, StopRule


class Iteration(Protocol):
    """A method at work on one problem.

    Attributes:
        mean: the average of the outputs that is the answer, or None where the last output is.
        convergence: the rule that ends the solve where the user gives no other, or None.
        precision: what the prior's networks compute in, in words.
    """

    @property
    def mean(self) -> Mean | None: ...
    @property
    def convergence(self) -> StopRule | None: ...
    @property
    def precision(self) -> str: ...

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One step: the images (N, *in_shape), detached, and the objective (N,) there. Nothing is read from the device.

        Where the objective costs extra, it may be None unless ``measure`` asks for it.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a step depends on, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` gave; the iteration may keep and change what is in it."""
        ...


@runtime_checkable
class Slowing(Protocol):
    """An iteration whose steps can be made smaller, and which ``solve`` therefore rolls back where it diverges.

    It gives the objective in every step.

    Attributes:
        reference_level: an objective below which rises are normal and do not count: for a sampler what the noise leaves of the
            data term, for a descent 0.
    """

    reference_level: float

    def slow_down(self, factor: float) -> None:
        """Multiply the learning rate by ``factor``."""
        ...


@runtime_checkable
class Method(Protocol):
    """A way to solve min over θ of D(A(g(θ)), y) + R(g(θ)).

    Attributes:
        steps: number of steps where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.
    """

    @property
    def steps(self) -> int: ...
    @property
    def every(self) -> int: ...

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> Iteration:
        """Begin on a prior that has been started for the problem; the generators are one for each member of the batch."""
        ...


def require_method(method: Method | None) -> None:
    """Refuse what is neither None nor a method, such as its class, with BadType."""
    if method is not None:
        require_instance(method, Method, "method", "a method, such as Descent()", "leave it out for the default")


def require_steps(method: Method) -> None:
    """Refuse a method whose ``steps`` or ``every`` is no positive integer."""
    for name in ("steps", "every"):
        require_integer(name, getattr(method, name), 1, "leave it out for the default")
