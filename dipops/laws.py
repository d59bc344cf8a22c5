"""The laws of operators: one function a law, and ``check``, which tries them all on one operator."""

import pickle
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import log10, prod
from typing import Any

import torch
from torch import Tensor, nn

from dipops.diagnosis import diagnose_adjoint
from dipops.errors import BadType, LawError
from dipops.operators.autodiff import pullback
from dipops.operators.interface import LinearOperator, LinearOrDifferentiableOperator

_TOLERANCE = 1e-11
_DENSE_ENTRIES = 10**7
_SVD_ENTRIES = 10**6
_COLUMNS = 64
_REDRAWS = 8


@dataclass(frozen=True)
class Verdict:
    """What one law says of an operator: ``fault`` is empty where it holds; ``error`` is relative, where there is one."""

    law: str
    error: float | None = None
    fault: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The verdicts of all laws that were tried; prints as a small table."""

    operator: str
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        return not any(verdict.fault for verdict in self.verdicts)

    def __str__(self) -> str:
        lines = [self.operator]
        for verdict in self.verdicts:
            error = "" if verdict.error is None else f"{verdict.error:.1e}"
            words = verdict.fault or verdict.note
            lines.append(f"  {'✗' if verdict.fault else '✓'} {verdict.law:<10} {error:>8}  {words}".rstrip())
        broken = sum(bool(verdict.fault) for verdict in self.verdicts)
        lines.append(f"  {broken} of {len(self.verdicts)} laws broken" if broken else f"  all {len(self.verdicts)} laws hold")
        return "\n".join(lines)


def check(operator: LinearOrDifferentiableOperator, strict: bool = True) -> Report:
    """Try every law on a float64 copy of the operator, where it is, from a fixed seed.

    Small odd shapes such as (3, 9, 13) show most: there one wrong pixel is a large error. An exception raised by the
    operator's own ``forward`` on a zero image comes through as it is.

    Args:
        operator: any operator; it is left as it was.
        strict: raise where a law is broken; otherwise the report says so.

    Raises:
        LawError: a law is broken. It says which and why, and carries the report.
        BadType: ``operator`` is none.
    """
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise BadType(f"a {type(operator).__name__}", "an operator", "inherit from LinearOperator or DifferentiableOperator")
    report = Report(repr(operator), tuple(_verdicts(operator)))
    if strict and not report.passed:
        first = next(verdict for verdict in report.verdicts if verdict.fault)
        names = ", ".join(verdict.law for verdict in report.verdicts if verdict.fault)
        raise LawError(
            f"{report.operator} breaks {names}: {first.fault}",
            f"the law of {first.law} to hold",
            "print(check(A, strict=False)) shows every law",
            report,
        )
    return report


def _verdicts(operator: LinearOrDifferentiableOperator) -> Iterator[Verdict]:
    operator = deepcopy(operator)
    _ = deepcopy(operator).out_shape  # on a copy: tracing would hide from purity what the first call changes
    for first in (movable, dtype):
        verdict = _judge(first, deepcopy(operator))
        yield verdict
        if verdict.fault:
            return
    linear = isinstance(operator, LinearOperator)
    for law in (*COMMON_LAWS, *(LINEAR_LAWS if linear else ())):
        yield _judge(law, deepcopy(operator).double())


def _judge(law: Callable[[Any, torch.Generator], Verdict], operator: LinearOrDifferentiableOperator) -> Verdict:
    try:
        return law(operator, torch.Generator().manual_seed(0))
    except Exception as error:  # whatever a user's operator raises is the diagnosis
        return Verdict(law.__name__, fault=f"{type(error).__name__}: {error}")


def movable(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """Every tensor and module is registered, so that ``.to()`` moves it."""
    for module in operator.modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules") and _holds_tensor(value):
                kind = type(value).__name__
                where = f"{type(module).__name__}.{name}"
                fault = (
                    f"{where} is a {kind} that holds tensors, which .to() does not move: assign each tensor to self by itself"
                )
                return Verdict("movable", fault=fault)
    return Verdict("movable")


def dtype(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """float32 in, float32 out; float64 in, float64 out."""
    for kind in (torch.float32, torch.float64):
        moved = operator.to(kind)
        x = _images(moved, generator)
        with torch.no_grad():
            out = moved(x)
        if out.dtype != kind:
            return Verdict("dtype", fault=f"{kind} in, {out.dtype} out: create tensors like the input")
    return Verdict("dtype")


def shape(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """(N, *in_shape) gives (N, *out_shape), vjp and adjoint give (N, *in_shape), all finite and in the dtype of the input."""
    x, v = _images(operator, generator), _measurements(operator, generator)
    results = {"forward": (operator(x), operator.out_shape)}
    if isinstance(operator, LinearOperator):
        results["adjoint"] = (operator.adjoint(v), operator.in_shape)
    results["vjp"] = (operator.vjp(x, v), operator.in_shape)
    for name, (out, expected) in results.items():
        if tuple(out.shape) != (len(x), *expected):
            return Verdict("shape", fault=f"{name} gives {tuple(out.shape)} instead of {(len(x), *expected)}")
        if out.dtype != x.dtype or not out.isfinite().all():
            return Verdict("shape", fault=f"{name} gives {out.dtype}, or values that are not finite")
    return Verdict("shape")


def purity(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The same input gives the same output, and neither the input nor the operator changes."""
    before = _state(operator)
    calls: list[tuple[str, Callable[[Tensor], Tensor], Tensor]] = [("forward", operator, _images(operator, generator))]
    if isinstance(operator, LinearOperator):
        calls.append(("adjoint", operator.adjoint, _measurements(operator, generator)))
    worst = 0.0
    for name, function, x in calls:
        kept, other = x.clone(), torch.randn_like(x)
        with torch.no_grad():
            once = function(x).clone()
            function(other)
            again = function(kept.clone())
        if not torch.equal(x, kept):
            return Verdict("purity", fault=f"{name} changes its input: work on a copy, x.clone()")
        worst = max(worst, _distance(once, again))
        if worst > _TOLERANCE:
            return Verdict("purity", worst, f"{name} gives another output for the same input: it remembers or is random")
    changed = [name for name, value in _state(operator).items() if name not in before or not _same(before[name], value)]
    if changed:
        return Verdict("purity", fault=f"applying it changes {', '.join(changed)}: it remembers; keep nothing between calls")
    return Verdict("purity", worst)


def batch(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """A batch gives what its images give one by one."""
    x, v = _images(operator, generator, 3), _measurements(operator, generator, 3)
    singles = range(len(x))
    pairs = {
        "forward": (operator(x), [operator(x[k : k + 1]) for k in singles]),
        "vjp": (operator.vjp(x, v), [operator.vjp(x[k : k + 1], v[k : k + 1]) for k in singles]),
    }
    worst = max(_distance(together, torch.cat(apart)) for together, apart in pairs.values())
    return Verdict("batch", worst, "the images of a batch influence each other" if worst > _TOLERANCE else "")


def gradient(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """vjp is the derivative by automatic differentiation, and ⟨Ju, v⟩ = ⟨u, Jᵀv⟩."""
    x, u, v = _images(operator, generator), _images(operator, generator), _measurements(operator, generator)
    by_autograd, by_vjp = pullback(operator.forward, x, v), operator.vjp(x, v)
    error = _distance(by_vjp, by_autograd)
    if error > _TOLERANCE:
        return Verdict("gradient", error, diagnose_adjoint(by_vjp[:1], by_autograd[:1]).replace("adjoint", "vjp"))
    forward = operator.jvp(x, u)
    error = max(error, _mismatch(forward, v, u, by_vjp))
    return Verdict("gradient", error, "⟨Ju, v⟩ differs from ⟨u, Jᵀv⟩: jvp is wrong" if error > _TOLERANCE else "")


def taylor(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The remainder of the first-order Taylor expansion falls as the square of the step, or is nothing.

    A draw near a kink of ReLU or max-pooling is drawn again.
    """
    order = fine = 0.0
    for _ in range(_REDRAWS):
        x, u = _images(operator, generator, 1), torch.randn(1, *operator.in_shape, generator=generator).to(operator._like)
        with torch.no_grad():
            base, slope = operator(x), operator.jvp(x, u)
            scale = float(base.norm() + slope.norm()) or 1.0
            coarse, fine = (float((operator(x + h * u) - base - h * slope).norm()) / scale for h in (1e-4, 1e-5))
        if fine < 1e-12:
            return Verdict("taylor", fine)
        order = log10(coarse / fine) if coarse else 0.0
        if order >= 1.9:
            return Verdict("taylor", fine, note=f"order {order:.2f}")
    return Verdict("taylor", fine, f"the remainder falls with order {order:.2f} instead of 2: jvp is not the derivative")


def linearity(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """A(2x - 3y) = 2 A(x) - 3 A(y) and A(0) = 0."""
    x, y = _images(operator, generator), _images(operator, generator)
    offset = operator(torch.zeros_like(x))
    if offset.any():
        return Verdict(
            "linearity", fault="A(0) is not 0: it is affine; move the offset into y, or inherit DifferentiableOperator"
        )
    error = _distance(operator(2 * x - 3 * y), 2 * operator(x) - 3 * operator(y))
    fault = "A(2x - 3y) is not 2 A(x) - 3 A(y): inherit from DifferentiableOperator" if error > _TOLERANCE else ""
    return Verdict("linearity", error, fault)


def adjoint(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩, relative to ‖Ax‖ ‖y‖, and Aᵀ is the transpose by automatic differentiation."""
    x, y = _images(operator, generator), _measurements(operator, generator)
    back, by_autograd = operator.adjoint(y), pullback(operator.forward, torch.zeros_like(x), y)
    if back.shape == by_autograd.shape:
        error = max(_mismatch(operator(x), y, x, back), _distance(back, by_autograd))
        if error <= _TOLERANCE:
            return Verdict("adjoint", error)
    else:
        error = None
    return Verdict("adjoint", error, diagnose_adjoint(back[:1], by_autograd[:1]))


def dense(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """Aᵀ is the transpose of the dense matrix of A: all of it where it is small, else 64 random columns."""
    rows, columns = prod(operator.out_shape), prod(operator.in_shape)
    if rows * columns <= _DENSE_ENTRIES:
        note, pixels = f"all {rows} x {columns} entries", None
        forward, back = operator.matrix(), operator.T.matrix().T
    else:
        note, pixels = f"{_COLUMNS} random columns of {columns}", torch.randint(columns, (_COLUMNS,), generator=generator)
        y = _measurements(operator, generator, 1)
        forward = (operator(operator.unit_images(pixels)) * y).flatten(1).sum(1)[None]
        back = operator.adjoint(y).flatten()[pixels.to(y.device)][None]
    error = float((forward - back).abs().max() / forward.abs().max().clamp(min=torch.finfo(forward.dtype).tiny))
    if error <= _TOLERANCE:
        return Verdict("dense", error, note=note)
    row, column = torch.nonzero((forward - back).abs() > _TOLERANCE * forward.abs().max())[0].tolist()
    place = f"A[{row}, {column}]" if pixels is None else f"⟨A e, y⟩ for e at {int(pixels[column])}"
    came, expected = float(back[row, column]), float(forward[row, column])
    return Verdict("dense", error, f"{place} is {expected:.6g} but {came:.6g} by the adjoint")


def norm(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """norm() is the largest singular value to 1%, from below."""
    rows, columns = prod(operator.out_shape), prod(operator.in_shape)
    if rows * columns > _SVD_ENTRIES:
        return Verdict("norm", note=f"not compared: a matrix of {rows} x {columns} is large for an SVD")
    truth, came = float(torch.linalg.matrix_norm(operator.matrix(), 2)), operator.norm()
    error = abs(truth - came) / truth if truth else came
    right = came <= truth * (1 + 1e-9) and truth <= 1.01 * came
    return Verdict("norm", error, "" if right else f"norm() is {came:.6g}, the largest singular value {truth:.6g}")


def copies(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """deepcopy, pickle and a round trip by ``.to()`` keep what the operator does."""
    x = _images(operator, generator)
    out, note = operator(x), ""
    made = {"deepcopy": (deepcopy(operator), _TOLERANCE), ".to(float32) and back": (deepcopy(operator).float().double(), 1e-5)}
    hidden = [type(part).__name__ for part in operator.modules() if not _importable(type(part))]
    if hidden:
        note = f"not pickled: {hidden[0]} cannot be imported by its name"
    else:
        made["pickle"] = (pickle.loads(pickle.dumps(operator)), _TOLERANCE)
    for name, (copy, tolerance) in made.items():
        if (error := _distance(copy(x), out)) > tolerance:
            return Verdict("copies", error, f"{name} changes what the operator does")
    return Verdict("copies", note=note)


COMMON_LAWS = (purity, shape, batch, gradient, taylor, copies)
LINEAR_LAWS = (linearity, adjoint, dense, norm)


def _images(operator: LinearOrDifferentiableOperator, generator: torch.Generator, count: int = 2) -> Tensor:
    return torch.rand(count, *operator.in_shape, generator=generator, dtype=torch.float64).to(operator._like)


def _measurements(operator: LinearOrDifferentiableOperator, generator: torch.Generator, count: int = 2) -> Tensor:
    return torch.randn(count, *operator.out_shape, generator=generator, dtype=torch.float64).to(operator._like)


def _distance(a: Tensor, b: Tensor) -> float:
    """‖a - b‖ relative to the larger norm."""
    return float((a - b).norm() / max(a.norm(), b.norm()).clamp(min=torch.finfo(a.dtype).tiny))


def _mismatch(image: Tensor, y: Tensor, x: Tensor, back: Tensor) -> float:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| relative to ‖Ax‖ ‖y‖: relative to the inner product a correct operator fails by chance."""
    scale = max(image.norm() * y.norm(), x.norm() * back.norm()).clamp(min=torch.finfo(y.dtype).tiny)
    return float(((image * y).sum() - (x * back).sum()).abs() / scale)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_tensor, value.values()))
    if isinstance(value, list | tuple | set):
        return any(map(_holds_tensor, value))
    return isinstance(value, Tensor | nn.Module)


def _state(operator: nn.Module) -> dict[str, Any]:
    """Everything that an operator and its parts remember, as copies."""
    held: dict[str, Any] = {}
    for path, module in operator.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers"):
                held |= {f"{path}.{key}".lstrip("."): deepcopy(tensor) for key, tensor in value.items()}
            elif name not in ("_modules", "_out_shape"):
                held[f"{path}.{name}".lstrip(".")] = deepcopy(value)
    return held


def _importable(kind: type) -> bool:
    """Whether pickle can find the class again: one defined inside a function it cannot."""
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return bool(a == b) or repr(a) == repr(b)
