"""An autocast and other defaults around a call change no bit of what it gives, and are as before afterwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    Hourglass,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    check,
    estimate,
    images,
    project,
    prox,
    recipes,
    solve,
)
from dipops.testing.examples import EXAMPLES
from dipops.tune import SURE, tune
from tests.test_interface import MotionBlur

BLUR, SMALL_BLUR = MotionBlur((1, 16, 16), 3), MotionBlur((1, 4, 9))
FEATURES = EXAMPLES["FeatureMap"]((3, 4, 5), torch.Generator().manual_seed(0))
X = images.portrait(32)[:1, :16, :16]
PROBLEM = Problem.simulate(BLUR, X, 0.05)
TINY = DeepImagePrior(Hourglass((4,)))


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS: dict[str, Callable[[], AbstractContextManager]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": default_dtype,
    "meta": lambda: torch.device("meta"),
    "cpu": lambda: torch.device("cpu"),
}
ACTIONS: dict[str, Callable[[], object]] = {
    "Descent": lambda: solve(PROBLEM, TINY, Descent(), steps=2, progress=False).last,
    "pixels": lambda: solve(PROBLEM, NoPrior(), Descent(), steps=2, progress=False).last,
    "ConjugateGradient": lambda: solve(PROBLEM, Tikhonov(0.1), ConjugateGradient(), steps=2, progress=False).image,
    "PrimalDual": lambda: solve(PROBLEM, TotalVariation(0.1), PrimalDual(), steps=2, progress=False).image,
    "recipe": lambda: recipes.restore().solve(PROBLEM, steps=1, progress=False).image,
    "tune": lambda: tune(PROBLEM, Tikhonov, SURE(), method=ConjugateGradient(steps=2), weights=(0.1, 1), progress=False).weight,
    "simulate": lambda: Problem.simulate(BLUR, X, 0.1).y,
    "project": lambda: project(PROBLEM, torch.zeros_like(X)[None]),
    "prox": lambda: prox(TotalVariation(0.1), X[None], gap=1e-2),
    "norm": BLUR.norm,
    "matrix": SMALL_BLUR.matrix,
    "data_term": lambda: PROBLEM.data_term(X[None] / 3),
    "rms_residual": lambda: PROBLEM.rms_residual(X[None] / 3),
    "data_psnr": lambda: PROBLEM.data_psnr(X[None] / 3),
    "estimate": lambda: estimate(PROBLEM, Tikhonov(0.1)).bytes,
    "check": lambda: str(check(SMALL_BLUR)),
    "check features": lambda: str(check(FEATURES)),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", ACTIONS)
def test_what_is_set_around_a_call_changes_no_bit(name: str, context: str) -> None:
    expected = ACTIONS[name]()
    with CONTEXTS[context]():
        before = defaults()
        result = ACTIONS[name]()
        assert defaults() == before
    assert result.equal(expected) if isinstance(expected, torch.Tensor) else result == expected


def defaults() -> tuple[object, ...]:
    return torch.is_autocast_enabled("cpu"), torch.get_default_dtype(), torch.get_default_device()
