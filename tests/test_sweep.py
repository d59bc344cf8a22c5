"""A sweep over random combinations: each ends in a right answer, or in a one-line refusal of a documented kind.

One alone, such as number 317: ``python -c "from tests.test_sweep import judged; print(judged(317))"``.
"""

import random
import re
import warnings
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cvxpy
import numpy as np
import pytest
import torch
from torch import Tensor

from dipops import (
    Gaussian,
    Laplace,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Poisson,
    Prior,
    Problem,
    Result,
    solve,
)
from dipops.errors import BadType, BadValue, DipopsError
from dipops.noise import Noise
from dipops.solver.result import Status
from tests.combinations import (
    METHODS,
    NOISES,
    OPERATORS,
    PHOTONS,
    PRIORS,
    RULES,
    Combination,
    combination,
    drawn,
)
from tests.reference import data_term

QUADRATIC = ("none", "none from an image", "Tikhonov", "Tikhonov of weight 0", "smooth")
ENDING = ("discrepancy", "exponential variance", "windowed variance", "held out", "two rules")
ACCURACY = {torch.float64: 1e-4, torch.float32: 1e-3}
ROUNDING = {torch.float64: 1e-7, torch.float32: 2e-4}


@dataclass
class Case:
    """A combination, what it was made into, and what came of it."""

    combination: Combination
    operator: LinearOrDifferentiableOperator
    prior: Prior
    y: Any = None
    noise: Noise | float | None = None
    weights: Tensor | None = None
    truth: Tensor | None = None
    problem: Problem | None = None
    result: Result | None = None
    error: DipopsError | None = None
    changed: list[str] = field(default_factory=list)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The dense matrix of a linear operator in float64, by unit images."""
        images = torch.eye(int(np.prod(self.combination.shape)), dtype=self.combination.dtype)
        return self.operator(images.view(-1, *self.combination.shape)).detach().double().flatten(1).T.numpy()


@dataclass
class Verdict:
    """What the judge found: faults, how the answer compares with a reference where there is one, and the kind of a refusal."""

    faults: list[str] = field(default_factory=list)
    reference: str = ""
    refusal: str = ""


@torch.no_grad()
def measure(case: Case) -> None:
    """Make y, weights and ground truth."""
    c, operator = case.combination, case.operator
    truth = torch.stack([drawn(*c.shape, seed=c.index + k).round(decimals=1) for k in range(c.batch)]).to(c.dtype)
    case.weights = _weights(c, operator.out_shape)
    y = _simulated(operator, truth, case.noise, c) if c.measurement != "zeros" else operator(truth) * 0
    case.y = {
        "large": lambda: 30 * y,
        "negative": lambda: -y - 0.1,
        "integers": lambda: (255 * y).long(),
        "complex": lambda: torch.complex(y, y),
        "half": lambda: y.half(),
        "NaN": lambda: torch.full_like(y, float("nan")),
        "another dtype": lambda: y.float() if c.dtype is torch.float64 else y.double(),
    }.get(c.measurement, lambda: y)()
    if c.measurement == "half":
        case.operator = operator.half()
        case.weights, truth = None if case.weights is None else case.weights.half(), truth.half()
    if c.weights == "NaN where 0" and case.weights is not None and case.y.is_floating_point():
        case.y = torch.where(case.weights > 0, case.y, float("nan"))
    case.truth = truth if c.truth else None


def _simulated(operator: LinearOrDifferentiableOperator, truth: Tensor, noise: Noise | float | None, c: Combination) -> Tensor:
    model = Gaussian(0.05) if noise is None else noise
    return Problem.simulate(operator, truth, model, seed=c.index).y


def _weights(c: Combination, shape: tuple[int, ...]) -> Tensor | None:
    size = (c.batch, *shape) if c.weights in ("one each", "a member of 0", "NaN where 0") else shape
    values = drawn(*size, seed=c.index + 7).to(c.dtype)
    some = (values < 0.7).to(c.dtype)
    some.view(-1, *shape)[(slice(None), *[0] * len(shape))] = 1
    weights = {
        "0 and 1": some,
        "soft": 0.2 + values,
        "soft for all": 0.1 + 2 * values,
        "one each": some * (0.5 + values),
        "NaN where 0": some,
        "all 0": 0 * some,
        "negative": values - 2,
    }.get(c.weights)
    if c.weights == "a member of 0":
        some[-1] = 0
        return some
    return weights


def run(c: Combination) -> Case:
    """Solve it, and look for what a solve must not change."""
    operator, prior = OPERATORS[c.operator].make(c.shape, c.index), PRIORS[c.prior].make(c.shape, c.index)
    case = Case(c, operator.to(c.dtype), prior, noise=NOISES[c.noise])
    try:
        measure(case)
        before = _surroundings(case)
        case.problem = Problem(case.operator, case.y, case.noise, weights=case.weights, truth=case.truth)
        case.result = solved(case.problem, case.prior, c)
        case.changed = [name for name, value in _surroundings(case).items() if not _equal(value, before[name])]
    except DipopsError as error:
        case.error = error
    return case


def solved(problem: Problem, prior: Prior, c: Combination, seed: int | None = None) -> Result:
    return solve(
        problem,
        prior,
        METHODS[c.method],
        steps=c.steps,
        seed=c.index if seed is None else seed,
        callbacks=RULES[c.rule],
        progress=False,
    )


def _surroundings(case: Case) -> dict[str, Any]:
    """Copies of what was given, and of the state of the process."""
    return deepcopy(
        {
            "y": case.y,
            "weights": case.weights,
            "truth": case.truth,
            "operator": dict(case.operator.state_dict()),
            "prior": dict(case.prior.state_dict()),
            "random state of torch": torch.get_rng_state(),
            "random state of NumPy": np.random.get_state()[1],  # noqa: NPY002  (it is the global one that must not change)
            "random state of Python": random.getstate(),
            "process": (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
        }
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    if isinstance(a, Tensor):
        return torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7))
    return bool(np.all(a == b))


def _needs_derivatives(case: Case) -> bool:
    return not OPERATORS[case.combination.operator].derivatives


def _descends(case: Case) -> bool:
    c = case.combination
    convex = c.method in ("conjugate gradient", "exact") or c.method.startswith("primal")
    return not convex and (c.method != "default" or not PRIORS[c.prior].prox or not OPERATORS[c.operator].linear)


def _nothing_measured(case: Case) -> bool:
    """Whether the weights and the zero rows of the operator leave a member without measurements."""
    known = torch.ones(case.operator.out_shape) if case.operator.known is None else case.operator.known
    weights = known[None] if case.weights is None else known * case.weights.view(-1, *case.operator.out_shape)
    return not bool((weights > 0).flatten(1).any(1).all())


def _too_few_to_hold_out(case: Case) -> bool:
    """Whether a value in a few is none, or all, of those that were measured."""
    return int((case.problem or case).y[0].numel()) < 150


def _network_does_not_fit(case: Case) -> bool:
    return len(case.combination.shape) != 3 or min(case.combination.shape[1:]) < 16


@dataclass(frozen=True)
class Refusal:
    """A kind of combination that is refused, by whom, and in which words."""

    reason: str
    applies: Callable[[Case, Combination], bool]
    error: type[DipopsError]
    words: str


REFUSALS = (
    Refusal("integers are not images", lambda case, c: c.measurement == "integers", BadType, "real floating-point"),
    Refusal("complex numbers are pairs", lambda case, c: c.measurement == "complex", BadType, "view_as_real"),
    Refusal("half precision is for networks", lambda case, c: c.measurement == "half", BadValue, "float16"),
    Refusal("y and A have one dtype", lambda case, c: c.measurement == "another dtype", BadValue, "float"),
    Refusal("NaN needs weights", lambda case, c: c.measurement == "NaN", BadValue, "weights that are 0 there"),
    Refusal(
        "photons are not negative", lambda case, c: c.noise in PHOTONS and c.measurement == "negative", BadValue, "at least 0"
    ),
    Refusal(
        "photons are not negative",
        lambda case, c: c.noise in PHOTONS and not OPERATORS[c.operator].nonnegative,
        BadValue,
        "A.x. of at least 0",
    ),
    Refusal("weights are not negative", lambda case, c: c.weights == "negative", BadValue, "weights that are negative"),
    Refusal("nothing was measured", lambda case, c: _nothing_measured(case), BadValue, "weights of 0 for all"),
    Refusal(
        "a network makes images from 16 pixels",
        lambda case, c: _network_does_not_fit(case),
        BadValue,
        "an image of|on images of",
    ),
    Refusal(
        "conjugate gradients solve least squares",
        lambda case, c: c.method == "conjugate gradient" and c.noise in (*PHOTONS, "Laplace"),
        BadValue,
        "least squares",
    ),
    Refusal(
        "convex methods need a linear operator",
        lambda case, c: not _descends(case) and not OPERATORS[c.operator].linear,
        BadType,
        "a LinearOperator",
    ),
    Refusal(
        "conjugate gradients know Tikhonov",
        lambda case, c: c.method == "conjugate gradient" and c.prior not in QUADRATIC,
        BadType,
        "NoPrior or Tikhonov",
    ),
    Refusal(
        "PrimalDual needs a prox",
        lambda case, c: not _descends(case) and not PRIORS[c.prior].prox,
        BadType,
        "a prior with a prox",
    ),
    Refusal(
        "a box for samples and line searches",
        lambda case, c: c.method in ("Langevin", "L-BFGS") and PRIORS[c.prior].box,
        BadValue,
        "no box|does not know the box",
    ),
    Refusal(
        "no image in the box has these pixels",
        lambda case, c: c.method == "exact" and PRIORS[c.prior].box and bool(((case.y < 0) | (case.y > 1)).any()),
        BadValue,
        "outside .0, 1.",
    ),
    Refusal("L-BFGS couples images", lambda case, c: c.method == "L-BFGS" and c.batch > 1, BadValue, "one image"),
    Refusal(
        "mixed is for float32", lambda case, c: c.method == "mixed" and c.dtype is torch.float64, BadValue, "mixed precision"
    ),
    Refusal(
        "samples need the noise",
        lambda case, c: c.method == "Langevin" and c.noise in ("unknown", "none"),
        BadValue,
        "Langevin on",
    ),
    Refusal(
        "the discrepancy needs the noise",
        lambda case, c: c.rule in ("discrepancy", "two rules") and c.noise in ("unknown", "none"),
        BadValue,
        r"Discrepancy\(\) on",
    ),
    Refusal(
        "held-out pixels are pixels",
        lambda case, c: c.rule == "held out" and _too_few_to_hold_out(case),
        BadValue,
        "values held out",
    ),
    Refusal(
        "held-out pixels cannot be watched", lambda case, c: c.rule == "observed held out", BadValue, "Observe|values held out"
    ),
    Refusal(
        "the oracle needs the truth", lambda case, c: c.rule in ("oracle", "looks on") and not c.truth, BadValue, "ground truth"
    ),
    Refusal("a forward in NumPy has no derivative", lambda case, c: _needs_derivatives(case), BadType, "leaves PyTorch"),
)


def refusal_of(case: Case) -> str:
    """The kind of the combination's refusal, or nothing where it was not to be expected."""
    text = str(case.error)
    for refusal in REFUSALS:
        if isinstance(case.error, refusal.error) and re.search(refusal.words, text) and refusal.applies(case, case.combination):
            return refusal.reason
    return ""


def weights_of(case: Case, member: int) -> np.ndarray:
    """The weights of a member, flat, as they were given, 0 also for the rows of the operator that are zero."""
    size = int(np.prod(case.operator.out_shape))
    weights = np.ones(size)
    if case.weights is not None:
        given = case.weights.double().view(-1, size).numpy()
        weights = given[member if len(given) > 1 else 0].copy()
    if isinstance(case.operator, LinearOperator):
        weights[~case.matrix.any(1)] = 0
    return weights


def distance(noise: Noise | float | None, ax: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """The data term of one image."""
    if isinstance(noise, Laplace):
        return float(w @ np.abs(ax - y))
    if not isinstance(noise, Poisson):
        return float(0.5 * w @ (ax - y) ** 2)
    z, least = ax + noise.background, y / 1000
    inner = np.maximum(z, least)
    logarithm = np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / np.maximum(inner, 1e-300)), 0)
    tangent = np.where(y > 0, 999 * np.maximum(least - z, 0), 0)
    return float(w @ np.where(y > 0, inner - y + logarithm + tangent, np.abs(z)))


def objective(case: Case, member: int, image: Tensor) -> float:
    """D + R of one image in float64."""
    c = case.combination
    assert case.problem is not None
    measured = case.operator(image[None].to(c.dtype)).detach().double().flatten().numpy()
    y = case.problem.y[member].double().flatten().numpy()
    penalty = PRIORS[c.prior].cost(cvxpy.Constant(image.double().flatten().numpy()), c.shape)
    return distance(case.noise, measured, y, weights_of(case, member)) + (penalty.value if penalty else 0)


def minimum(case: Case, member: int, exact: bool) -> float | None:
    """The least objective by a generic solver; ``exact`` under Ax = y, and None where no image satisfies it."""
    c = case.combination
    assert isinstance(case.operator, LinearOperator)
    assert case.problem is not None
    w = weights_of(case, member)
    counted = w > 0
    A, y, w = case.matrix[counted], case.problem.y[member].double().flatten().numpy()[counted], w[counted]
    x = cvxpy.Variable(A.shape[1])
    cost = PRIORS[c.prior].cost(x, c.shape)
    limits: list[Any] = [x >= 0, x <= 1] if PRIORS[c.prior].box else []
    if exact:
        if np.linalg.norm(A @ np.linalg.lstsq(A, y, rcond=None)[0] - y) > 1e-6 * max(1e-9, np.linalg.norm(y)):
            return None
        limits.append(A @ x == y)
    elif isinstance(case.noise, Poisson):
        cost += continued_photons(A @ x + case.noise.background, y, w)
    else:
        cost += data_term(case.problem, A @ x, y, w)
    problem = cvxpy.Problem(cvxpy.Minimize(cost), limits)
    tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        value = problem.solve(solver="CLARABEL", **tight)  # pyright: ignore[reportArgumentType]
    if problem.status.startswith("infeasible"):
        return None
    assert problem.status.startswith("optimal"), f"the generic solver ended {problem.status}"
    return float(value)  # pyright: ignore[reportArgumentType]


def continued_photons(z: Any, y: np.ndarray, w: np.ndarray) -> Any:
    """The Kullback-Leibler divergence, continued beyond its domain."""
    some, none = np.flatnonzero(y > 0), np.flatnonzero(y == 0)
    total: Any = 0
    if len(some):
        inner = cvxpy.Variable(len(some))
        total += w[some] @ inner - (w * y)[some] @ cvxpy.log(inner) + float(w[some] @ (y[some] * np.log(y[some]) - y[some]))
        total += 999 * w[some] @ cvxpy.abs(inner - z[some])
    if len(none):
        total += w[none] @ cvxpy.abs(z[none])
    return total


def judged(index: int) -> Verdict:
    """The verdict on one combination."""
    c = combination(index)
    verdict = Verdict()
    try:
        case = run(c)
        if case.error is not None:
            verdict.refusal = refusal_of(case)
            if "\n" in str(case.error):
                verdict.faults.append(f"an error of several lines: {case.error}")
            if not verdict.refusal:
                verdict.faults.append(f"{type(case.error).__name__}: {case.error}")
            return verdict
        verdict.faults += case.changed and [f"the solve changed {', '.join(case.changed)}"]
        verdict.faults += faults_of_form(case) + faults_of_numbers(case) + faults_of_a_batch(case)
        if not verdict.faults:
            compare_with_reference(case, verdict)
    except Exception as error:
        verdict.faults.append(f"{type(error).__name__}: {str(error).splitlines()[:1]}")
    return verdict


def faults_of_form(case: Case) -> list[str]:
    """Shape, dtype, finiteness, box, and whether status, message and steps say the same."""
    c, result, problem = case.combination, case.result, case.problem
    assert result is not None
    assert problem is not None
    shape = (c.batch, *c.shape)
    ends = {
        Status.CONVERGED: "converged after",
        Status.STOPPED: "stopped at step|enough",
        Status.MAX_STEPS: f"made all {c.steps} steps",
        Status.ROLLED_BACK: "back at step",
    }
    checks = {
        f"shape {tuple(result.image.shape)}": tuple(result.image.shape) == tuple(result.last.shape) == shape,
        f"dtype {result.image.dtype}": result.image.dtype == result.objective.dtype == c.dtype,
        "an image that is not finite": bool(result.image.isfinite().all() and result.last.isfinite().all()),
        "an image with a gradient": not result.image.requires_grad,
        "an objective that is not finite": bool(result.objective.isfinite().all()),
        "a data_psnr that is NaN": not bool(result.data_psnr.isnan().any()),
        "a NaN in std": result.std is None or bool(result.std.isfinite().all()),
        "values outside the box": not PRIORS[c.prior].box or bool(((result.image >= 0) & (result.image <= 1)).all()),
        f"{result.status} with {result.message!r}": any(w in result.message for w in ends[result.status].split("|")),
        f"{result.steps} steps of {c.steps}": 0 < result.steps <= c.steps,
        "CONVERGED by a rule or a descent": result.status is not Status.CONVERGED
        or (not _descends(case) and c.rule not in ENDING),
        "observed": len(result.observed) == {"oracle": 1, "looks on": 1, "observed": 2}.get(c.rule, 0),
        "MAX_STEPS before the end": result.status is not Status.MAX_STEPS or result.steps == c.steps,
    }
    return [name for name, passed in checks.items() if not passed]


def faults_of_numbers(case: Case) -> list[str]:
    """The objective and data_psnr of the result, against NumPy."""
    c, result, problem = case.combination, case.result, case.problem
    assert result is not None
    assert problem is not None
    relative = 1e-6 if c.dtype is torch.float64 else 2e-3
    faults = []
    for member, image in enumerate(result.image):
        expected, size = objective(case, member, image), objective(case, member, torch.zeros_like(image))
        if abs(float(result.objective[member]) - expected) > relative * max(abs(expected), 1e-3 * size, 1e-9):
            faults.append(f"objective {float(result.objective[member]):.8g}, which is {expected:.8g}")
        w, residual = weights_of(case, member), case.operator(image[None]) - problem.y[member : member + 1]
        rms = float(np.sqrt(w @ residual.detach().double().flatten().numpy() ** 2 / w.sum()))
        if abs(10 ** (-float(result.data_psnr[member]) / 20) - rms) > relative * max(rms, 1e-3):
            faults.append(f"data_psnr {float(result.data_psnr[member]):.6g}, where the residual is {rms:.6g}")
    if case.truth is not None and c.rule in ("oracle", "looks on"):
        scores = result.trace.get("psnr_average", result.trace["psnr"])
        for member, step in enumerate(result.observed[0].image_steps.tolist()):
            if float(scores[step - 1, member]) < float(scores[: result.steps, member].max()) - 1e-3:
                faults.append(f"an oracle at step {step}, which is not the best")
    return faults


def faults_of_a_batch(case: Case) -> list[str]:
    """Whether the last member of a batch comes out the same when it is solved alone."""
    c, result, problem = case.combination, case.result, case.problem
    assert result is not None
    assert problem is not None
    chaotic = PRIORS[c.prior].generator and c.dtype is torch.float32  # rounding grows from step to step
    if c.index % 3 or c.batch == 1 or result.rollbacks or chaotic:
        return []
    last = c.batch - 1
    weights = None if case.weights is None else case.weights.view(-1, *case.operator.out_shape)[-1]
    truth = None if case.truth is None else case.truth[last]
    alone = Problem(case.operator, case.y[last], case.noise, weights=weights, truth=truth)
    again = solved(alone, case.prior, c, seed=c.index + last)
    if again.rollbacks:
        return []
    worst = float((again.image[0] - result.image[last]).abs().max())
    size = float(again.image.abs().max())
    bound = 1e-6 if c.dtype is torch.float64 else 2e-3
    if again.steps != result.steps and result.status is Status.CONVERGED:
        bound = 1e-2  # convergence is looked for at other steps
    if worst > bound * max(size, 1):
        return [f"a member that differs by {worst:.2g} when it is solved alone (steps {again.steps} and {result.steps})"]
    return []


def compare_with_reference(case: Case, verdict: Verdict) -> None:
    """Against the least objective of a generic solver, where the problem is convex; see ``Verdict.reference``."""
    c, result = case.combination, case.result
    assert result is not None
    if not OPERATORS[c.operator].linear or PRIORS[c.prior].generator:
        return
    for member, image in enumerate(result.image):
        fault = fault_under_constraint(case, member, image) if c.method == "exact" else fault_of_objective(case, member, image)
        verdict.faults += [fault] if fault else []
    verdict.reference = "converged" if result.status is Status.CONVERGED else "bounded"


def fault_under_constraint(case: Case, member: int, image: Tensor) -> str:
    """Where the limit Ax = y has converged, whether it exists, holds, and has the least penalty."""
    c, result, problem = case.combination, case.result, case.problem
    assert result is not None
    assert problem is not None
    if result.status is not Status.CONVERGED:
        return ""
    least = minimum(case, member, exact=True)
    if least is None:
        return "CONVERGED to Ax = y, which no image satisfies"
    penalty = PRIORS[c.prior].cost(cvxpy.Constant(image.double().flatten().numpy()), c.shape)
    found = float(penalty.value) if penalty else 0.0
    if abs(found - least) > ACCURACY[c.dtype] * least + ROUNDING[c.dtype]:
        return f"CONVERGED at R = {found:.9g}, where the least is {least:.9g}"
    size = float(problem.y[member].norm())
    difference = (case.operator(image[None]) - problem.y[member]).detach().double().flatten().numpy()
    residual = float(np.linalg.norm(difference[weights_of(case, member) > 0]))
    return f"CONVERGED with a residual of {residual:.2g} of {size:.2g}" if residual > 1e-3 * size + ROUNDING[c.dtype] else ""


def fault_of_objective(case: Case, member: int, image: Tensor) -> str:
    """Whether the objective is no less than the least, and no more where the solve has converged; nor has a descent risen."""
    c, result, problem = case.combination, case.result, case.problem
    assert result is not None
    assert problem is not None
    least, found = minimum(case, member, exact=False), objective(case, member, image)
    assert least is not None
    size = objective(case, member, torch.zeros_like(image))
    rounding = ROUNDING[c.dtype] * max(size, least) + 1e-9
    if found < least - rounding:
        return f"an objective of {found:.9g} below the least, {least:.9g}"
    if result.status is Status.CONVERGED and found > least * (1 + ACCURACY[c.dtype]) + rounding:
        return f"CONVERGED at {found:.9g}, where the least is {least:.9g} (at 0: {size:.4g})"
    whole = c.rule != "held out"  # else the answer fits best what was held out
    if whole and _descends(case) and c.method != "Langevin" and c.measurement != "zeros":  # there it starts near the minimum
        prior = deepcopy(case.prior)
        prior.start(problem, [c.index + k for k in range(c.batch)])
        first = objective(case, member, prior().detach()[member])
        if found > first + rounding:
            return f"a descent from {first:.6g} up to {found:.6g}"
    return ""


def sweep(count: int) -> tuple[list[str], Counter[str], Counter[str]]:
    """Faults of the first combinations, and how many had a reference and were refused, by kind."""
    faults, references, refusals = [], Counter[str](), Counter[str]()
    for index in range(count):
        verdict = judged(index)
        faults += [f"{index}: {fault} [{combination(index)}]" for fault in verdict.faults]
        references[verdict.reference or "none"] += 1
        refusals[verdict.refusal or "none"] += 1
    print(f"of {count}: references {dict(references)}, refusals {dict(refusals)}")  # noqa: T201
    return faults, references, refusals


def assert_sound(count: int) -> None:
    faults, references, refusals = sweep(count)
    assert not faults, "\n".join(faults)
    assert references["converged"] >= 0.1 * count
    assert references["converged"] + references["bounded"] >= 0.4 * count
    assert refusals["none"] >= 0.8 * count


def test_a_few_combinations_are_right_or_refused() -> None:
    assert_sound(12)


@pytest.mark.slow
def test_a_thousand_combinations_are_right_or_refused() -> None:
    assert_sound(1000)
