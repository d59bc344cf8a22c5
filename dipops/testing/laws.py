"""The laws of operators: one function a law, and ``check``, which tries them all on one operator."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import log10, prod
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadType, LawError, first_line
from dipops.operators import LinearOperator, LinearOrDifferentiableOperator
from dipops.operators.autodiff import pullback
from dipops.testing import probes
from dipops.testing.diagnosis import diagnose_adjoint, in_single_precision

_TOLERANCE = 1e-11
_DENSE_ENTRIES = 10**7
_SVD_ENTRIES = 10**6
_COLUMNS = 64
_REDRAWS = 8
_UNUSUAL_SEED = 8_675_309
_LIKE_THE_INPUT = "create tensors like the input, with x.new_ones(...) say, or assign them to self in __init__"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one law for an operator: ``fault`` is empty where it holds; ``error`` is relative, where there is one."""

    law: str
    error: float | None = None
    fault: str = ""
    note: str = ""


Law = Callable[[Any, torch.Generator], Verdict]


@dataclass(frozen=True)
class Report:
    """The verdicts of the laws that were tried, and how many were not because another failed first; prints as a table."""

    operator: str
    verdicts: tuple[Verdict, ...]
    untried: int = 0

    @property
    def passed(self) -> bool:
        return not any(verdict.fault for verdict in self.verdicts)

    def __str__(self) -> str:
        lines = [self.operator]
        for verdict in self.verdicts:
            error = "" if verdict.error is None else f"{verdict.error:.1e}"
            remark = verdict.fault or verdict.note
            lines.append(f"  {'✗' if verdict.fault else '✓'} {verdict.law:<10} {error:>8}  {remark}".rstrip())
        broken = sum(bool(verdict.fault) for verdict in self.verdicts)
        waiting = f"; the other {self.untried} say nothing until it holds" if self.untried else ""
        end = f"{broken} of {len(self.verdicts)} laws broken{waiting}" if broken else f"all {len(self.verdicts)} laws hold"
        return "\n".join([*lines, f"  {end}"])


def check(operator: LinearOrDifferentiableOperator, strict: bool = True) -> Report:
    """Try every law on a float64 copy of the operator, where it is, from a fixed seed.

    Small shapes show most, for there one wrong pixel is a large error; try an odd one such as (3, 9, 13) and an even one
    such as (3, 10, 14), since strides and centres err on one of them only. Nonlinear operators are tried on values in
    [-1, 2] where they are finite there, else in [0, 1]. An exception raised by the operator's own ``forward`` on a zero
    image comes through as it is.

    Args:
        operator: any operator; it is left as it was.
        strict: raise where a law is broken; otherwise the report says so.

    Raises:
        LawError: a law is broken. It says which and why, and carries the report.
        BadType: ``operator`` is none.
    """
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise BadType(f"a {type(operator).__name__}", "an operator", "inherit from LinearOperator or DifferentiableOperator")
    laws = (*FIRST_LAWS, *(LINEAR_LAWS if isinstance(operator, LinearOperator) else ()), *DERIVATIVE_LAWS)
    verdicts = tuple(_verdicts(operator, laws))
    report = Report(repr(operator), verdicts, len(laws) - len(verdicts))
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


def _verdicts(operator: LinearOrDifferentiableOperator, laws: Sequence[Law]) -> Iterator[Verdict]:
    if operator._like.device.type == "cpu":  # elsewhere the law of movable says what did not move with the operator
        _ = deepcopy(operator).out_shape  # on a copy: tracing would hide from purity what the first call changes
    for law in laws:
        yield (verdict := _judge(law, deepcopy(operator).double()))
        if verdict.fault and law in (movable, linearity):
            return  # the others would repeat it, or guess at an adjoint that there is not


def _judge(law: Law, operator: LinearOrDifferentiableOperator) -> Verdict:
    try:
        return law(operator, torch.Generator().manual_seed(0))
    except Exception as error:  # whatever a user's operator raises is the diagnosis
        return Verdict(law.__name__, fault=f"{type(error).__name__}: {first_line(error)}")


def movable(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """Every tensor and module is registered, so that ``.to()`` moves it, and ``forward`` runs in float64 as in float32."""
    for module in operator.modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules") and probes.holds_tensor(value):
                where = f"{type(module).__name__}.{name} is a {type(value).__name__} that holds tensors"
                return Verdict("movable", fault=f"{where}, which .to() does not move: assign each tensor to self by itself")
    try:
        operator._trace()
    except RuntimeError as error:
        return Verdict("movable", fault=f"in float64 forward raises {first_line(error)!r}: {_LIKE_THE_INPUT}")
    return Verdict("movable")


def purity(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The same input gives the same output, and neither the input, the operator nor the global random state changes."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_UNUSUAL_SEED)
        return _purity(operator, generator)


def _purity(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    before, random_state = probes.state(operator), torch.get_rng_state()
    calls: list[tuple[str, Callable[[Tensor], Tensor], Tensor]] = [("forward", operator, probes.images(operator, generator))]
    if isinstance(operator, LinearOperator):
        calls.append(("adjoint", operator.adjoint, probes.measurements(operator, generator)))
    worst = 0.0
    for name, function, x in calls:
        original, other = x.clone(), torch.randn(x.shape, generator=generator).to(x)
        with torch.no_grad():
            once = function(x).clone()
            function(other)
            again = function(original.clone())
        if not torch.equal(x, original):
            return Verdict("purity", fault=f"{name} changes its input: work on a copy, x.clone()")
        worst = max(worst, probes.distance(once, again))
        if worst > _TOLERANCE:
            return Verdict("purity", worst, f"{name} gives another output for the same input: it remembers or is random")
    if not torch.equal(random_state, torch.get_rng_state()):
        return Verdict("purity", fault="applying it changes the global random state: use a torch.Generator of its own")
    after = probes.state(operator)
    changed = [name for name, value in after.items() if name not in before or not probes.same(before[name], value)]
    if changed:
        return Verdict("purity", fault=f"applying it changes {', '.join(changed)}: it remembers; keep nothing between calls")
    return Verdict("purity", worst)


def dtype(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """float32 in, float32 out; float64 in, float64 out: forward, adjoint and derivatives."""
    for expected in (torch.float32, torch.float64):
        for name, out, _ in _outputs(operator.to(expected), generator):
            if out.dtype != expected:
                return Verdict("dtype", fault=f"{expected} in, {out.dtype} out of {name}: {_LIKE_THE_INPUT}")
    return Verdict("dtype")


def _outputs(
    operator: LinearOrDifferentiableOperator, generator: torch.Generator
) -> Iterator[tuple[str, Tensor, tuple[int, ...]]]:
    """The outputs of every map of an operator for a batch of two: name, output, and the shape it should have."""
    x, v = probes.images(operator, generator), probes.measurements(operator, generator)
    yield "forward", operator(x), (2, *operator.out_shape)
    if isinstance(operator, LinearOperator):
        yield "adjoint", operator.adjoint(v), (2, *operator.in_shape)
    yield "vjp", operator.vjp(x, v), (2, *operator.in_shape)
    yield "jvp", operator.jvp(x, x), (2, *operator.out_shape)


def shape(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """(N, *in_shape) gives (N, *out_shape), vjp and adjoint give (N, *in_shape), and all are finite."""
    for name, out, expected in _outputs(operator, generator):
        if tuple(out.shape) != expected:
            return Verdict("shape", fault=f"{name} gives {tuple(out.shape)} instead of {expected}")
        if not out.isfinite().all():
            return Verdict("shape", fault=f"{name} gives values that are not finite")
    return Verdict("shape")


def layout(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The memory layout of an image does not matter: a transposed or cropped view gives the same."""
    x, v = probes.images(operator, generator), probes.measurements(operator, generator)
    pairs = [("forward", operator, x), ("vjp", lambda v: operator.vjp(x, v), v)]
    for name, function, tensor in pairs:
        strided = tensor.flatten(1).T.contiguous().T.view_as(tensor) if tensor.ndim == 2 else tensor.mT.contiguous().mT
        try:
            error = probes.distance(function(strided), function(tensor))
        except RuntimeError as problem:
            return Verdict("layout", fault=f"{name} wants contiguous memory ({first_line(problem)}): use reshape")
        if error > _TOLERANCE:
            return Verdict("layout", error, f"{name} depends on the memory layout of the image")
    return Verdict("layout")


def batch(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """A batch gives what its images give one by one."""
    x, v = probes.images(operator, generator, 3), probes.measurements(operator, generator, 3)
    singles = range(len(x))
    pairs = {
        "forward": (operator(x), [operator(x[k : k + 1]) for k in singles]),
        "vjp": (operator.vjp(x, v), [operator.vjp(x[k : k + 1], v[k : k + 1]) for k in singles]),
    }
    worst = max(probes.distance(together, torch.cat(singly)) for together, singly in pairs.values())
    return Verdict("batch", worst, "the images of a batch influence each other" if worst > _TOLERANCE else "")


def gradient(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """vjp is the derivative by automatic differentiation, ⟨Ju, v⟩ = ⟨u, Jᵀv⟩, and linearize(x) is J."""
    x, u = probes.images(operator, generator), probes.images(operator, generator)
    v = probes.measurements(operator, generator)
    by_autograd, by_vjp = pullback(operator.forward, x, v), operator.vjp(x, v)
    error = probes.distance(by_vjp, by_autograd)
    if error > _TOLERANCE:
        return Verdict("gradient", error, diagnose_adjoint(by_vjp[:1], by_autograd[:1]).replace("adjoint", "vjp"))
    forward = operator.jvp(x, u)
    error = max(error, probes.mismatch(forward, v, u, by_vjp))
    if error > _TOLERANCE:
        return Verdict("gradient", error, "⟨Ju, v⟩ differs from ⟨u, Jᵀv⟩: jvp is wrong")
    error = max(error, probes.distance(operator.linearize(x[:1])(u[:1]), forward[:1]))
    return Verdict("gradient", error, "linearize(x) is not the Jacobian at x" if error > _TOLERANCE else "")


def taylor(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The remainder of the first-order Taylor expansion falls as the square of the step, or is nothing.

    A draw near a kink of ReLU or max-pooling is drawn again.
    """
    order = fine = 0.0
    for _ in range(_REDRAWS):
        x, u = probes.images(operator, generator, 1), probes.direction(operator, generator)
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
    """A(2x - 3y) = 2 A(x) - 3 A(y) and A(0) = 0, for values of any size."""
    x, y = 10 * probes.images(operator, generator), probes.images(operator, generator)
    offset = operator(torch.zeros_like(x))
    if offset.any():
        return Verdict(
            "linearity", fault="A(0) is not 0: it is affine; move the offset into y, or inherit DifferentiableOperator"
        )
    error = probes.distance(operator(2 * x - 3 * y), 2 * operator(x) - 3 * operator(y))
    wrong = in_single_precision(error) or "A(2x - 3y) is not 2 A(x) - 3 A(y): inherit from DifferentiableOperator"
    return Verdict("linearity", error, wrong if error > _TOLERANCE else "", "" if operator(x).any() else "it gives 0")


def adjoint(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩, relative to ‖Ax‖ ‖y‖, Aᵀ is the transpose by automatic differentiation, and gram is AᵀA."""
    x, y = probes.images(operator, generator), probes.measurements(operator, generator)
    back, by_autograd = operator.adjoint(y), pullback(operator.forward, torch.zeros_like(x), y)
    if back.shape != by_autograd.shape:
        return Verdict("adjoint", fault=diagnose_adjoint(back, by_autograd))
    error = max(probes.mismatch(operator(x), y, x, back), probes.distance(back, by_autograd))
    if error > _TOLERANCE:
        return Verdict("adjoint", error, diagnose_adjoint(back[:1], by_autograd[:1], _confusions(operator, y[:1])))
    error = max(error, probes.distance(operator.gram(x), operator.adjoint(operator(x))))
    return Verdict("adjoint", error, "gram is not AᵀA" if error > _TOLERANCE else "")


def _confusions(operator: LinearOperator, y: Tensor) -> dict[str, Tensor]:
    """Operators that an adjoint written by hand may be confused with, and what each gives for y (1, *out_shape)."""
    if y.ndim != 1 + len(operator.in_shape):
        return {}
    confusions = {}
    if y.shape[1:] == operator.in_shape:
        confusions["forward itself; the adjoint of a convolution has its kernel flipped"] = operator(y)
    zero = torch.zeros(1, *operator.in_shape).to(y)
    for axis in range(2, y.ndim):
        mirrored = pullback(operator.forward, zero, y.flip(axis)).flip(axis)
        confusions[f"that of an operator mirrored along axis {axis - 1}: flip the kernel there"] = mirrored
    return confusions


def dense(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """Aᵀ is the transpose of the dense matrix of A: all of it where it is small, else 64 random columns."""
    rows, columns = prod(operator.out_shape), prod(operator.in_shape)
    if rows * columns <= _DENSE_ENTRIES:
        note, pixels = f"all {rows} x {columns} entries", None
        forward, back = operator.matrix(), operator.T.matrix().T
    else:
        note, pixels = f"{_COLUMNS} random columns of {columns}", torch.randint(columns, (_COLUMNS,), generator=generator)
        y = probes.measurements(operator, generator, 1)
        forward = (operator(operator.unit_images(pixels)) * y).flatten(1).sum(1)[None]
        back = operator.adjoint(y).flatten()[pixels.to(y.device)][None]
    error = float((forward - back).abs().max() / forward.abs().max().clamp(min=torch.finfo(forward.dtype).tiny))
    if error <= _TOLERANCE:
        return Verdict("dense", error, note=note)
    row, column = torch.nonzero((forward - back).abs() > _TOLERANCE * forward.abs().max())[0].tolist()
    place = f"A[{row}, {column}]" if pixels is None else f"⟨A e, y⟩ for e at {int(pixels[column])}"
    by_adjoint, entry = float(back[row, column]), float(forward[row, column])
    fault = f"{place} is {entry:.6g} but {by_adjoint:.6g} by the adjoint"
    return Verdict("dense", error, in_single_precision(error) or fault)


def norm(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """norm() is the largest singular value to 1%, from below."""
    rows, columns = prod(operator.out_shape), prod(operator.in_shape)
    if rows * columns > _SVD_ENTRIES:
        return Verdict("norm", note=f"not compared: a matrix of {rows} x {columns} is large for an SVD")
    largest, claimed = float(torch.linalg.matrix_norm(operator.matrix(), 2)), operator.norm()
    error = abs(largest - claimed) / largest if largest else claimed
    right = claimed <= largest * (1 + 1e-7) and largest <= 1.01 * claimed
    return Verdict("norm", error, "" if right else f"norm() is {claimed:.6g}, the largest singular value {largest:.6g}")


def copies(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """deepcopy, pickle and a round trip by ``.to()`` keep what the operator does."""
    x = probes.images(operator, generator)
    out, note = operator(x), ""
    there_and_back = deepcopy(operator).to(torch.float32).to(torch.float64)
    duplicates = {"deepcopy": (deepcopy(operator), _TOLERANCE), ".to(float32) and back": (there_and_back, 1e-5)}
    hidden = [type(part).__name__ for part in operator.modules() if not probes.importable(type(part))]
    if hidden:
        note = f"not pickled: {hidden[0]} cannot be imported by its name"
    else:
        duplicates["pickle"] = (pickle.loads(pickle.dumps(operator)), _TOLERANCE)
    for name, (copy, tolerance) in duplicates.items():
        if (error := probes.distance(copy(x), out)) > tolerance:
            return Verdict("copies", error, f"{name} changes what the operator does")
    return Verdict("copies", note=note)


FIRST_LAWS = (movable, purity, dtype, shape, layout, batch)
LINEAR_LAWS = (linearity, adjoint, dense, norm)
DERIVATIVE_LAWS = (gradient, taylor, copies)
