"""Stopping rules without ground truth: each keeps the image it says, at the step it says."""

import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    TotalVariation,
    images,
    masks,
    metrics,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.operators.sensor import clipped_noise_moments
from dipops.solver.result import Status
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Mean, Observe, Oracle, WindowedVariance

SMALL, TINY = Hourglass((16, 16), skips=4), Hourglass((8,), skips=2)
RECORDED = Path(__file__).parent / "recorded" / "denoising.npz"


def problem(members: int = 1, size: int = 6) -> Problem:
    return Problem(Identity((1, size, size)), torch.rand(members, 1, size, size, generator=torch.Generator().manual_seed(0)))


def outputs(steps: int, size: int = 6, members: int = 1) -> torch.Tensor:
    """A made-up course of outputs: their scatter falls until step 60 and then grows."""
    noise = torch.randn(steps, members, 1, size, size, generator=torch.Generator().manual_seed(1))
    scatter = 0.02 + (torch.arange(1, steps + 1) / 60 - 1).abs()
    return 0.5 + scatter.view(-1, 1, 1, 1, 1) * noise


def followed(rule, images: torch.Tensor):
    """A started copy of the rule after these outputs; the answer of each step is an image of its number."""
    rule = deepcopy(rule)
    rule.start(problem(images.shape[1], images.shape[-1]))
    for index, image in enumerate(images, 1):
        rule.update(index, image, torch.full_like(image, index))
    return rule


def test_windowed_variance_is_what_it_says() -> None:
    images = outputs(40).double()
    rule = followed(WindowedVariance(10, patience=15), images)
    direct = torch.tensor([float(images[k - 9 : k + 1].var(0, unbiased=False).sum()) for k in range(9, 40)])
    assert float(rule.lowest) == pytest.approx(float(direct.min()), rel=1e-4)
    assert int(rule.image_steps) == int(direct.argmin()) + 10


def test_exponential_variance_is_what_it_says() -> None:
    images, alpha = outputs(200), 0.2
    rule = followed(ExponentialVariance(alpha, patience=500), images)
    mean, variance, curve = torch.zeros(1, 6, 6), 0.0, []
    for image in images[:, 0]:
        variance = (1 - alpha) * (variance + alpha * float((image - mean).square().sum()))
        mean = (1 - alpha) * mean + alpha * image
        curve.append(variance)
    curve = torch.tensor(curve[14:])
    assert int(rule.image_steps) == int(curve.argmin()) + 15
    assert float(rule.lowest) == pytest.approx(float(curve.min()), rel=1e-4)
    assert 50 < int(rule.image_steps) < 90


@pytest.mark.parametrize("rule", [WindowedVariance(20, patience=40), ExponentialVariance(0.2, patience=40)])
def test_a_variance_keeps_the_answer_and_waits(rule) -> None:
    images = outputs(220)
    rule = followed(rule, images)
    assert bool(rule.done)
    assert rule.image.equal(torch.full_like(images[0], int(rule.image_steps)))
    assert "40 steps" in rule.reason()
    assert f"step {int(rule.image_steps)}" in rule.reason()
    early = followed(rule, images[: int(rule.image_steps) + 39])
    assert not bool(early.done)


@pytest.mark.parametrize("rule", [WindowedVariance(20, patience=40), ExponentialVariance(0.2, patience=40)])
def test_each_member_is_followed_by_itself(rule) -> None:
    both = torch.cat([outputs(300), outputs(300).flip(0)], 1)
    together = followed(rule, both)
    for member in range(2):
        alone = followed(rule, both[:, member : member + 1])
        assert int(alone.image_steps) == int(together.image_steps[member])
        assert alone.image[0].equal(together.image[member])


@pytest.mark.parametrize(("value", "sigma"), [(0.0, 0.1), (0.03, 0.1), (0.5, 0.1), (0.9, 0.2), (1.0, 0.3)])
def test_the_moments_of_clipped_noise(value: float, sigma: float) -> None:
    noise = sigma * torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    sampled = (value + noise).clamp(0, 1)
    mean, variance = clipped_noise_moments(torch.tensor(value, dtype=torch.float64), sigma)
    assert float(mean) == pytest.approx(float(sampled.mean()), abs=5e-4)
    assert float(variance) == pytest.approx(float(sampled.var()), rel=0.02)
    assert float(ClippedGaussian(sigma).expected(mean.view(1))) == pytest.approx(float(variance) / 2, rel=1e-4)


def test_clipped_noise_stops_where_least_squares_lead() -> None:
    """On a dark image the mean of many y is lighter than the truth, and the residual around it is far below σ."""
    dark = 0.1 * images.portrait(64)
    many = (dark + 0.1 * torch.randn(2000, *dark.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    for clip in (True, False):
        simulated = Problem.simulate(Identity(dark.shape), dark, ClippedGaussian(0.1) if clip else 0.1)
        fitted = many.mean(0, keepdim=True) if clip else dark[None]
        assert (float(simulated.rms_residual(fitted)) < 0.08) is clip
        assert not _stops(Discrepancy(), replace(simulated, noise=Gaussian(0.098)), fitted)
        assert _stops(Discrepancy(), replace(simulated, noise=Gaussian(0.102)), fitted)


def _stops(rule, problem: Problem, image: torch.Tensor) -> bool:
    rule.start(problem)
    rule.update(1, image, image)
    return bool(rule.done)


def test_the_discrepancy_keeps_the_average_that_centres_on_its_moment() -> None:
    given = problem(members=2)
    rule, mean = Discrepancy(), Mean()
    mean.lag = 3
    rule.start(replace(given, noise=Gaussian(0.1)), mean)
    for index in range(1, 9):
        distance = torch.tensor([0.3 - 0.05 * index, 0.3 - 0.04 * index]).clamp(min=0.01).view(2, 1, 1, 1)
        rule.update(index, given.y + 0.9 * distance, torch.full_like(given.y, index))
    assert rule.image_steps.tolist() == [7, 8]
    assert rule.image[:, 0, 0, 0].tolist() == [7.0, 8.0]
    assert "kept the image of step 7, 8" in rule.reason()


def test_held_out_pixels_are_not_fitted() -> None:
    rule, given = HeldOut(0.3), problem(size=20)
    fitted, chosen = rule.fitted(given), rule.chosen(given)
    assert 0.2 < float(chosen.float().mean()) < 0.4
    changed = given.y + chosen
    assert fitted.data_term(given.y).equal(fitted.data_term(changed))
    rule.start(given)
    rule.update(1, given.y, given.y + 0.5 * chosen)
    assert float(rule.lowest) == pytest.approx(0.5)
    rule.update(2, given.y, given.y + 3.0 * ~chosen)
    assert float(rule.lowest) == 0
    assert int(rule.image_steps) == 2


def test_held_out_pixels_of_a_mask_are_known_ones() -> None:
    mask = masks.random((16, 16), keep=0.5)
    given = Problem.simulate(Mask(mask, channels=3), torch.rand(3, 16, 16), 0)
    rule = HeldOut(0.5)
    rule.start(given)
    fitted = HeldOut(0.5).fitted(given)
    assert fitted.weights is not None
    held_out = rule.chosen(given) & (mask > 0)
    assert (fitted.weights > 0).equal(((mask > 0) & ~held_out).expand(1, 3, 16, 16))


@pytest.mark.parametrize("shape", [(40,), (12, 12), (2, 12, 12), (2, 6, 6, 6)])
def test_measurements_of_any_shape_can_be_held_out(shape: tuple[int, ...]) -> None:
    given = Problem(Identity(shape), torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))
    chosen, fitted = HeldOut(0.3).chosen(given), HeldOut(0.3).fitted(given)
    assert chosen.shape == ((1, *shape[1:]) if len(shape) > 2 else shape)
    assert fitted.weights is not None
    assert (fitted.weights[0] == 0).equal(chosen.expand(shape))
    result = solve(given, NoPrior(), steps=20, callbacks=[HeldOut(0.3, 20)], progress=False)
    assert result.source == ("kept", "kept")


def test_the_discrepancy_stops_each_member_by_its_own_noise() -> None:
    """Only the residual of the first member is clipped: far below σ where the other's is σ."""
    dark = torch.full((1, 32, 32), 0.02)
    noisy = Problem.simulate(Identity(dark.shape), dark, 0.1)
    batch = Problem(noisy.operator, torch.cat([noisy.y.clamp(0, 1), noisy.y]), 0.1)
    for size in torch.linspace(0.03, 0.12, 10):
        image = batch.y + size
        rule = Discrepancy()
        rule.start(batch)
        rule.update(1, image, image)
        alone = [_stops(Discrepancy(), Problem(batch.operator, y, 0.1), image[k : k + 1]) for k, y in enumerate(batch.y)]
        assert rule.done.tolist() == alone


@pytest.mark.parametrize("rule", [ExponentialVariance(0.05, patience=100), WindowedVariance(90, patience=100)])
def test_a_variance_stops_a_recorded_run_near_its_best(rule) -> None:
    """The settings are those that the benchmarks chose on other images."""
    recorded = np.load(RECORDED)
    outputs = torch.from_numpy(recorded["outputs"]).view(len(recorded["outputs"]), 1, 1, 1, -1)
    rule.start(Problem(Identity((1, 1, outputs.shape[-1])), outputs[0]))
    for index, output in enumerate(outputs, 1):
        rule.update(index, output, output)
    curve = recorded["psnr_average"]
    assert bool(rule.done)
    assert curve[int(rule.image_steps) - 1] > curve.max() - 0.5


@pytest.mark.parametrize("rule", [HeldOut(0.1, 100), Discrepancy()])
def test_a_rule_stops_the_deep_image_prior_near_its_best(rule) -> None:
    """Small images are fitted, noise and all, within 450 steps; each rule keeps one that is less than 1 dB from the best."""
    simulated = Problem.simulate(Identity((3, 32, 32)), images.portrait(256)[:, 60:92, 100:132], ClippedGaussian(0.1))
    exact = Descent(precision="full")
    result = solve(simulated, DeepImagePrior(SMALL), exact, steps=450, callbacks=[rule], progress=False)
    average = result.trace["psnr_average"][:, 0]
    assert (result.status, result.source) == (Status.STOPPED, ("stopped",))
    assert not result.last.equal(result.image)
    assert float(average[int(result.image_steps) - 1]) > float(average.max()) - 1


def test_a_downsampled_measurement_can_be_held_out() -> None:
    given = Problem.simulate(LanczosDownsampler((3, 32, 32), 2), images.portrait(32), 0.05)
    result = solve(given, NoPrior(), steps=50, callbacks=[HeldOut(0.2, 20)], progress=False)
    assert result.source == ("kept",)
    assert math.isfinite(float(result.data_psnr))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HeldOut(0), "fraction = 0"),
        (lambda: HeldOut(0.1, 0), "patience = 0"),
        (lambda: HeldOut("0.1"), "fraction = '0.1'"),
        (lambda: WindowedVariance("100"), "window = '100'"),
        (lambda: ExponentialVariance("0.1"), "alpha = '0.1'"),
        (lambda: WindowedVariance(1), "window = 1"),
        (lambda: ExponentialVariance(1.0), "alpha = 1.0"),
        (lambda: ExponentialVariance(patience=-1), "patience = -1"),
        (lambda: HeldOut().fitted(Problem(Identity((1,)), torch.rand(1, 1))), "of 1 measured values held out"),
    ],
)
def test_rules_refuse(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()


def test_an_observed_rule_keeps_what_it_would_have_kept() -> None:
    x = images.portrait(32)
    noisy = Problem.simulate(Identity(x.shape), x, 0.1)
    rule = ExponentialVariance(0.2, patience=20)
    obeyed = solve(noisy, DeepImagePrior(TINY), steps=120, callbacks=(rule,), progress=False)
    assert obeyed.source == ("stopped",)
    result = solve(noisy, DeepImagePrior(TINY), steps=120, callbacks=(Observe(rule), Oracle()), progress=False)
    assert (result.steps, result.status, result.source) == (120, Status.MAX_STEPS, ("average",))
    observed, oracle = result.observed
    assert observed.image.equal(obeyed.image)
    assert observed.image_steps.equal(obeyed.image_steps)
    assert (bool(observed.stopped), bool(oracle.stopped)) == (True, False)
    curve = result.trace["psnr_average"][:, 0]
    assert int(oracle.image_steps) == int(curve.argmax()) + 1
    assert float(metrics.psnr(oracle.image, x[None])) == pytest.approx(float(curve.max()), abs=1e-4)


def test_an_oracle_is_always_observed() -> None:
    noisy = Problem.simulate(Identity((3, 16, 16)), images.portrait(32)[:, :16, :16], 0.1)
    bare, wrapped = (
        solve(noisy, NoPrior(), steps=30, callbacks=[rule], progress=False) for rule in (Oracle(), Observe(Oracle()))
    )
    assert bare.source == wrapped.source == ("last",)
    assert bare.observed[0].image.equal(wrapped.observed[0].image)


def test_a_solve_leaves_the_users_rule_as_it_was() -> None:
    rule = ExponentialVariance(0.2, patience=20)
    solve(problem(size=16), DeepImagePrior(TINY), steps=30, callbacks=(rule, Observe(rule)), progress=False)
    assert vars(rule) == vars(ExponentialVariance(0.2, patience=20))


def test_observing_survives_an_interruption_and_leaves_a_methods_own_stop(tmp_path: Path) -> None:
    x = images.portrait(32)
    noisy = Problem.simulate(Identity(x.shape), x, 0.1)
    settings = {"callbacks": (Observe(ExponentialVariance(0.2)), Oracle()), "progress": False}
    whole = solve(noisy, DeepImagePrior(TINY), steps=40, **settings)
    for steps in (30, 40):
        parts = solve(noisy, DeepImagePrior(TINY), steps=steps, checkpoint=tmp_path / "run.pt", **settings)
    for ours, theirs in zip(parts.observed, whole.observed, strict=True):
        assert ours.image.equal(theirs.image)
        assert ours.image_steps.equal(theirs.image_steps)
    denoised = solve(noisy, TotalVariation(0.1), callbacks=(Oracle(),), progress=False)
    assert denoised.status is Status.CONVERGED
    assert denoised.steps < PrimalDual().steps


def test_what_cannot_be_observed_is_refused() -> None:
    with pytest.raises(BadValue, match="leaves all measurements to the fit"):
        solve(problem(size=16), DeepImagePrior(SMALL), steps=1, callbacks=(Observe(HeldOut()),), progress=False)
    with pytest.raises(BadValue, match="without its ground truth"):
        solve(problem(size=16), DeepImagePrior(SMALL), steps=1, callbacks=(Oracle(),), progress=False)


def test_tau_is_the_residual_over_that_of_the_noise_at_which_discrepancy_stops() -> None:
    x = torch.full((1, 8, 8), 0.5)
    problem = Problem(Identity(x.shape), x + 0.1, Gaussian(0.1, clipped=False))
    for tau, residual, stops in ((1.0, 0.099, True), (1.0, 0.105, False), (1.1, 0.105, True), (1.1, 0.115, False)):
        rule = Discrepancy(tau)
        rule.start(problem)
        rule.update(1, problem.y - residual, problem.y)
        assert bool(rule.done.all()) is stops
    with pytest.raises(BadValue, match="tau = 0.5; expected at least 1"):
        Discrepancy(0.5)
