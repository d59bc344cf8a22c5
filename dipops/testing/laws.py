"""The laws of operators: one function a law, and ``check``, which tries them all on one operator."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log10, prod
from typing import Any, Literal

import torch
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32, has_float64
from dipops._tools.seeds import GlobalDraws
from dipops.errors import BadType, LawError, first_line, require_choice, require_instance
from dipops.operators import LinearOperator, LinearOrDifferentiableOperator
from dipops.operators.autodiff import pullback
from dipops.testing import probes
from dipops.testing.diagnosis import diagnose_adjoint, in_single_precision

CheckPrecision = Literal["double", "single"]
_DENSE_ENTRIES = 10**7
_SVD_ENTRIES = 10**6
_COLUMNS = 64
_REDRAWS = 8
_PATHS = 3
_PARTS = (8, 32, 128, 512)
_SMALL = 4096
_ENTRIES_AT_ONCE = 2**20
_LIKE_THE_INPUT = "create tensors like the input, with x.new_ones(...) say, or assign them to self in __init__"
_WITH_NUMPY = "write x.numpy(force=True), and torch.as_tensor(y).to(x) on the way back"
_FROM_NUMPY = "NumPy makes float64: write torch.as_tensor(k).float()"
_GLOBAL_STATE = "applying it changes the global random state: use a torch.Generator of its own"
_CUT = "a backward is wrong, or something inside cuts the graph, such as detach(), no_grad() or numpy"
_OF_DTYPES = ("dtype", "scalar type", "Double", "Float", "should be the same")
_ABOUT_DTYPES = (*_OF_DTYPES, "device", "type")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one law for an operator.

    Attributes:
        law: its name.
        error: relative, where there is one.
        fault: what is wrong; empty where the law holds.
        note: what the law could not compare, or how it did.
        ends: the other laws say nothing until this one holds.
    """

    law: str
    error: float | None = None
    fault: str = ""
    note: str = ""
    ends: bool = False


Law = Callable[[Any, torch.Generator], Verdict]


@dataclass(frozen=True)
class Report:
    """The verdicts of the laws that were tried, and how many were not because another failed first; prints as a table."""

    operator: str
    verdicts: tuple[Verdict, ...]
    untried: int = 0
    remark: str = ""

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
        return "\n".join([*lines, f"  {end}{self.remark and f'; {self.remark}'}"])


@usual_defaults()
@full_float32()
def check(operator: LinearOrDifferentiableOperator, strict: bool = True, precision: CheckPrecision = "double") -> Report:
    """Try every law on a copy of the operator, where it is, from a fixed seed; on the CPU where its device has no float64.

    Small shapes show most, for there one wrong pixel is a large error; try an odd one such as (3, 9, 13) and an even one
    such as (3, 10, 14), since strides and centres err on one of them only. Nonlinear operators are tried on values in
    [-1, 2] where they are finite there, else in [0, 1]. An exception raised by the operator's own ``forward`` on a zero
    image comes through as it is, unless it is about dtypes or devices, which a law diagnoses.

    Args:
        operator: any operator; it is left as it was.
        strict: raise where a law is broken; otherwise the report says so.
        precision: "double" tries the operator in float64, to 1e-11; "single" in float32, to 1e-5, which is for an operator
            that computes in float32 inside.

    Raises:
        LawError: a law is broken. It says which and why, and carries the report.
        BadType: ``operator`` is none, or its ``__init__`` does not call ``super().__init__``.
        BadValue: ``precision`` is another word.
    """
    expected = "an operator, such as Identity((3, 9, 13))"
    require_instance(operator, LinearOrDifferentiableOperator, "operator", expected, "inherit from LinearOperator, say")
    require_choice("precision", precision, CheckPrecision)
    laws = (*FIRST_LAWS, *(LINEAR_LAWS if isinstance(operator, LinearOperator) else ()), *DERIVATIVE_LAWS)
    verdicts = tuple(_verdicts(operator, laws, torch.float64 if precision == "double" else torch.float32))
    name, in_repr = _name(operator)
    device = operator._like.device
    remark = "" if has_float64(device) else f"tried on the CPU but for movable, since {device.type} has no float64"
    report = Report(name, (*in_repr, *verdicts), len(laws) - len(verdicts), remark)
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


def _name(operator: LinearOrDifferentiableOperator) -> tuple[str, tuple[Verdict, ...]]:
    """The operator's repr, and a verdict where that raises."""
    try:
        return repr(operator), ()
    except Exception as error:  # whatever a user's repr raises is the diagnosis
        fault = f"repr(A) raises {type(error).__name__}: {first_line(error)}; messages need it: leave __repr__ out or mend it"
        return type(operator).__name__, (Verdict("repr", fault=fault),)


def _verdicts(operator: LinearOrDifferentiableOperator, laws: Sequence[Law], to: torch.dtype) -> Iterator[Verdict]:
    found: dict[str, dict[str, Any]] = {}
    for law in laws:
        copy = probes.copied(operator).requires_grad_(False)
        if law is not movable and not has_float64(operator._like.device):
            copy.cpu()
        if law not in (movable, purity):
            probes.tell(copy.to(to), found)
        yield (verdict := _judge(law, copy))
        if verdict.ends:
            return
        if law is movable:  # on a copy: tracing would hide from purity what the first call changes
            _ = probes.copied(operator).out_shape
        if law is autograd:
            found = probes.found(copy)


def _judge(law: Law, operator: LinearOrDifferentiableOperator) -> Verdict:
    try:
        return law(operator, torch.Generator().manual_seed(0))
    except Exception as error:  # whatever a user's operator raises is the diagnosis
        if law in (purity, autograd) and _is_about_dtypes(error) and _judge(dtype, probes.copied(operator)).fault:
            return Verdict(law.__name__, note="not tried: see dtype")
        return Verdict(law.__name__, fault=f"{type(error).__name__}: {first_line(error)}")


def movable(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """Every tensor and module is registered, so that ``.to()`` moves it, and none has another dtype than the images."""
    for module in operator.modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules") and probes.holds_tensor(value):
                where = f"{type(module).__name__}.{name} is a {type(value).__name__} that holds tensors"
                fault = f"{where}, which .to() does not move: assign each tensor to self by itself"
                return Verdict("movable", fault=fault, ends=True)
    like = operator._like
    for name, tensor in (*operator.named_parameters(), *operator.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != like.dtype:
            fault = f"{name} is {_short(tensor.dtype)} and images are {_short(like.dtype)}: {_FROM_NUMPY}"
            return Verdict("movable", fault=fault, ends=True)
    return _runs_where_it_is(operator)


def _runs_where_it_is(operator: LinearOrDifferentiableOperator) -> Verdict:
    """Whether each map runs on the operator's device as on the CPU, and ``forward`` in its dtype as in float64."""
    like, on_device = operator._like, operator._like.device.type != "cpu"
    failures = _failures(operator, every_map=on_device)
    if on_device:
        on_cpu = _failures(probes.copied(operator).cpu(), every_map=True)
        for name in (name for name in failures if name not in on_cpu):
            fault = f"on {like.device} {name} {failures[name]}: {_advice_on_devices(failures[name])}"
            return Verdict("movable", fault=fault, ends=True)
    if not (failure := failures.get("forward", "")):
        return Verdict("movable")
    if like.dtype != torch.float64 and "forward" not in _failures(probes.copied(operator).cpu().double(), every_map=False):
        return Verdict("movable", fault=f"in {_short(like.dtype)} forward {failure}: {_FROM_NUMPY}", ends=True)
    if "device" in failure:
        return Verdict("movable", fault=f"forward {failure}: {_advice_on_devices(failure)}", ends=True)
    if any(word in failure for word in _OF_DTYPES):
        return Verdict("dtype", fault=f"in {_short(like.dtype)} forward {failure}: {_LIKE_THE_INPUT}", ends=True)
    return Verdict("movable")


def _advice_on_devices(failure: str) -> str:
    return _WITH_NUMPY if "numpy" in failure or "gives" in failure else _LIKE_THE_INPUT


def _failures(operator: LinearOrDifferentiableOperator, every_map: bool) -> dict[str, str]:
    """What each map that fails does instead: ``forward`` on a zero image, and then perhaps every map."""
    failures: dict[str, str] = {}
    try:
        operator._trace()
        maps = _maps(operator, torch.Generator().manual_seed(0)) if every_map else []
    except Exception as error:  # whatever a user's operator raises
        return {"forward": _raised(error)}
    for name, function, _ in maps:
        try:
            out = function()
        except Exception as error:  # the same
            failures[name] = _raised(error)
        else:
            if out.device != operator._like.device:
                failures[name] = f"gives a tensor on {out.device}"
    return failures


def _raised(error: Exception) -> str:
    return f"raises {first_line(error) or type(error).__name__!r}"


def autograd(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """Autograd follows forward, or the operator has an adjoint, or vjp and jvp, of its own."""
    linear = isinstance(operator, LinearOperator)
    base = LinearOperator if linear else LinearOrDifferentiableOperator
    methods = ("adjoint",) if linear else ("vjp", "jvp")
    if not operator._leaves_torch or all(getattr(type(operator), name) is not getattr(base, name) for name in methods):
        return _differentiates(operator, generator)
    advice = f"write it in torch operations, or write {' and '.join(methods)} too"
    return Verdict("autograd", fault=f"forward leaves PyTorch ({operator._leaves_torch}): {advice}", ends=True)


def _differentiates(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    try:
        operator.vjp(probes.images(operator, generator, 1), probes.measurements(operator, generator, 1))
    except BadType as error:
        return Verdict("autograd", fault=first_line(error).partition(".")[2], ends=True)
    except Exception:  # the laws that follow say more
        pass
    return Verdict("autograd")


def dtype(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The default dtype in, the default dtype out; float64 in, float64 out: forward, adjoint and derivatives."""
    for expected in dict.fromkeys((torch.get_default_dtype(), operator._like.dtype)):
        name = "forward"  # which traces the shape, and may be tried to choose the images
        try:
            for name, function, _ in _maps(operator.to(expected), generator):
                if (out := function()).dtype != expected:
                    advice = _FROM_NUMPY if expected == torch.float32 else f'{_LIKE_THE_INPUT}, or check(A, precision="single")'
                    fault = f"{expected} in, {out.dtype} out of {name}: {advice}"
                    return Verdict("dtype", fault=fault, ends=name == "forward")
        except (RuntimeError, TypeError) as error:
            if not _is_about_dtypes(error):
                raise
            fault = f"in {_short(expected)} {name} raises {first_line(error)!r}: {_LIKE_THE_INPUT}"
            return Verdict("dtype", fault=fault, ends=True)
    return Verdict("dtype")


def _is_about_dtypes(error: Exception) -> bool:
    return any(word in str(error) for word in _ABOUT_DTYPES)


def _short(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _maps(
    operator: LinearOrDifferentiableOperator, generator: torch.Generator
) -> list[tuple[str, Callable[[], Tensor], tuple[int, ...]]]:
    """Every map of an operator, applied to a batch of two: its name, what it gives, and the shape that should have."""
    x, v = probes.images(operator, generator), probes.measurements(operator, generator)
    image, measurement = (2, *operator.in_shape), (2, *operator.out_shape)
    by_hand = [("adjoint", lambda: operator.adjoint(v), image)] if isinstance(operator, LinearOperator) else []
    derivatives = [("vjp", lambda: operator.vjp(x, v), image), ("jvp", lambda: operator.jvp(x, x), measurement)]
    return [("forward", lambda: operator(x), measurement), *by_hand, *derivatives]


def purity(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The same input gives the same output, and neither the input, the operator nor the global random state changes."""
    with GlobalDraws() as draws:
        verdict = _purity(operator, generator)
    if draws.seen and not verdict.ends:
        return Verdict("purity", fault=_GLOBAL_STATE)
    return verdict


def _purity(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    before, random_state = probes.state(operator), torch.get_rng_state()
    calls: list[tuple[str, Callable[[Tensor], Tensor], Tensor]] = [
        ("forward", operator.forward, probes.images(operator, generator, 1))
    ]
    if isinstance(operator, LinearOperator) and type(operator).adjoint is not LinearOperator.adjoint:
        calls.append(("adjoint", operator.adjoint, probes.measurements(operator, generator)))
    worst = 0.0
    for name, function, x in calls:
        original, other = x.clone(), torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)
        with torch.no_grad():
            once = function(x).clone()
            function(other)
            again = function(original.clone())
        if not torch.equal(x, original):
            return Verdict("purity", fault=f"{name} changes its input: work on a copy, x.clone()", ends=True)
        worst = max(worst, probes.distance(once, again))
        if worst > probes.tolerance(operator):
            fault = f"{name} gives another output for the same input: it remembers or is random"
            return Verdict("purity", worst, fault, ends=True)
    if not torch.equal(random_state, torch.get_rng_state()):
        return Verdict("purity", fault=_GLOBAL_STATE)
    after = probes.state(operator)
    changed = [name for name, value in after.items() if name not in before or not probes.same(before[name], value)]
    if changed:
        fault = f"applying it changes {', '.join(changed)}: it remembers; keep nothing between calls"
        return Verdict("purity", fault=fault, ends=any(isinstance(after[name], Tensor) for name in changed))
    return Verdict("purity", worst)


def shape(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """(N, *in_shape) gives (N, *out_shape), vjp and adjoint give (N, *in_shape), and all are finite."""
    for name, function, expected in _maps(operator, generator):
        out = function()
        if tuple(out.shape) != expected:
            return Verdict("shape", fault=f"{name} gives {tuple(out.shape)} instead of {expected}")
        if not out.isfinite().all():
            return Verdict("shape", fault=f"{name} gives values that are not finite")
    return Verdict("shape", note=f"{operator.in_shape} gives {operator.out_shape}")


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
        if error > probes.tolerance(operator):
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
    fault = "the images of a batch influence each other" if worst > probes.tolerance(operator) else ""
    return Verdict("batch", worst, fault)


def known(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """Outputs that ``known`` marks as unknown are the same for every image."""
    informative = operator.known
    if informative is None:
        return Verdict("known", note="all outputs")
    if tuple(informative.shape) != operator.out_shape or informative.dtype != torch.bool:
        given = f"{informative.dtype} of shape {tuple(informative.shape)}"
        return Verdict("known", fault=f"known is {given}: give torch.bool of shape {operator.out_shape}, or None")
    with torch.no_grad():
        out = operator(probes.images(operator, generator, 4))
    changing = ((out != out[:1]).any(0) & ~informative.to(out.device)).nonzero()
    if len(changing):
        return Verdict("known", fault=f"known is False at {tuple(changing[0].tolist())}, where the output depends on the image")
    return Verdict("known", note=f"{int(informative.sum())} of {informative.numel()} outputs")


def gradient(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """vjp is the derivative by automatic differentiation, ⟨Ju, v⟩ = ⟨u, Jᵀv⟩, and linearize(x) is J."""
    x, u = probes.images(operator, generator), probes.images(operator, generator)
    v, limit = probes.measurements(operator, generator), probes.tolerance(operator)
    by_autograd, by_vjp, forward = pullback(operator, x, v), operator.vjp(x, v), operator.jvp(x, u)
    rise = _rise(operator, x, u)
    error = probes.distance(by_vjp, by_autograd)
    if error > limit and probes.mismatch(rise, v, u, by_autograd) < probes.mismatch(rise, v, u, by_vjp):
        return Verdict("gradient", error, diagnose_adjoint(by_vjp[:1], by_autograd[:1]).replace("adjoint", "vjp"))
    if error > limit:
        wrong = diagnose_adjoint(by_autograd[:1], by_vjp[:1]).replace("the adjoint", "it")
        return Verdict("gradient", error, f"autograd does not give the derivative of forward, as vjp does: {_CUT}; {wrong}")
    error = max(error, probes.mismatch(forward, v, u, by_vjp))
    if error > limit:
        wrong = "vjp" if probes.distance(forward, rise) < probes.mismatch(rise, v, u, by_vjp) else "jvp"
        return Verdict("gradient", error, f"⟨Ju, v⟩ differs from ⟨u, Jᵀv⟩: {wrong} is wrong")
    error = max(error, probes.distance(operator.linearize(x[:1])(u[:1]), forward[:1]))
    return Verdict("gradient", error, "linearize(x) is not the Jacobian at x" if error > limit else "")


@torch.no_grad()
def _rise(operator: LinearOrDifferentiableOperator, x: Tensor, u: Tensor) -> Tensor:
    """Ju by central differences."""
    step = torch.finfo(x.dtype).eps ** (1 / 3)
    return (operator(x + step * u) - operator(x - step * u)) / (2 * step)


def taylor(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """The remainder of the first-order Taylor expansion falls as the square of the step, and slopes add up to the rise.

    A draw near a kink of ReLU or max-pooling is drawn again. The slopes J(x) d along a path from a to a + d sum to
    A(a + d) - A(a), the fundamental theorem of calculus; those of forward with jumps, such as rounding, do not.
    """
    if operator._like.dtype == torch.float64:
        verdict = _remainder(operator, generator)
        if verdict.fault:
            return verdict
    elif isinstance(operator, LinearOperator):
        return Verdict("taylor", note="follows from linearity in float32")
    else:
        verdict = Verdict("taylor", note="slopes along paths only, in float32")
    if isinstance(operator, LinearOperator):
        return verdict
    for _ in range(_PATHS if prod(operator.in_shape) <= _SMALL else 1):
        if error := _missed_rise(operator, generator):
            fault = "the slopes along a path do not add up to what forward rises, however fine the steps"
            return Verdict("taylor", error, f"{fault}: forward jumps, as round() does, or {_wrong_jvp(operator)}")
    return verdict


def _missed_rise(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> float:
    """The relative error of the slopes summed along a path, if it does not fall, there and on parts of the path; else 0.

    A kink next to an end of the path would hide that it falls: it is not within other ends.
    """
    start, change = probes.path(operator, generator)
    errors = [0.0]
    for _ in range(_PATHS):
        errors = _path_errors(operator, start, change)
        if errors[-1] <= _path_tolerance(operator) or min(errors) <= 0.6 * max(errors):
            return 0.0
        low, high = (torch.rand(2, generator=generator, dtype=torch.float32) / 4).tolist()
        start, change = start + low * change, (1 - low - high) * change
    return errors[-1]


def _remainder(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
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
    return Verdict("taylor", fine, f"the remainder falls with order {order:.2f} instead of 2: {_wrong_jvp(operator)}")


def _wrong_jvp(operator: LinearOrDifferentiableOperator) -> str:
    if type(operator).jvp is LinearOrDifferentiableOperator.jvp:
        return f"autograd does not give its derivative: {_CUT}"
    return "jvp is not the derivative"


@torch.no_grad()
def _path_errors(operator: LinearOrDifferentiableOperator, start: Tensor, change: Tensor) -> list[float]:
    """How far the sum of the slopes along a path in 8, 32, 128 and 512 parts is from the rise, until it is seen to fall."""
    rise = operator(start + change) - operator(start)
    errors: list[float] = []
    for parts in _PARTS:
        places = ((torch.arange(parts, dtype=torch.float64) + 0.5) / parts).to(start).view(-1, *(1 for _ in operator.in_shape))
        slopes = torch.zeros_like(rise)
        for some in places.split(max(1, _ENTRIES_AT_ONCE // start.numel())):
            slopes += operator.jvp(start + some * change, change.expand(len(some), *change.shape[1:])).sum(0) / parts
        errors.append(probes.distance(slopes, rise))
        if errors[-1] < _path_tolerance(operator) or errors[-1] < 0.3 * errors[0]:
            break
    return errors


def _path_tolerance(operator: LinearOrDifferentiableOperator) -> float:
    return 1e-9 if operator._like.dtype == torch.float64 else 1e-5


def linearity(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """A(2x - 3y) = 2 A(x) - 3 A(y) and A(0) = 0, for values of any size."""
    x, y = 10 * probes.images(operator, generator), probes.images(operator, generator)
    offset = operator(torch.zeros_like(x))
    if offset.any():
        fault = "A(0) is not 0: it is affine; move the offset into y, or inherit DifferentiableOperator"
        return Verdict("linearity", fault=fault, ends=True)
    error = probes.distance(operator(2 * x - 3 * y), 2 * operator(x) - 3 * operator(y))
    if error <= probes.tolerance(operator):
        return Verdict("linearity", error, note="" if operator(x).any() else "it gives 0")
    fault = in_single_precision(error) or "A(2x - 3y) is not 2 A(x) - 3 A(y): inherit from DifferentiableOperator"
    return Verdict("linearity", error, fault, ends=True)


def adjoint(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """⟨Ax, y⟩ = ⟨x, Aᵀy⟩, relative to ‖Ax‖ ‖y‖, Aᵀ is the transpose of the dense matrix, and gram is AᵀA."""
    x, y = probes.images(operator, generator), probes.measurements(operator, generator)
    back, limit = operator.adjoint(y), probes.tolerance(operator)
    if back.shape != x.shape:
        return Verdict("adjoint", fault=diagnose_adjoint(back, x))
    pixels = probes.some_pixels(operator, generator)
    exact = probes.transposed(operator, y, pixels)
    error = max(probes.mismatch(operator(x), y, x, back), probes.distance(back.flatten(1)[:, pixels], exact))
    if error > limit:
        return Verdict("adjoint", error, _wrong_adjoint(operator, back, exact, y, pixels))
    error = max(error, probes.distance(operator.gram(x), operator.adjoint(operator(x))))
    return Verdict("adjoint", error, "gram is not AᵀA" if error > limit else "")


def _wrong_adjoint(operator: LinearOperator, back: Tensor, exact: Tensor, y: Tensor, pixels: Tensor) -> str:
    """What is wrong with ``back``, which is not the transpose; that is known at some pixels only where there are many."""
    whole = exact.shape[1] == prod(operator.in_shape)
    expected = exact.view_as(back) if whole else pullback(operator.forward, torch.zeros_like(back), y)
    if probes.distance(expected.flatten(1)[:, pixels], exact) > probes.tolerance(operator):
        at = int((back.flatten(1)[:, pixels] - exact)[0].abs().argmax())
        expected, back = exact[:1, at : at + 1], back.flatten(1)[:1, pixels[at : at + 1]]
        return f"the adjoint is wrong: {float(back):.6g} instead of {float(expected):.6g} at flat index {int(pixels[at])}"
    if type(operator).adjoint is LinearOperator.adjoint:
        words = diagnose_adjoint(back[:1], expected[:1]).replace("the adjoint", "it")
        return f"autograd does not give the transpose of forward: {_CUT}; {words}"

    def transpose(y: Tensor) -> Tensor:
        if whole:
            return probes.transposed(operator, y, pixels).view(-1, *operator.in_shape)
        return pullback(operator.forward, torch.zeros_like(back[:1]), y)

    return diagnose_adjoint(back[:1], expected[:1], _confusions(operator, y[:1], transpose))


def _confusions(operator: LinearOperator, y: Tensor, transpose: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Operators that an adjoint written by hand may be confused with, and what each gives for y (1, *out_shape)."""
    if y.ndim != 1 + len(operator.in_shape):
        return {}
    confusions = {}
    if y.shape[1:] == operator.in_shape:
        confusions["forward itself; the adjoint of a convolution has its kernel flipped"] = operator(y)
    for axis in range(2, y.ndim):
        mirrored = transpose(y.flip(axis)).flip(axis)
        confusions[f"that of an operator mirrored along axis {axis - 1}: flip the kernel there"] = mirrored
    return confusions


def dense(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """Aᵀ is the transpose of the dense matrix of A: all of it where it is small, else 64 random columns."""
    rows, columns, limit = prod(operator.out_shape), prod(operator.in_shape), probes.tolerance(operator)
    if rows * columns <= _DENSE_ENTRIES:
        note, pixels = f"all {rows} x {columns} entries", None
        forward, back = operator.matrix(), operator.T.matrix().T
    else:
        note, pixels = f"{_COLUMNS} random columns of {columns}", torch.randint(columns, (_COLUMNS,), generator=generator)
        y = probes.measurements(operator, generator, 1)
        forward = probes.transposed(operator, y, pixels)
        back = operator.adjoint(y).flatten()[pixels.to(y.device)][None]
    error = float((forward - back).abs().max() / forward.abs().max().clamp(min=torch.finfo(forward.dtype).tiny))
    if error <= limit:
        return Verdict("dense", error, note=note)
    row, column = torch.nonzero((forward - back).abs() > limit * forward.abs().max())[0].tolist()
    place = f"A[{row}, {column}]" if pixels is None else f"⟨A e, y⟩ for e at {int(pixels[column])}"
    by_adjoint, entry = float(back[row, column]), float(forward[row, column])
    fault = f"{place} is {entry:.6g} but {by_adjoint:.6g} by the adjoint"
    return Verdict("dense", error, in_single_precision(error) or fault)


def norm(operator: LinearOperator, generator: torch.Generator) -> Verdict:
    """norm() is the largest singular value to 1%, from below."""
    rows, columns = prod(operator.out_shape), prod(operator.in_shape)
    if rows * columns > _SVD_ENTRIES:
        return Verdict("norm", note=f"not compared: a matrix of {rows} x {columns} is large for an SVD")
    largest, claimed = float(torch.linalg.matrix_norm(operator.matrix().cpu().double(), 2)), operator.norm()
    error = abs(largest - claimed) / largest if largest else claimed
    right = claimed <= largest * (1 + max(1e-7, probes.tolerance(operator))) and largest <= 1.01 * claimed
    return Verdict("norm", error, "" if right else f"norm() is {claimed:.6g}, the largest singular value {largest:.6g}")


def copies(operator: LinearOrDifferentiableOperator, generator: torch.Generator) -> Verdict:
    """deepcopy, pickle and a round trip by ``.to()`` keep what the operator does."""
    x, limit = probes.images(operator, generator), probes.tolerance(operator)
    other = torch.float32 if x.dtype == torch.float64 else torch.float64
    out, notes = operator(x), [f"{name} cannot be copied: copies share it" for name in probes.uncopied(operator)]
    there_and_back = probes.copied(operator).to(other).to(x.dtype)
    duplicates = {"deepcopy": (probes.copied(operator), limit), f".to({_short(other)}) and back": (there_and_back, 1e-5)}
    try:
        duplicates["pickle"] = (pickle.loads(pickle.dumps(operator)), limit)
    except Exception as error:  # whatever the objects inside raise
        notes.append(f"not pickled: {_why_not_pickled(operator, error)}")
    for name, (copy, tolerance) in duplicates.items():
        if (error := probes.distance(copy(x), out)) > tolerance:
            return Verdict("copies", error, f"{name} changes what the operator does")
    return Verdict("copies", note="; ".join(notes))


def _why_not_pickled(operator: LinearOrDifferentiableOperator, error: Exception) -> str:
    hidden = [type(part).__name__ for part in operator.modules() if not probes.importable(type(part))]
    return f"{hidden[0]} cannot be imported by its name" if hidden else first_line(error)


FIRST_LAWS = (movable, purity, autograd, dtype, shape, layout, batch, known)
LINEAR_LAWS = (linearity, adjoint, dense, norm)
DERIVATIVE_LAWS = (gradient, taylor, copies)
