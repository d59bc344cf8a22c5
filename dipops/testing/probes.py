"""The inputs that the laws try operators with, and how they compare the outputs."""

import sys
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dipops.operators import LinearOperator, LinearOrDifferentiableOperator

_MOVED_PIXELS = 1000


def images(operator: LinearOrDifferentiableOperator, generator: torch.Generator, count: int = 2) -> Tensor:
    """Inputs in [-1, 2], for estimates leave [0, 1]; in [0, 1] where a nonlinear operator is not defined outside it."""
    x = torch.rand(count, *operator.in_shape, generator=generator, dtype=torch.float64).to(operator._like)
    wide = 3 * x - 1
    if isinstance(operator, LinearOperator):
        return wide
    with torch.no_grad():
        return wide if operator(wide.clone()).isfinite().all() else x


def measurements(operator: LinearOrDifferentiableOperator, generator: torch.Generator, count: int = 2) -> Tensor:
    """Normal measurements (count, *out_shape)."""
    return torch.randn(count, *operator.out_shape, generator=generator, dtype=torch.float64).to(operator._like)


def direction(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Tensor:
    """A normal image that moves at most 1000 pixels, so that a kink of ReLU is seldom crossed."""
    u = torch.randn(1, *operator.in_shape, generator=generator, dtype=torch.float64)
    if u.numel() > _MOVED_PIXELS:
        moved = torch.randperm(u.numel(), generator=generator)[:_MOVED_PIXELS]
        u = torch.zeros_like(u).flatten().index_copy(0, moved, u.flatten()[moved]).view_as(u)
    return u.to(operator._like)


def distance(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ relative to the larger norm."""
    return float((a - b).norm() / max(a.norm(), b.norm()).clamp(min=torch.finfo(a.dtype).tiny))


def mismatch(image: Tensor, y: Tensor, x: Tensor, back: Tensor) -> float:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| relative to ‖Ax‖ ‖y‖: relative to the inner product a correct operator fails by chance."""
    scale = max(image.norm() * y.norm(), x.norm() * back.norm()).clamp(min=torch.finfo(y.dtype).tiny)
    return float(((image * y).sum() - (x * back).sum()).abs() / scale)


def holds_tensor(value: Any) -> bool:
    """Whether a plain attribute hides tensors or modules, which ``.to()`` does not reach."""
    if isinstance(value, dict):
        return any(map(holds_tensor, value.values()))
    if isinstance(value, list | tuple | set):
        return any(map(holds_tensor, value))
    return isinstance(value, Tensor | nn.Module)


def importable(class_: type) -> bool:
    """Whether pickle can find the class again; a class defined inside a function it cannot find."""
    return getattr(sys.modules.get(class_.__module__), class_.__qualname__, None) is class_


def state(operator: nn.Module) -> dict[str, Any]:
    """Copies of everything that an operator and its parts store."""
    stored: dict[str, Any] = {}
    for path, module in operator.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers"):
                stored |= {f"{path}.{key}".lstrip("."): deepcopy(tensor) for key, tensor in value.items() if key != "_known"}
            elif name not in ("_modules", "_out_shape"):
                stored[f"{path}.{name}".lstrip(".")] = deepcopy(value)
    return stored


def same(a: Any, b: Any) -> bool:
    """Whether two values that an operator stores are equal: tensors and arrays by value, plain objects by their parts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a).__eq__ is object.__eq__ and hasattr(a, "__dict__"):
        return a is b or same(vars(a), vars(b))
    return bool(a == b)
