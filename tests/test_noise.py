"""Noise models: their moments, their data terms, their proxes, and what every method and rule makes of them."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from dipops import (
    ClippedGaussian,
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    FiniteDifferences,
    Gaussian,
    Hourglass,
    Identity,
    Langevin,
    Laplace,
    LinearOperator,
    Mask,
    NoPrior,
    Poisson,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    check,
    images,
    masks,
    metrics,
    project,
    recipes,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.noise import Noise
from dipops.operators import ExpectedClip
from dipops.operators.sensor import clipped_noise_moments
from dipops.stopping import Discrepancy
from dipops.tune import SURE, tune
from dipops.tune import Discrepancy as DiscrepancyWeight
from tests import reference
from tests.test_interface import MotionBlur, QuickMotionBlur

quiet = partial(solve, progress=False)
NOISES: dict[str, Noise] = {
    "Gaussian": Gaussian(0.1),
    "clipped": ClippedGaussian(0.2),
    "Poisson": Poisson(30),
    "few photons": Poisson(2, 0.3),
    "Laplace": Laplace(0.1),
}
SHAPE = (1, 12, 12)


def ground_truth(size: int = 12) -> torch.Tensor:
    return images.portrait(32).mean(0, keepdim=True)[:, 4 : 4 + size, 8 : 8 + size].double()


@pytest.mark.parametrize("name", NOISES)
def test_the_expected_distance_is_the_mean_over_many_draws(name: str) -> None:
    noise = NOISES[name]
    for value in (0.02, 0.4, 0.95):
        clean = torch.full((200_000,), value, dtype=torch.float64)
        y = noise.draw(clean, torch.Generator().manual_seed(0))
        centre = torch.full_like(y, float(y.mean())) if name == "clipped" else clean
        drawn = noise.distances(centre, y)
        assert float(noise.expected(centre)[0]) == pytest.approx(float(drawn.mean()), rel=0.02)


@pytest.mark.parametrize("name", NOISES)
def test_the_distance_is_the_negative_log_likelihood(name: str) -> None:
    """Between two values of A(x), so that no constant matters; clipped noise is fitted by least squares."""
    noise, y = NOISES[name], torch.tensor([0.5], dtype=torch.float64)
    density = {
        "Gaussian": lambda z: torch.distributions.Normal(z, 0.1).log_prob(y),
        "clipped": lambda z: torch.distributions.Normal(z, 0.2).log_prob(y),
        "Poisson": lambda z: torch.distributions.Poisson(30 * z).log_prob(30 * y),
        "few photons": lambda z: torch.distributions.Poisson(2 * (z + 0.3)).log_prob(2 * y),
        "Laplace": lambda z: torch.distributions.Laplace(z, 0.1).log_prob(y),
    }[name]
    a, b = torch.tensor([0.3], dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64)
    ours = (noise.distances(a, y) - noise.distances(b, y)) / noise.temperature
    torch.testing.assert_close(ours, density(b) - density(a))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.0, 0.5, 3.0], dtype=torch.float64)])
@pytest.mark.parametrize("name", NOISES)
def test_moreaus_identity_gives_the_prox_of_the_data_term(name: str, weights: torch.Tensor | None) -> None:
    """u - σ prox of D* is where the gradient of D + (σ/2) (z - u/σ)² changes its sign, found by bisection.

    The most negative u lead below 0, and below y / 1000, where a tangent replaces Poisson's D.
    """
    noise, step = NOISES[name], 0.7
    y = torch.tensor([0.5, 0.2, 0.9, 0.0], dtype=torch.float64)
    w = torch.ones_like(y) if weights is None else weights
    for u in torch.tensor([-5000.0, -5.0, -0.3, 0.4, 1.2], dtype=torch.float64):
        low, high = torch.full_like(y, -1e4), torch.full_like(y, 1e4)
        for _ in range(60):
            z = ((low + high) / 2).requires_grad_()
            (slope,) = torch.autograd.grad((w * noise.distances(z, y) + 0.5 * step * (z - u / step).square()).sum(), z)
            low, high = torch.where(slope < 0, z.detach(), low), torch.where(slope < 0, high, z.detach())
        ours = (u - noise.prox_conjugate(u.expand(4), step, y, weights)) / step
        torch.testing.assert_close(ours, low, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("name", NOISES)
def test_the_gradient_is_finite_and_pulls_back_everywhere(name: str) -> None:
    noise = NOISES[name]
    ax = torch.tensor([-2.0, -1e-9, 0.0, 1e-12, 0.5, 3.0], dtype=torch.float64).repeat(2).requires_grad_()
    y = torch.tensor([0.0] * 6 + [0.7] * 6, dtype=torch.float64)
    total = noise.distances(ax, y).sum()
    (slope,) = torch.autograd.grad(total, ax)
    assert total.isfinite()
    assert slope.isfinite().all()
    assert bool((slope[[0, 6]] < 0).all())
    assert bool((slope[[5, 11]] > 0).all())


OPERATORS = {
    "Identity": Identity(SHAPE).double(),
    "Mask": Mask(masks.random((12, 12), 0.6), 1).double(),
    "blur": QuickMotionBlur(SHAPE).double(),
}
EXACT = {"Poisson": (Poisson(1.0, 0.05), 0.05), "Laplace": (Laplace(0.1), 0.4)}


def assert_minimum(problem: Problem, weight: float) -> None:
    """PrimalDual reaches the minimum of D + TV to 1e-5."""
    prior = TotalVariation(weight)
    result = quiet(problem, prior, PrimalDual(tolerance=1e-5), steps=20000)
    ours = float(problem.data_term(result.image) + prior.value(result.image))
    assert ours == pytest.approx(reference.minimum(problem, prior)[0], rel=1e-5)


def soft_weights(operator: LinearOperator) -> torch.Tensor:
    """From 0 to 2, about a third of them 0."""
    drawn = 2 * torch.rand(operator.out_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn * (drawn > 0.6)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("operator", ["Identity", "blur"])
def test_primal_dual_agrees_with_a_generic_solver_for_every_noise(operator: str, name: str) -> None:
    noise, weight = EXACT[name]
    problem = Problem.simulate(OPERATORS[operator], ground_truth(), noise)
    assert_minimum(problem, weight)


@pytest.mark.parametrize("name", EXACT)
def test_primal_dual_agrees_with_a_generic_solver_for_soft_weights(name: str) -> None:
    noise, weight = EXACT[name]
    operator = OPERATORS["Mask"]
    problem = Problem.simulate(operator, ground_truth(), noise, weights=soft_weights(operator))
    assert_minimum(problem, weight)


@pytest.mark.parametrize("operator", OPERATORS)
def test_weighted_least_squares_is_exact_by_every_method(operator: str) -> None:
    problem = Problem.simulate(OPERATORS[operator], ground_truth(), 0.05, weights=soft_weights(OPERATORS[operator]))
    gradient = FiniteDifferences(SHAPE).double()
    assert isinstance(problem.operator, LinearOperator)
    assert problem.weights is not None
    a, d = problem.operator.matrix(), gradient.matrix()
    w = problem.weights.flatten()
    exact = torch.linalg.solve(a.T @ (w[:, None] * a) + 0.1 * d.T @ d, a.T @ (w * problem.y.flatten()))
    for method in (ConjugateGradient(tolerance=1e-12), PrimalDual(tolerance=1e-8)):
        found = quiet(problem, Tikhonov(0.1, gradient), method, steps=20000).image.flatten()
        torch.testing.assert_close(found, exact, atol=1e-6, rtol=0)
    assert_minimum(problem, 0.02)


def test_salt_and_pepper_is_removed_by_the_absolute_deviation() -> None:
    x = images.portrait(32)[:1]
    generator = torch.Generator().manual_seed(0)
    hit = torch.rand(x.shape, generator=generator) < 0.2
    y = torch.where(hit, (torch.rand(x.shape, generator=generator) < 0.5).float(), x)
    noisy = Problem(Identity(x.shape), y, Laplace(0.1), truth=x)
    robust = quiet(noisy, TotalVariation(0.6)).image
    squares = tune(
        replace(noisy, noise=Gaussian(0.25)), TotalVariation, SURE(), weights=(0.05, 0.5), progress=False
    ).result.image
    assert float(metrics.psnr(robust, x)) > float(metrics.psnr(squares, x)) + 3


def test_the_weight_for_photons_leaves_their_noise() -> None:
    x = images.portrait(32)[:1]
    photons = Problem.simulate(Identity(x.shape), x, Poisson(10))
    rough = PrimalDual(tolerance=1e-3)
    ours = tune(photons, TotalVariation, DiscrepancyWeight(), method=rough, weights=(0.1, 1.0), progress=False).result
    assert float(photons.data_term(ours.image)) == pytest.approx(float(Poisson(10).expected(x).sum()), rel=0.1)
    assert float(metrics.psnr(ours.image, x)) > float(metrics.psnr(photons.y, x)) + 4


@pytest.mark.parametrize("name", NOISES)
def test_a_newcomers_first_line_stops_at_the_noise(name: str) -> None:
    x = images.portrait(32)[:, 4:28, 4:28]
    problem = Problem.simulate(Identity(x.shape), x, NOISES[name])
    result = quiet(problem, DeepImagePrior(Hourglass((12,), skips=4)), steps=400)
    assert "what was removed matches" in result.message
    assert float(metrics.psnr(result.image, x)) > float(metrics.psnr(problem.y, x)) + 0.5


@pytest.mark.parametrize("name", NOISES)
def test_langevin_takes_every_noise(name: str) -> None:
    problem = Problem.simulate(Identity(SHAPE), ground_truth().float() + 0.1, NOISES[name])
    result = quiet(problem, NoPrior(initial=problem.y[0].clamp(min=0.1)), Langevin(burn_in=20), steps=60)
    assert result.std is not None
    assert float(result.std.mean()) > 0


def test_poisson_on_pixels_is_solved_by_descent_too() -> None:
    problem = Problem.simulate(Identity(SHAPE).double(), ground_truth(), Poisson(20))
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=300)
    method = Descent(partial(torch.optim.Adam, lr=0.02), cosine)
    prior = TotalVariation(0.05, initial=problem.y[0])
    result = quiet(problem, prior, method, steps=300)
    assert float(result.objective) == pytest.approx(reference.minimum(problem, prior)[0], rel=5e-3)


def test_debias_inverts_the_expected_clip_and_the_recipe_uses_it() -> None:
    values = torch.linspace(0, 1, 101, dtype=torch.float64)[None]
    for sigma in (0.05, 25 / 255, 50 / 255):
        clip = ExpectedClip((101,), sigma).double()
        torch.testing.assert_close(ClippedGaussian(sigma).debias(clip(values)), values, atol=1e-6, rtol=0)
    x = 0.2 * images.portrait(32)[:1]
    noisy = Problem.simulate(Identity(x.shape), x, ClippedGaussian(50 / 255))
    tuning = {"method": PrimalDual(tolerance=1e-3), "weights": (0.1, 1.0), "progress": False}
    tuned = tune(noisy, TotalVariation, SURE(), **tuning)
    plain = quiet(noisy, TotalVariation(tuned.weight))
    assert tuned.result.debiased
    assert not plain.debiased
    assert float(metrics.psnr(tuned.result.image, x)) > float(metrics.psnr(plain.image, x)) + 2
    as_gaussian = tune(replace(noisy, noise=Gaussian(50 / 255)), TotalVariation, SURE(), **tuning)
    assert as_gaussian.result.image.equal(tuned.result.image), "y in [0, 1] says that the noise was clipped"


@pytest.mark.parametrize("sigma", [1e-6, 1e-4, 1e-2, 0.3])
def test_clipped_noise_is_as_exact_for_small_sigma(sigma: float) -> None:
    near = torch.linspace(0, min(10 * sigma, 1), 1001, dtype=torch.float64)
    for values in (near, 1 - near):
        means, variances = clipped_noise_moments(values, sigma)
        torch.testing.assert_close(ClippedGaussian(sigma).debias(means), values, atol=1e-5 * sigma, rtol=0)
        torch.testing.assert_close(2 * ClippedGaussian(sigma).expected(means), variances, atol=0, rtol=1e-5)


def test_what_noise_leaves_is_known_for_any_value() -> None:
    noise = ClippedGaussian(0.1)
    at = noise.expected(torch.tensor([float("nan"), float("-inf"), -1.0, 2.0, float("inf")]))
    assert at[0].isnan()
    assert at[1] == at[2] == noise.expected(torch.tensor(0.0))
    assert at[3] == at[4] == noise.expected(torch.tensor(1.0))


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.3, 0.5])
def test_the_variance_of_clipped_noise_is_estimated_from_what_it_leaves(sigma: float) -> None:
    noise = ClippedGaussian(sigma)
    for clean in (0.0, 0.5 * sigma, sigma, 3 * sigma, 0.5, 1 - sigma):
        y = noise.draw(torch.full((400_000,), min(clean, 1.0), dtype=torch.float64), torch.Generator().manual_seed(0))
        assert float(noise.variances(y).mean()) == pytest.approx(float(y.var()), abs=0.06 * sigma**2)
        assert float(Gaussian(sigma).variances(y).mean()) == pytest.approx(sigma**2)


def test_parameters_of_noise_are_plain_numbers() -> None:
    tenth = np.float32(0.1)
    noises = Gaussian(tenth), ClippedGaussian(tenth), Poisson(tenth, tenth), Laplace(tenth), Gaussian(0)
    for noise in noises:
        assert {type(value) for value in vars(noise).values()} <= {float, type(None)}
        assert "np." not in repr(noise)


def test_the_expected_clip_obeys_the_laws_and_is_a_mean() -> None:
    assert check(ExpectedClip((1, 4, 5), 0.2)).passed
    clean = torch.full((1, 200_000), 0.05, dtype=torch.float64)
    mean = ClippedGaussian(0.2).draw(clean, torch.Generator().manual_seed(0)).mean()
    assert float(ExpectedClip((200_000,), 0.2).double()(clean)[0, 0]) == pytest.approx(float(mean), abs=1e-3)


def test_normalised_noise_is_that_of_the_scaled_measurement() -> None:
    for noise in (Gaussian(0.1), Poisson(30, 0.1), Laplace(0.1)):
        y = torch.rand(1, 1, 12, 12, dtype=torch.float64)
        size = float(y.norm())
        scaled = noise.scaled(1 / size)
        a, b = torch.rand_like(y), torch.rand_like(y)
        difference = (noise.data_term(a, y) - noise.data_term(b, y)) / noise.temperature
        torch.testing.assert_close(
            (scaled.data_term(a / size, y / size) - scaled.data_term(b / size, y / size)) / scaled.temperature, difference
        )


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda y: Problem(Identity(SHAPE), y, y), BadType, "write truth=x"),
        (lambda y: Problem(Identity(SHAPE), y, "0.1"), BadType, "sigma = '0.1'"),
        (lambda y: Problem(Identity(SHAPE), y, 25), BadValue, "25 / 255"),
        (lambda y: Problem.simulate(Identity(SHAPE), y, None), BadType, "write 0 for measurements without noise"),
        (lambda y: Problem.simulate(Identity(SHAPE), -y, Poisson(5)), BadValue, "A.x. of at least 0"),
        (lambda y: Poisson(0), BadValue, "peak = 0"),
        (lambda y: Poisson(1, -1), BadValue, "background = -1"),
        (lambda y: Laplace(0), BadValue, "scale = 0"),
        (lambda y: ClippedGaussian(0), BadValue, "sigma = 0"),
        (lambda y: Gaussian(0.1, clipped=True), BadValue, r"write ClippedGaussian\(0.1\)"),
        (lambda y: Problem(Identity(SHAPE), y, 1e-300), BadValue, "whose square is 0 in float32"),
        (lambda y: Problem.simulate(Identity(SHAPE), y, 1e-30), BadValue, "whose square is 0 in float32"),
        (lambda y: ClippedGaussian(0.1).scaled(2), BadValue, "clipped noise has no other unit"),
        (lambda y: quiet(Problem(Identity(SHAPE), y, Poisson(5)), NoPrior(), ConjugateGradient()), BadValue, "least squares"),
        (lambda y: project(Problem(Identity(SHAPE), y, Laplace(5)), y), BadValue, "least squares"),
        (lambda y: tune(Problem(Identity(SHAPE), y, Laplace(5)), TotalVariation, SURE()), BadValue, "least squares"),
        (lambda y: quiet(Problem(Identity(SHAPE), y), NoPrior(), callbacks=[Discrepancy()]), BadValue, "not known"),
    ],
)
def test_noise_is_refused_where_it_does_not_fit(make, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        make(torch.rand(1, *SHAPE))


def test_restore_fits_any_operator() -> None:
    x = images.portrait(32)
    problem = Problem.simulate(MotionBlur(x.shape), x, 0.05)
    result = recipes.restore().solve(problem, steps=12, progress=False)
    assert not result.projected
    assert float(result.data_psnr) > 15
