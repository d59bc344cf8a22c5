"""The physics of deepinv as operators, and operators as deepinv calls them; deepinv itself is not needed here."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dipops.errors import BadType, BadValue, first_line
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator


class PhysicsMap(LinearOrDifferentiableOperator):
    """The map A of a physics, of which it has a copy without noise; complex measurements get a last axis of 2.

    Its derivatives, and the adjoint of a linear one, are those of automatic differentiation.

    Raises:
        BadType: it gives something else than a tensor.
        BadValue: it fails on an image of this shape.
    """

    def __init__(self, physics: Any, in_shape: Sequence[int]) -> None:
        super().__init__(in_shape)
        attributes = (value for part in physics.modules() for value in vars(part).values())
        self.physics = deepcopy(physics, {id(value): None for value in attributes if isinstance(value, torch.Generator)})
        for part in self.physics.modules():
            if hasattr(part, "noise_model"):
                part.noise_model = nn.Identity()
        tensors = (*self.physics.parameters(), *self.physics.buffers())
        self._like = next((tensor for tensor in tensors if tensor.is_floating_point()), self._like).new_empty(0)
        self.to(self._like)
        self._try()

    def forward(self, x: Tensor) -> Tensor:
        return real_measurement(self.physics.A(x))

    @torch.no_grad()
    def _try(self) -> None:
        """The first call, which fills what Downsampling keeps, and shows whether it is a map of tensors."""
        came = f"deepinv's {type(self.physics).__name__}.A of one image {self.in_shape}"
        expected, advice = "a physics from one real tensor to one tensor", "look at in_shape; tuples and lists are not taken"
        try:
            y = self.physics.A(self._like.new_zeros(1, *self.in_shape))
        except Exception as error:  # whatever foreign code raises
            raise BadValue(f"{came} raises {type(error).__name__}: {first_line(error)[:80]}", expected, advice) from error
        if not isinstance(y, Tensor):
            raise BadType(f"{came} gives a {type(y).__name__}", expected, advice)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """What ``.to()`` calls. Complex tensors go as pairs: it would drop their imaginary parts."""

        def on_pairs(t: Tensor) -> Tensor:
            return torch.view_as_complex(fn(torch.view_as_real(t.resolve_conj()))) if t.is_complex() else fn(t)

        return super()._apply(on_pairs, recurse)

    def __repr__(self) -> str:
        return f"deepinv.{type(self.physics).__name__}({', '.join(map(str, self.in_shape))})"


class LinearPhysicsMap(PhysicsMap, LinearOperator):
    """The map of a LinearPhysics."""


class NonlinearPhysicsMap(PhysicsMap, DifferentiableOperator):
    """The map of any other one."""


class OperatorMap(nn.Module):
    """An operator that deepinv calls with the parameters of its physics, which it ignores."""

    def __init__(self, operator: LinearOrDifferentiableOperator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor, **parameters: Any) -> Tensor:
        return self.operator(x)


def real_measurement(y: Any) -> Tensor:
    """Complex numbers as pairs, and a TensorList, of a stack, as one vector."""
    if not isinstance(y, Tensor):
        return torch.cat([real_measurement(part).flatten(1) for part in y], 1)
    return torch.view_as_real(y) if y.is_complex() else y


def shape_of_image(physics: Any, y: Any) -> Sequence[int]:
    """The shape of an image that a physics measures as y."""
    shape = physics.A_adjoint(y).shape[1:] if hasattr(physics, "A_adjoint") else getattr(physics, "img_size", None)
    if shape is None:
        came = f"deepinv's {type(physics).__name__} without A_adjoint and img_size"
        raise BadValue(came, "one that says the shape of an image", "write physics.img_size = (1, 64, 64), say")
    return shape
