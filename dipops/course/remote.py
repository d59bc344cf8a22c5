"""Operators of a submission, as the checks see them: every application is a call in its process."""

from collections.abc import Callable
from math import prod
from typing import Any

from torch import Tensor

from dipops.course.checks import GradingError
from dipops.course.wire import METHODS, stand_in
from dipops.operators import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator

_MOST_PIXELS = 1 << 16


class _Remote(LinearOrDifferentiableOperator):
    """An operator of a submission: every application is a call over the pipe."""

    make: Callable[[Any], Any]
    apply_there: Callable[[int, str, tuple[Tensor, ...]], Any]

    def __init__(self, in_shape: Any) -> None:
        key, shape = type(self).make(in_shape)
        if not (isinstance(shape, list) and all(isinstance(side, int) for side in shape) and prod(shape) <= _MOST_PIXELS):
            raise GradingError(f"its in_shape is not the {tuple(in_shape)} that it was made for")
        super().__init__(shape)
        self.key = key

    def _called(self, method: str, *tensors: Tensor) -> Tensor:
        value = type(self).apply_there(self.key, method, tuple(tensor.detach() for tensor in tensors))
        if not isinstance(value, Tensor):
            raise GradingError(f"{method} gives a {type(value).__name__}, not a tensor")
        return value.detach()

    def forward(self, x: Tensor) -> Tensor:
        return self._called("forward", x)


class _RemoteLinear(_Remote, LinearOperator):
    def adjoint(self, y: Tensor) -> Tensor:
        return self._called("adjoint", y)


class _RemoteDifferentiable(_Remote, DifferentiableOperator):
    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self._called("vjp", x, v)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self._called("jvp", x, u)


_REMOTE: dict[str, type[_Remote]] = {"linear": _RemoteLinear, "differentiable": _RemoteDifferentiable}


def operator_class(
    call: Callable[[dict[str, Any], tuple[Any, ...]], Any], exercise: str, name: str, kind: str, written: list[str]
) -> type[LinearOrDifferentiableOperator]:
    """A class of operators like the one that was handed in; it defines the methods that that one defines.

    Args:
        call: makes a call in the process of the submission.
        exercise: that it was handed in for.
        name: of the class.
        kind: "linear" or "differentiable".
        written: the methods besides ``forward`` that it defines.
    """

    def make(in_shape: Any) -> Any:
        return call({"do": "make", "name": exercise}, (in_shape,))

    def apply(key: int, method: str, tensors: tuple[Tensor, ...]) -> Any:
        return call({"do": method, "operator": key}, tensors)

    base = _REMOTE[kind]
    own = {method: getattr(base, method) for method in METHODS if method in written and hasattr(base, method)}
    return type(stand_in(name).__name__, (base,), {**own, "make": staticmethod(make), "apply_there": staticmethod(apply)})
