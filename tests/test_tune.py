"""Weights by rules, and comparisons."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import matplotlib as mpl
import pytest
import torch
import torch.nn.functional as F

from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    FiniteDifferences,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Laplace,
    LinearOperator,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    compare,
    images,
    masks,
    metrics,
    plot,
    recipes,
    solve,
    stopping,
)
from dipops.errors import BadType, BadValue
from dipops.operators.sensor import clipped_noise_moments
from dipops.recipes import Recipe
from dipops.tune import SURE, Discrepancy, LCurve, Oracle, Rule, Tuned, tune

mpl.use("Agg")
SIGMA = 25 / 255


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.simulate(Identity((3, 64, 64)), images.portrait(64), SIGMA)


@pytest.fixture(scope="module")
def tuned_by(problem: Problem) -> Callable[[Rule], Tuned]:
    """The weight of TV by a rule, found once."""
    return cache(partial(tune, problem, TotalVariation, weights=(3e-3, 0.3)))


def test_sure_estimates_the_error_it_cannot_see(tuned_by: Callable[[Rule], Tuned]) -> None:
    tuned = tuned_by(SURE())
    for trial in tuned.trials:
        assert trial.psnr is not None
        assert trial.estimate == pytest.approx(10 ** (-trial.psnr / 10), rel=0.15, abs=2e-4)
    assert not tuned.rule.uses_truth


def test_sure_comes_close_to_the_oracle_and_discrepancy_smooths_more(
    problem: Problem, tuned_by: Callable[[Rule], Tuned]
) -> None:
    found = {rule: tuned_by(rule) for rule in (SURE(), Discrepancy(), Oracle())}
    scores = {type(rule).__name__: float(metrics.psnr(tuned.result.image, problem.truth)) for rule, tuned in found.items()}
    weights = {type(rule).__name__: tuned.weight for rule, tuned in found.items()}
    assert scores["Oracle"] >= scores["SURE"] > scores["Oracle"] - 0.2
    assert scores["Oracle"] >= scores["Discrepancy"]
    assert weights["Discrepancy"] > weights["SURE"]
    assert found[Oracle()].rule.uses_truth


def test_the_discrepancy_weight_leaves_the_noise(problem: Problem, tuned_by: Callable[[Rule], Tuned]) -> None:
    tuned = tuned_by(Discrepancy())
    residual = (tuned.result.image - problem.y).square().mean().sqrt()
    assert float(residual) == pytest.approx(SIGMA, rel=0.03)


def test_the_trials_rise_and_bracket_the_choice(problem: Problem) -> None:
    tuned = tune(problem, TotalVariation, Oracle(), weights=(0.3, 1.0))
    weights = [trial.weight for trial in tuned.trials]
    assert weights == sorted(weights)
    assert weights[0] < tuned.weight < weights[-1]
    assert tuned.weight < 0.3
    residuals = [trial.rms_residual for trial in tuned.trials]
    assert residuals == sorted(residuals)
    figure = plot.trials(tuned)
    assert len(figure.axes) == 2


def test_unknown_pixels_do_not_count_in_the_residual() -> None:
    """No weight depends on what the holes hold, for the problem forgets it."""
    x = images.portrait(32)[:1]
    mask = masks.random((32, 32), 0.5)
    noisy = Problem.simulate(Mask(mask, 1), x, 0.1)
    holes = Problem(noisy.operator, noisy.y + (1 - mask), 0.1, truth=x)
    assert float(holes.rms_residual(noisy.truth)) == pytest.approx(0.1, rel=0.03)
    assert holes.y.equal(noisy.y)


def test_a_choice_at_the_end_of_the_trials_is_reported() -> None:
    problem = Problem.simulate(Identity((1, 64, 64)), images.portrait(64)[:1], SIGMA)
    rough = PrimalDual(tolerance=1e-2)
    tuned = tune(replace(problem, noise=Gaussian(0.9)), TotalVariation, Discrepancy(), method=rough)
    assert re.search(r"by Discrepancy\(\), residual 0\.[23]", tuned.recipe.source)
    capped = tune(problem, TotalVariation, Oracle(), method=rough, weights=(3.0, 6.0))
    assert "at the end of the trials" in capped.recipe.source
    narrow = tune(problem, TotalVariation, LCurve(), method=rough, weights=(0.1, 0.12))
    assert len(narrow.trials) >= 3
    assert len(plot.trials(narrow).axes) == 2


class Smear(LinearOperator):
    """An ill-posed blur, 9 pixels along the rows and the columns."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.row = torch.full((in_shape[0], 1, 1, 9), 1 / 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = F.conv2d(x, self.row, groups=len(self.row), padding=(0, 4))
        return F.conv2d(rows, self.row.mT, groups=len(self.row), padding=(4, 0))

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.forward(y)  # its kernels are symmetric


def test_the_corner_of_the_l_curve_is_near_the_oracle_where_the_operator_is_ill_posed() -> None:
    x = images.portrait(64)[:1]
    blurred = Problem.simulate(Smear(x.shape), x, 0.02)
    prior = partial(Tikhonov, operator=FiniteDifferences(x.shape))
    corner, oracle = (tune(blurred, prior, rule, weights=(1e-3, 1.0)) for rule in (LCurve(), Oracle()))
    scores = [float(metrics.psnr(tuned.result.image, x)) for tuned in (corner, oracle)]
    assert scores[1] - 1.5 < scores[0] <= scores[1]


@pytest.mark.parametrize("operator", [Mask(masks.random((16, 16), 0.5), 1), LanczosDownsampler((1, 16, 16), 2)], ids=repr)
def test_the_limit_keeps_the_measurement_and_is_where_small_weights_lead(operator: LinearOperator) -> None:
    x = images.portrait(32)[:1, 8:24, 8:24]
    clean = Problem.simulate(operator, x, 0)
    limit = recipes.limit(TotalVariation).solve(clean, progress=False)
    assert float((operator(limit.image) - clean.y).abs().max()) < 0.02
    apart = [
        float((solve(clean, TotalVariation(weight), progress=False).image - limit.image).square().mean().sqrt())
        for weight in (1e-2, 1e-3)
    ]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.01


class Gamma(DifferentiableOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square()


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda p: recipes.limit(TotalVariation).solve(Problem(Gamma((3, 64, 64)), p.y)), BadType, "a LinearOperator"),
        (lambda p: tune(replace(p, noise=Gaussian(0)), TotalVariation, SURE()), BadValue, "without noise"),
        (lambda p: tune(Problem(p.operator, p.y), TotalVariation, Discrepancy()), BadValue, "noise that is not known"),
        (lambda p: tune(Problem(p.operator, p.y), TotalVariation, Oracle()), BadValue, "without its ground truth"),
        (lambda p: tune(p, TotalVariation, LCurve(), weights=(1, 0.1)), BadValue, "two positive numbers"),
        (lambda p: tune(p, lambda w: DeepImagePrior(Hourglass((4,))), SURE()), BadType, "a prior on pixels"),
        (lambda p: tune(replace(p, noise=Laplace(0.1)), TotalVariation, SURE()), BadValue, "use Discrepancy"),
        (lambda p: TotalVariation("a"), BadType, "weight = 'a'"),
        (lambda p: compare(p, {}), BadValue, "at least one"),
        (lambda p: compare(p.y, {"TV": TotalVariation(0.1)}), BadType, "a torch.Tensor for the problem"),
        (lambda p: compare(p, [TotalVariation(0.1)]), BadType, "a list for the priors; expected a dict"),
        (lambda p: compare(p, {"TV": TotalVariation}), BadType, "the class TotalVariation for the prior 'TV'"),
        (lambda p: compare(p, {"TV": 0.1}), BadType, "a float for the prior 'TV'"),
        (lambda p: tune(p.y, TotalVariation, SURE()), BadType, "a torch.Tensor for the problem"),
        (lambda p: tune(p, TotalVariation, SURE), BadType, "the class SURE for the rule"),
        (lambda p: tune(p, TotalVariation, stopping.Discrepancy()), BadType, r"a dipops.stopping.*\.Discrepancy for the rule"),
        (lambda p: tune(p, TotalVariation(0.1), SURE()), BadType, "a TotalVariation for prior_of_weight"),
        (lambda p: tune(p, lambda w: w, SURE()), BadType, "a float for the prior of a weight"),
        (lambda p: tune(p, TotalVariation, SURE(), method=PrimalDual), BadType, "the class PrimalDual for the method"),
    ],
)
def test_tuning_and_comparing_refuse(call, kind: type, words: str, problem: Problem) -> None:
    with pytest.raises(kind, match=words):
        call(problem)


def test_a_comparison_is_a_table_and_a_figure(problem: Problem, tuned_by: Callable[[Rule], Tuned]) -> None:
    tuned = tuned_by(SURE())
    small = DeepImagePrior(Hourglass((4, 4)))
    contestants = {"none": NoPrior(), "TV": tuned.recipe, "DIP + TV": small + TotalVariation(0.01)}
    contestant_recipes = {
        name: c if isinstance(c, Recipe) else Recipe(c, Descent(), 30, (), "") for name, c in contestants.items()
    }
    comparison = compare(problem, contestant_recipes, progress=False)
    lines = comparison.table().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(contestants)
    row = comparison.rows()[1]
    assert row["psnr"] == pytest.approx(float(metrics.psnr(tuned.result.image.clamp(0, 1), problem.truth)), abs=0.01)
    assert row["data_psnr"] == pytest.approx(float(-10 * (comparison.results["TV"].image - problem.y).square().mean().log10()))
    assert "gap" in row["message"]
    assert len(comparison.figure().axes) == 5
    blind = compare(Problem(problem.operator, problem.y), {"TV": tuned.recipe}, progress=False)
    assert blind.rows()[0]["psnr"] is None


def test_sure_holds_for_a_sum_of_penalties_on_pixels() -> None:
    noisy = Problem.simulate(Identity((1, 16, 16)), images.portrait(32)[:1, :16, :16], 0.1)
    both = tune(noisy, lambda w: TotalVariation(w) + Tikhonov(0.01), SURE(), method=Descent(steps=60), weights=(0.05, 0.2))
    assert all(trial.psnr is not None for trial in both.trials)


@pytest.mark.parametrize("noise", [ClippedGaussian(0.3), Gaussian(0.3)], ids=repr)
def test_sure_holds_for_clipped_noise(noise: Gaussian) -> None:
    """Every estimate is near the distance to the mean of y, where Stein's lemma for normal noise gives -0.02."""
    x = images.portrait(64)[:1]
    problem = replace(Problem.simulate(Identity(x.shape), x, ClippedGaussian(0.3)), noise=noise)
    tuned = tune(problem, TotalVariation, SURE(), weights=(0.1, 0.5), progress=False)
    mean = clipped_noise_moments(x.double(), 0.3)[0].float()
    for trial in tuned.trials:
        error = (solve(problem, TotalVariation(trial.weight), progress=False).image - mean).square().mean()
        assert trial.estimate == pytest.approx(float(error), rel=0.3)
    best = tune(problem, TotalVariation, Oracle(), weights=(0.1, 0.5), progress=False)
    scores = [float(metrics.psnr(found.result.image, x[None])) for found in (tuned, best)]
    assert scores[0] > scores[1] - 0.5
    assert max(trial.psnr for trial in best.trials) == pytest.approx(scores[1], abs=1e-4)


def test_a_comparison_corrects_every_answer_for_clipped_noise() -> None:
    x = 0.2 * images.portrait(32)
    problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(0.2))
    recipe = Recipe(TotalVariation(0.1), PrimalDual(), PrimalDual().steps, (), "", debiases=True)
    results = compare(problem, {"prior": TotalVariation(0.1), "recipe": recipe}, progress=False).results
    assert results["prior"].image.equal(results["recipe"].image)
    assert all(bool(result.debiased) for result in results.values())


def test_the_noise_level_is_estimated() -> None:
    x = images.photograph()
    for sigma in (0.02, 0.1):
        noisy = Problem.simulate(Identity(x.shape), x, sigma).y
        assert images.noise_level(noisy) == pytest.approx(sigma, abs=0.005)
        with pytest.raises(BadValue, match="a batch of 2; expected one image"):
            images.noise_level(torch.cat([noisy, noisy]))


@pytest.mark.parametrize("clipped", [True, False])
def test_pixels_that_are_nan_do_not_count_as_noise(clipped: bool) -> None:
    x = images.photograph()
    noisy = Problem.simulate(Identity(x.shape), x, ClippedGaussian(0.1) if clipped else Gaussian(0.1)).y[0]
    noisy[:, 100:] = 0.5
    assert images.noise_level(noisy) < 0.08
    noisy[:, 100:] = torch.nan
    assert images.noise_level(noisy) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("sigma", [0.05, 0.1, 0.3, 0.5])
def test_the_noise_level_is_that_before_clipping(sigma: float) -> None:
    x = images.photograph()[:, 100:300, 150:350]
    noisy = Problem.simulate(Identity(x.shape), x, ClippedGaussian(sigma)).y
    assert images.noise_level(noisy) == pytest.approx(sigma, rel=0.1)
    assert images.noise_level(noisy, clipped=False) <= images.noise_level(noisy, clipped=True)


def test_the_noise_level_of_what_was_not_clipped_is_the_plain_one() -> None:
    noisy = Problem.simulate(Identity((1, 200, 200)), torch.zeros(1, 200, 200), 0.1).y
    within = (noisy - noisy.min()) / (noisy.max() - noisy.min())
    sigma = 0.1 / float(noisy.max() - noisy.min())
    assert images.noise_level(within, clipped=False) == pytest.approx(sigma, rel=0.02)


def test_the_noise_level_leaves_out_saturated_areas() -> None:
    page = torch.ones(1, 120, 120)
    page[..., 40:] = Problem.simulate(Identity((1, 120, 80)), torch.full((1, 120, 80), 0.5), 0.1).y[0]
    assert images.noise_level(page) == pytest.approx(0.1, rel=0.1)
    assert images.noise_level(torch.ones(3, 20, 20)) == images.noise_level(torch.zeros(3, 20, 21)) == 0
