"""Weights: what was not measured counts nowhere, however the operator says it."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from dipops import (
    DeepImagePrior,
    Descent,
    Hourglass,
    Identity,
    LinearOperator,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    images,
    masks,
    metrics,
    project,
    recipes,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.stopping import Discrepancy, HeldOut
from dipops.tune import SURE, tune
from dipops.tune import Discrepancy as DiscrepancyWeight
from tests.test_interface import MotionBlur
from tests.test_tune import Smear

quiet = partial(solve, progress=False)
SHAPE = (1, 32, 32)
MASK = Mask(masks.random((32, 32), 0.25), 1)


class ZeroFilled(LinearOperator):
    """A user's own operator that fills in what it does not measure with zeros, in NumPy's order of axes."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__((1, *mask.shape[-2:]))
        self.pattern = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(self.pattern > 0, x, 0)


SAME = {
    "Mask": MASK,
    "Mask @ Identity": MASK @ Identity(SHAPE),
    "Identity @ Mask": Identity(SHAPE) @ MASK,
    "2 Mask / 2": 0.5 * (2.0 * MASK),
    "transposed": MASK.T,
    "zero-filled": ZeroFilled(MASK.mask),
    "weights": Identity(SHAPE),
}


def problem_of(name: str) -> Problem:
    x = images.portrait(32)[:1]
    weights = MASK.mask.expand(SHAPE) if name == "weights" else None
    return Problem.simulate(SAME[name], x, 0.1, weights=weights)


@pytest.mark.parametrize("name", SAME)
def test_one_measurement_is_one_problem_however_it_is_written(name: str) -> None:
    problem, plain = problem_of(name), problem_of("Mask")
    assert problem.weights is not None
    assert plain.weights is not None
    assert problem.weights.equal(plain.weights)
    torch.testing.assert_close(problem.y, plain.y)
    assert float(problem.data_psnr(problem.truth)) == pytest.approx(20, abs=0.5)
    assert not problem.y[problem.weights.expand_as(problem.y) == 0].any()


def test_rules_choose_and_stop_as_on_the_mask_itself() -> None:
    mask = Mask(masks.random((16, 16), 0.5), 1)
    weights, stops = [], []
    for operator in (mask, ZeroFilled(mask.mask)):
        problem = Problem.simulate(operator, images.portrait(32)[:1, 8:24, 8:24], 0.1)
        tuned = tune(problem, TotalVariation, DiscrepancyWeight(), method=Descent(steps=30), weights=(0.04, 0.08))
        weights.append(tuned.weight)
        result = quiet(problem, DeepImagePrior(Hourglass((8, 8), skips=4)), steps=150, callbacks=[Discrepancy()])
        stops.append(int(result.image_steps))
    assert weights[1] == pytest.approx(weights[0], rel=1e-3)
    assert abs(stops[1] - stops[0]) <= 2


@pytest.mark.parametrize("name", ["Mask", "weights"])
def test_sure_counts_what_was_measured(name: str) -> None:
    problem = problem_of(name)
    tuned = tune(problem, TotalVariation, SURE(), method=PrimalDual(tolerance=1e-3), weights=(0.04, 0.08), progress=False)
    trial = min(tuned.trials, key=lambda trial: abs(trial.weight - tuned.weight))
    error = (problem.operator(tuned.result.image) - problem.operator(problem.truth)).square()
    assert trial.estimate == pytest.approx(float(problem.mean_measured(error)), rel=0.3)


def test_nan_may_stand_where_nothing_was_measured() -> None:
    x = images.portrait(32)[:1]
    blur = MotionBlur(SHAPE)
    y = blur(x[None])
    weights = torch.ones_like(y)
    weights[..., 5:9, :] = 0
    hole = torch.where(weights > 0, y, math.nan)
    problem = Problem(blur, hole, 0, weights=weights, truth=x)
    assert problem.y.isfinite().all()
    for prior in (TotalVariation(1e-4), Tikhonov(1e-4), NoPrior()):
        assert quiet(problem, prior, steps=100).image.isfinite().all()
    assert project(problem, x[None]).allclose(x[None], atol=1e-4)
    with pytest.raises(BadValue, match="NaN.*give weights"):
        Problem(blur, hole)


def test_each_member_of_a_batch_has_its_own_mask() -> None:
    x = images.portrait(32)[:1]
    known = torch.stack([masks.random((32, 32), 0.5, seed=seed).expand(SHAPE) for seed in (0, 1)])
    batch = Problem.simulate(Identity(SHAPE), torch.stack([x, x.flip(-1)]), 0.05, weights=known)
    together = quiet(batch, TotalVariation(0.03))
    for k in range(2):
        alone = quiet(Problem(Identity(SHAPE), batch.y[k], 0.05, weights=known[k]), TotalVariation(0.03))
        torch.testing.assert_close(together.image[k], alone.image[0], atol=1e-4, rtol=0)
    assert len(batch.repeat(3).weights) == 6
    fitted = HeldOut(0.2).fitted(batch)
    assert fitted.weights is not None
    assert ((fitted.weights > 0) <= (known > 0)).all()


def test_a_weight_of_two_is_a_measurement_made_twice() -> None:
    x = images.portrait(32)[:1, :16, :16].double()
    y = torch.rand(2, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    identity = Identity(x.shape).double()
    twice = Problem(identity, y.mean(0), weights=torch.full_like(x, 2.0))
    exact = (2 * y.mean(0)) / (2 + 0.5)
    for method in (None, Descent(partial(torch.optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe"), steps=5)):
        torch.testing.assert_close(quiet(twice, Tikhonov(0.5), method).image[0], exact, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (-torch.ones(SHAPE), "negative"),
        (torch.full(SHAPE, math.nan), "negative, NaN or infinite"),
        (torch.zeros(SHAPE), "weights of 0 for all of a measurement"),
        (torch.ones(3, *SHAPE), "weights of 3 members for 1"),
        (torch.ones(1, 31, 32), "weights has shape"),
    ],
)
def test_weights_are_refused_where_they_do_not_fit(weights: torch.Tensor, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        Problem(Identity(SHAPE), torch.rand(SHAPE), weights=weights)


def test_a_noisy_or_unknown_measurement_is_not_projected() -> None:
    x = images.portrait(32)[:1]
    clean = Problem.simulate(MASK, x, 0)
    recipe = replace(recipes.inpaint_random(), prior=DeepImagePrior(Hourglass((8, 8), skips=4)))
    assert recipe.solve(clean, steps=20, progress=False).projected
    for noise in (None, 0.1):
        problem = Problem(MASK, clean.y, noise)
        assert not recipe.solve(problem, steps=20, progress=False).projected


def test_an_ill_conditioned_operator_is_not_projected() -> None:
    x = images.portrait(32)[:1]
    blur = Smear(SHAPE)
    clean = Problem.simulate(blur, x, 0)
    recipe = replace(recipes.restore(), prior=DeepImagePrior(Hourglass((8, 8), skips=4)))
    result = recipe.solve(clean, steps=30, progress=False)
    best = quiet(clean, recipe.prior, recipe.method, steps=30, callbacks=())
    assert float(metrics.psnr(result.image, x)) >= float(metrics.psnr(best.image, x)) - 0.01
    assert np.isfinite(float(result.data_psnr))


def test_boolean_weights_are_those_of_zeros_and_ones() -> None:
    x = images.portrait(32)
    measured = masks.random((32, 32), 0.5).expand(3, 32, 32) > 0
    given = Problem(Identity(x.shape), x, 0.1, weights=measured).weights
    assert given is not None
    assert given.equal(measured.to(x)[None])


@pytest.mark.parametrize("weights", [[[1.0]], np.ones((3, 32, 32)), 1.0])
def test_weights_that_are_no_tensor_are_refused_in_one_line(weights: Any) -> None:
    x = images.portrait(32)
    with pytest.raises(BadType, match="weights is a .*expected a tensor"):
        Problem(Identity(x.shape), x, 0.1, weights=weights)
