"""Stops without the truth: each keeps the image it says, at the step it says."""

import math
from pathlib import Path

import pytest
import torch

from dipops import (
    BadType,
    BadValue,
    DeepImagePrior,
    Descent,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Mask,
    NoPrior,
    Precision,
    PrimalDual,
    Problem,
    TotalVariation,
    images,
    metrics,
    solve,
)
from dipops.stopping import ExponentialVariance, HeldOut, Observed, Oracle, Residual, WindowedVariance
from dipops.stopping.discrepancy import CutNoise, cut_noise_moments

SMALL = Hourglass((16, 16), skips=4)


def problem(members: int = 1, size: int = 6) -> Problem:
    return Problem(Identity((1, size, size)), torch.rand(members, 1, size, size, generator=torch.Generator().manual_seed(0)))


def outputs(steps: int, size: int = 6, members: int = 1) -> torch.Tensor:
    """A made-up course of outputs: their scatter falls until step 60 and then grows."""
    noise = torch.randn(steps, members, 1, size, size, generator=torch.Generator().manual_seed(1))
    scatter = 0.02 + (torch.arange(1, steps + 1) / 60 - 1).abs()
    return 0.5 + scatter.view(-1, 1, 1, 1, 1) * noise


def watched(rule, images: torch.Tensor):
    watch = rule.start(problem(images.shape[1], images.shape[-1]), None)
    variances = []
    for index, image in enumerate(images, 1):
        watch.update(index, image, torch.full_like(image, index))
        variances.append(watch.lowest.clone())
    return watch, torch.stack(variances)


def test_windowed_variance_is_what_it_says() -> None:
    images = outputs(40).double()
    watch, _ = watched(WindowedVariance(10, patience=15), images)
    direct = torch.tensor([float(images[k - 9 : k + 1].var(0, unbiased=False).sum()) for k in range(9, 40)])
    assert float(watch.lowest) == pytest.approx(float(direct.min()), rel=1e-4)
    assert int(watch.at) == int(direct.argmin()) + 10


def test_exponential_variance_is_what_it_says() -> None:
    images, alpha = outputs(200), 0.2
    watch, _ = watched(ExponentialVariance(alpha, patience=500), images)
    mean, variance, curve = torch.zeros(1, 6, 6), 0.0, []
    for image in images[:, 0]:
        variance = (1 - alpha) * (variance + alpha * float((image - mean).square().sum()))
        mean = (1 - alpha) * mean + alpha * image
        curve.append(variance)
    curve = torch.tensor(curve[14:])
    assert int(watch.at) == int(curve.argmin()) + 15
    assert float(watch.lowest) == pytest.approx(float(curve.min()), rel=1e-4)
    assert 50 < int(watch.at) < 90


@pytest.mark.parametrize("rule", [WindowedVariance(20, patience=40), ExponentialVariance(0.2, patience=40)])
def test_a_variance_keeps_the_answer_and_waits(rule) -> None:
    images = outputs(220)
    watch, _ = watched(rule, images)
    assert bool(watch.done)
    assert watch.kept.equal(torch.full_like(images[0], int(watch.at)))
    assert "40 steps" in watch.reason()
    assert f"step {int(watch.at)}" in watch.reason()
    early, _ = watched(rule, images[: int(watch.at) + 39])
    assert not bool(early.done)


@pytest.mark.parametrize("rule", [WindowedVariance(20, patience=40), ExponentialVariance(0.2, patience=40)])
def test_each_member_is_watched_by_itself(rule) -> None:
    both = torch.cat([outputs(300), outputs(300).flip(0)], 1)
    together, _ = watched(rule, both)
    for member in range(2):
        alone, _ = watched(rule, both[:, member : member + 1])
        assert int(alone.at) == int(together.at[member])
        assert alone.kept[0].equal(together.kept[member])


@pytest.mark.parametrize(("value", "sigma"), [(0.0, 0.1), (0.03, 0.1), (0.5, 0.1), (0.9, 0.2), (1.0, 0.3)])
def test_the_moments_of_clipped_noise(value: float, sigma: float) -> None:
    noise = sigma * torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    sampled = (value + noise).clamp(0, 1)
    mean, variance = cut_noise_moments(torch.tensor(value, dtype=torch.float64), sigma)
    assert float(mean) == pytest.approx(float(sampled.mean()), abs=5e-4)
    assert float(variance) == pytest.approx(float(sampled.var()), rel=0.02)
    assert float(CutNoise(sigma, sampled).variance(mean.view(1))) == pytest.approx(float(variance), rel=1e-4)


def test_noise_that_was_cut_stops_where_least_squares_lead() -> None:
    """On a dark picture the mean of many y is lighter than the truth, and the residual around it is far below σ."""
    dark = 0.1 * images.portrait(64)
    many = (dark + 0.1 * torch.randn(2000, *dark.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    for cut in (True, False):
        simulated = Problem.simulate(Identity(dark.shape), dark, 0.1, clip=cut)
        fitted = many.mean(0, keepdim=True) if cut else dark[None]
        assert (float(simulated.residual(fitted)) < 0.08) is cut
        assert not _stops(Residual(0.098), simulated, fitted)
        assert _stops(Residual(0.102), simulated, fitted)


def _stops(rule, given: Problem, image: torch.Tensor) -> bool:
    watch = rule.start(given, None)
    watch.update(1, image, image)
    return bool(watch.done)


def test_the_discrepancy_keeps_the_average_that_centres_on_its_moment() -> None:
    given = problem(members=2)
    watch = Residual(0.1).start(given, None, lag=3)
    for index in range(1, 9):
        distance = torch.tensor([0.3 - 0.05 * index, 0.3 - 0.04 * index]).clamp(min=0.01).view(2, 1, 1, 1)
        watch.update(index, given.y + 0.9 * distance, torch.full_like(given.y, index))
    assert watch.at.tolist() == [7, 8]
    assert watch.kept[:, 0, 0, 0].tolist() == [7.0, 8.0]
    assert "at step 4, 5; the image kept is of step 7, 8" in str(watch.reason())


def test_held_out_pixels_are_not_fitted() -> None:
    rule, given = HeldOut(0.3), problem(size=20)
    fitted, aside = rule.fitted(given), rule.aside(given)
    assert 0.2 < float(aside.float().mean()) < 0.4
    assert not fitted.y[..., aside[0]].any()
    changed = given.y + aside
    assert fitted.misfit(given.y).equal(fitted.misfit(changed))
    watch = rule.start(given, None)
    watch.update(1, given.y, given.y + 0.5 * aside)
    assert float(watch.lowest) == pytest.approx(0.5)
    watch.update(2, given.y, given.y + 3.0 * ~aside)
    assert float(watch.lowest) == 0
    assert int(watch.at) == 2


def test_held_out_pixels_of_a_mask_are_known_ones() -> None:
    mask = images.random_mask(16, 16, keep=0.5)
    given = Problem.simulate(Mask(mask, channels=3), torch.rand(3, 16, 16))
    watch = HeldOut(0.5).start(given, None)
    assert not (watch._weight * (1 - mask)).any()
    assert isinstance(HeldOut(0.5).fitted(given).operator, Mask)


@pytest.mark.parametrize(
    "rule", [ExponentialVariance(0.03, patience=100), WindowedVariance(150, patience=100), HeldOut(0.1, 100), Residual(0.1)]
)
def test_a_rule_stops_the_deep_image_prior_near_its_best(rule) -> None:
    """Small pictures are fitted, noise and all, within 600 steps; each rule keeps one that is less than 1 dB from the best."""
    simulated = Problem.simulate(Identity((3, 48, 48)), images.portrait(256)[:, 60:108, 100:148], 0.1, clip=True)
    exact = Descent(precision=Precision.FULL)
    result = solve(simulated, DeepImagePrior(SMALL), exact, steps=600, monitors=[rule], progress=False)
    average = result.trace["psnr_average"][:, 0]
    kept = float(average[int(result.at) - 1])
    assert result.answer == "stopped"
    assert result.kept is not None
    assert result.image.equal(result.kept)
    assert not result.last.equal(result.image)
    assert kept > float(average.max()) - 1


def test_a_downsampled_measurement_can_be_held_out() -> None:
    given = Problem.simulate(LanczosDownsampler((3, 32, 32), 2), images.portrait(32), 0.05)
    result = solve(given, NoPrior(), steps=50, monitors=[HeldOut(0.2, 20)], progress=False)
    assert result.answer == "kept"
    assert math.isfinite(float(result.consistency))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HeldOut(0), "fraction = 0"),
        (lambda: HeldOut(0.1, 0), "patience = 0"),
        (lambda: HeldOut("0.1"), "fraction = '0.1'"),
        (lambda: WindowedVariance("100"), "window = '100'"),
        (lambda: ExponentialVariance("0.1"), "alpha = '0.1'"),
        (lambda: Residual("25"), "sigma = '25'"),
        (lambda: WindowedVariance(1), "window = 1"),
        (lambda: ExponentialVariance(1.0), "alpha = 1.0"),
        (lambda: ExponentialVariance(patience=-1), "patience = -1"),
        (lambda: HeldOut().fitted(Problem(Identity((5,)), torch.rand(1, 5))), "another stop rule"),
    ],
)
def test_rules_refuse(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()


def test_a_rule_that_is_only_observed_keeps_what_it_would_have_kept() -> None:
    x = images.portrait(32)
    noisy = Problem.simulate(Identity(x.shape), x, 0.1)
    rule = ExponentialVariance(0.2, patience=20)
    obeyed = solve(noisy, DeepImagePrior(SMALL), steps=200, monitors=(rule,), progress=False)
    assert obeyed.answer == "stopped"
    observed, oracle = Observed(rule), Oracle()
    result = solve(noisy, DeepImagePrior(SMALL), steps=200, monitors=(observed, oracle), progress=False)
    assert (result.steps, result.answer) == (200, "average")
    assert observed.kept.equal(obeyed.image)
    assert observed.at.equal(obeyed.at)
    curve = result.trace["psnr_average"][:, 0]
    assert int(oracle.at) == int(curve.argmax()) + 1
    assert float(metrics.psnr(oracle.kept, x[None])) == pytest.approx(float(curve.max()), abs=1e-4)


def test_observing_survives_an_interruption_and_leaves_a_methods_own_stop(tmp_path: Path) -> None:
    x = images.portrait(32)
    noisy = Problem.simulate(Identity(x.shape), x, 0.1)
    whole, parts = Observed(ExponentialVariance(0.2)), Observed(ExponentialVariance(0.2))
    solve(noisy, DeepImagePrior(SMALL), steps=80, monitors=(whole,), progress=False)
    for steps in (50, 80):
        solve(noisy, DeepImagePrior(SMALL), steps=steps, monitors=(parts,), checkpoint=tmp_path / "run.pt", progress=False)
    assert parts.kept.equal(whole.kept)
    denoised = solve(noisy, TotalVariation(0.1), monitors=(Oracle(),), progress=False)
    assert denoised.steps < PrimalDual().steps


def test_an_oracle_goes_on_from_a_state_with_what_it_has_seen() -> None:
    given, oracle = Problem(Identity((1, 6, 6)), torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)), Oracle()
    watch = oracle.start(given, None)
    watch.update(1, given.y, given.y + 0.1)
    later = oracle.start(given, None)
    later.load_state_dict(watch.state_dict())
    later.update(2, given.y, given.y + 0.2)
    assert (int(oracle.at), float(oracle.kept.max())) == (1, pytest.approx(0.1))


def test_what_cannot_be_observed_is_refused() -> None:
    with pytest.raises(BadType, match="a stop rule"):
        Observed(0.5)
    with pytest.raises(BadValue, match="leaves all to the fit"):
        solve(problem(size=16), DeepImagePrior(SMALL), steps=1, monitors=(Observed(HeldOut()),), progress=False)
    with pytest.raises(BadValue, match="whose truth is known"):
        solve(problem(size=16), DeepImagePrior(SMALL), steps=1, monitors=(Oracle(),), progress=False)
    with pytest.raises(BadValue, match="one that has watched a solve"):
        _ = Oracle().kept
