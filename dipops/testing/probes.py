"""The inputs that the laws try operators with, and how they compare the outputs."""

import sys
from copy import deepcopy
from math import prod
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dipops.operators import LinearOperator, LinearOrDifferentiableOperator

T = TypeVar("T")
_MOVED_PIXELS = 1000
_ALL_COLUMNS = 4096
_COLUMNS = 64
_COLUMNS_AT_ONCE = 256
_FOUND = ("_out_shape", "_reason", "_adjoint_reason")
_WITHOUT_STATE = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type, torch.Generator)


def tolerance(operator: LinearOrDifferentiableOperator) -> float:
    """The relative error that rounding may cause in the operator's dtype."""
    return 1e-11 if operator._like.dtype == torch.float64 else 1e-5


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
    return _sparse(u, generator).to(operator._like)


def path(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An image, and what is added on the way to another one, at no more than 1000 pixels."""
    start, end = images(operator, generator).split(1)
    return start, _sparse(end - start, generator)


def _sparse(u: Tensor, generator: torch.Generator) -> Tensor:
    if u.numel() <= _MOVED_PIXELS:
        return u
    moved = torch.randperm(u.numel(), generator=generator)[:_MOVED_PIXELS].to(u.device)
    return torch.zeros_like(u).flatten().index_copy(0, moved, u.flatten()[moved]).view_as(u)


def some_pixels(operator: LinearOperator, generator: torch.Generator) -> Tensor:
    """Flat indices of all pixels of a small image, else of 64 random ones."""
    size = prod(operator.in_shape)
    return torch.arange(size) if size <= _ALL_COLUMNS else torch.randint(size, (_COLUMNS,), generator=generator)


@torch.no_grad()
def transposed(operator: LinearOperator, y: Tensor, pixels: Tensor) -> Tensor:
    """Aᵀy at some pixels, (N, len(pixels)), from the columns of the dense matrix: forward is all that it uses."""
    columns = (operator(operator.unit_images(part)).flatten(1) for part in pixels.split(_COLUMNS_AT_ONCE))
    return torch.cat([y.flatten(1) @ column.T for column in columns], dim=1)


def distance(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ relative to the larger norm."""
    return float(((a - b).norm() / max(a.norm(), b.norm()).clamp(min=torch.finfo(a.dtype).tiny)).detach())


def mismatch(image: Tensor, y: Tensor, x: Tensor, back: Tensor) -> float:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| relative to ‖Ax‖ ‖y‖: relative to the inner product a correct operator fails by chance."""
    scale = max(image.norm() * y.norm(), x.norm() * back.norm()).clamp(min=torch.finfo(y.dtype).tiny)
    return float((((image * y).sum() - (x * back).sum()).abs() / scale).detach())


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


def copied(thing: T) -> T:
    """A deep copy that shares what cannot be copied, such as a handle or a lock."""
    try:
        return deepcopy(thing)
    except Exception:  # whatever a user's object raises
        return deepcopy(thing, {id(value): value for value in _uncopied(thing)})


def uncopied(operator: nn.Module) -> list[str]:
    """The names of the attributes that ``copied`` shares."""
    return [
        f"{type(module).__name__}.{name}"
        for module in operator.modules()
        for name, value in _plain_attributes(module).items()
        if not _copies(value)
    ]


def _uncopied(thing: Any) -> list[Any]:
    if not isinstance(thing, nn.Module):
        return [] if _copies(thing) else [thing]
    return [value for part in thing.modules() for value in _plain_attributes(part).values() if not _copies(value)]


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in ("_parameters", "_buffers", "_modules")}


def _copies(value: Any) -> bool:
    try:
        deepcopy(value)
    except Exception:  # whatever a user's object raises
        return False
    return True


def state(operator: nn.Module) -> dict[str, Any]:
    """Copies of everything that an operator and its parts store; what an operator found out about itself is left out."""
    stored: dict[str, Any] = {}
    for path, module in operator.named_modules():
        tensors = {**module._parameters, **module._buffers}
        values = {name: value for name, value in (tensors | _plain_attributes(module)).items() if name not in _FOUND}
        stored |= {f"{path}.{name}".lstrip("."): copied(value) for name, value in values.items()}
    return stored


def found(operator: nn.Module) -> dict[str, dict[str, Any]]:
    """What an operator and its parts found out about themselves, by their paths."""
    return {
        path: {name: value for name, value in vars(part).items() if name in _FOUND} for path, part in operator.named_modules()
    }


def tell(operator: nn.Module, found: dict[str, dict[str, Any]]) -> None:
    """Let a copy of an operator know what another copy found, which spares it the time."""
    for path, part in operator.named_modules():
        vars(part).update(found.get(path, {}))


def same(a: Any, b: Any) -> bool:
    """Whether two values that an operator stores are equal: tensors and arrays by value, plain objects by their parts."""
    if a is b or (type(a) is type(b) and isinstance(a, _WITHOUT_STATE)):
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor | np.ndarray):
        return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "nnz"):
        return a.shape == b.shape and (a != b).nnz == 0
    if type(a).__eq__ is object.__eq__:
        return not hasattr(a, "__dict__") or same(vars(a), vars(b))
    try:
        return bool(a == b)
    except (ValueError, RuntimeError):  # a dataclass of arrays: its equality has no one truth
        return same(vars(a), vars(b)) if hasattr(a, "__dict__") else True
