"""Signals (n,), images (H, W) and volumes (C, D, H, W): every prior, every score, against independent computations."""

from functools import partial

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dipops import (
    DeepImagePrior,
    Descent,
    FiniteDifferences,
    Hourglass,
    Identity,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    check,
    compare,
    metrics,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.stopping import Step
from dipops.testing import prox_laws as laws
from tests import reference

quiet = partial(solve, progress=False)
SHAPES = {"signal": (17,), "no channels": (6, 5), "colour": (3, 5, 4), "volume": (2, 3, 4, 3), "film": (1, 2, 3, 2, 3)}
AXES = {"signal": 1, "no channels": 2, "colour": 2, "volume": 3, "film": 4}
every_shape = pytest.mark.parametrize("name", SHAPES)
PENALTIES = {
    "isotropic": TotalVariation(0.15),
    "anisotropic": TotalVariation(0.15, isotropic=False),
    "coupled": TotalVariation(0.15, coupled=True),
}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noisy(name: str, count: int = 1) -> Problem:
    """Blocks of two flat halves along the last axis, and noise."""
    truth = torch.zeros(count, *SHAPES[name], dtype=torch.float64)
    truth[..., truth.shape[-1] // 2 :] = 1
    return Problem.simulate(Identity(SHAPES[name]).double(), truth, 0.3)


@every_shape
def test_finite_differences_obey_the_laws_and_have_an_axis_for_each_of_space(name: str) -> None:
    shape = SHAPES[name]
    operator = FiniteDifferences(shape).double()
    assert check(operator).passed
    assert operator.out_shape == (AXES[name], *shape)
    torch.testing.assert_close(operator.matrix(), torch.from_numpy(np.concatenate(reference.differences(shape))))
    assert operator.norm() == pytest.approx(float(torch.linalg.matrix_norm(operator.matrix(), 2)), rel=1e-12)


@pytest.mark.parametrize("shape", [(1,), (1, 4), (2, 1, 3), (2, 1, 1, 1)])
def test_a_side_of_one_pixel_has_no_differences(shape: tuple[int, ...]) -> None:
    operator = FiniteDifferences(shape)
    assert operator(torch.rand(2, *shape)).shape == (2, *operator.out_shape)
    problem = Problem(Identity(shape), torch.rand(2, *shape))
    assert quiet(problem, TotalVariation(0.1)).image.shape == (2, *shape)


@every_penalty
@every_shape
def test_denoising_agrees_with_a_generic_solver(name: str, penalty: str) -> None:
    problem, prior = noisy(name), PENALTIES[penalty]
    image = quiet(problem, prior, PrimalDual(tolerance=1e-9), steps=5000).image
    ours = float(problem.data_term(image) + prior.value(image))
    objective, expected = reference.minimum(problem, prior)
    assert ours == pytest.approx(objective, rel=1e-5)
    np.testing.assert_allclose(image.flatten().numpy(), expected, atol=1e-3)


@every_penalty
@every_shape
def test_the_laws_of_a_prox(name: str, penalty: str) -> None:
    prior = PENALTIES[penalty]
    x, y = (drawn(2, *SHAPES[name], seed=seed) for seed in (1, 2))
    assert laws.moreau(prior, x) < 1e-7
    assert laws.firm_nonexpansiveness(prior, 3 * x, 3 * y) < 1e-8
    assert laws.homogeneity(prior, x, -3.0, 1) < 1e-10


@every_penalty
@every_shape
def test_the_smoothed_penalty_is_near_the_exact_one_and_its_gradient_right(name: str, penalty: str) -> None:
    prior, x = PENALTIES[penalty], drawn(2, *SHAPES[name]).requires_grad_()
    torch.testing.assert_close(prior.penalty(x), prior.value(x), rtol=1e-2, atol=0)
    assert torch.autograd.gradcheck(prior.penalty, x)


@every_penalty
@every_shape
def test_dual_step_is_the_prox_of_the_conjugate(name: str, penalty: str) -> None:
    prior, x = PENALTIES[penalty], drawn(2, *SHAPES[name])
    analysis = prior.analysis(SHAPES[name]).double()
    p = drawn(2, *analysis.out_shape, seed=1)
    expected = prior.prox_conjugate(p + 0.3 * analysis(x), 0.3)
    assert float(prior.conjugate(2 * expected).min()) == float("inf")
    assert prior.conjugate(expected).tolist() == [0, 0]
    prior.dual_step_(p, x, 0.3)
    torch.testing.assert_close(p, expected)


@every_shape
def test_coupling_changes_nothing_without_several_channels(name: str) -> None:
    x = drawn(2, *SHAPES[name])
    apart, coupled = (PENALTIES[penalty].value(x) for penalty in ("isotropic", "coupled"))
    if name in ("colour", "volume"):
        assert (coupled < 0.99 * apart).all()
    else:
        torch.testing.assert_close(coupled, apart)


@every_shape
def test_every_pixel_prior_solves(name: str) -> None:
    """No prior gives y, Tikhonov y / (1 + μ), by descent and by its own method."""
    problem, descent = noisy(name, count=2), Descent(partial(torch.optim.SGD, lr=0.5))
    for prior, method, exact in (
        (NoPrior(), descent, problem.y),
        (Tikhonov(0.7), descent, problem.y / 1.7),
        (Tikhonov(0.7), None, problem.y / 1.7),
    ):
        torch.testing.assert_close(quiet(problem, prior, method, steps=40).image, exact, atol=1e-5, rtol=0)
    prior = Tikhonov(0.7, FiniteDifferences(SHAPES[name]).double())
    gram = sum(part.T @ part for part in reference.differences(SHAPES[name]))
    exact = np.linalg.solve(np.eye(len(gram)) + 0.7 * gram, problem.y.flatten(1).T.numpy()).T
    np.testing.assert_allclose(quiet(problem, prior).image.flatten(1).numpy(), exact, atol=1e-4)


@every_shape
def test_total_variation_of_a_batch_is_as_many_solves(name: str) -> None:
    problem, method = noisy(name, count=2), PrimalDual(tolerance=1e-12)
    alone = Problem(problem.operator, problem.y[1])
    together, single = (quiet(each, PENALTIES["coupled"], method, steps=30).image for each in (problem, alone))
    torch.testing.assert_close(together[1], single[0])


@every_shape
def test_both_forms_of_the_primal_dual_method_and_descent_end_at_one_minimum(name: str) -> None:
    """½ ‖2x - 2y‖² + 4 λ TV is 4 times the objective of denoising."""
    problem, prior = noisy(name), PENALTIES["coupled"]
    twice = Problem(2.0 * problem.operator, 2 * problem.y)
    lbfgs = Descent(partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"), steps=6)
    solves = [(problem, prior, None), (twice, TotalVariation(0.6, coupled=True), None), (problem, prior, lbfgs)]
    images = [quiet(*solve).image for solve in solves]
    objectives = [float(problem.data_term(image) + prior.value(image)) for image in images]
    assert max(objectives) <= 1.01 * min(objectives)


@every_shape
def test_the_trace_scores_each_image_of_a_batch_by_itself(name: str) -> None:
    problem, steps = noisy(name, count=3), list[Step]()
    assert problem.truth is not None
    result = quiet(problem, NoPrior(), Descent(average=0.5), steps=25, callbacks=(steps.append,))
    assert result.average is not None
    for curve, image in (("psnr", result.last), ("psnr_average", result.average)):
        errors = [float(((a - b) ** 2).mean()) for a, b in zip(image, problem.truth, strict=True)]
        np.testing.assert_allclose(result.trace[curve][-1].numpy(), -10 * np.log10(errors), rtol=1e-9)
    assert result.trace["psnr"].shape == (25, 3)
    assert steps[-1].psnr is not None
    assert steps[-1].psnr.equal(result.trace["psnr_average"][-1])


@every_shape
def test_psnr_agrees_with_scikit_image_for_images_of_any_dimension(name: str) -> None:
    shape = SHAPES[name]
    x, y = drawn(2, 3, *shape), drawn(2, 3, *shape, seed=1)
    scores = metrics.psnr(y, x, image_dims=len(shape))
    assert scores.shape == (2, 3)
    for k in range(2):
        expected = peak_signal_noise_ratio(x[k, 2].numpy(), y[k, 2].numpy(), data_range=1)
        assert float(scores[k, 2]) == pytest.approx(expected, abs=1e-9)
    assert metrics.psnr(y[0, 0], x[0, 0], image_dims=len(shape)).ndim == 0


def test_ssim_of_images_without_channels_and_of_slices_agrees_with_scikit_image() -> None:
    x = drawn(2, 12, 13)
    y = 0.8 * x + 0.2 * drawn(2, 12, 13, seed=1)
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = torch.tensor([structural_similarity(a.numpy(), b.numpy(), **options) for a, b in zip(x, y, strict=True)])
    torch.testing.assert_close(metrics.ssim(y, x, image_dims=2), expected.double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(metrics.ssim(y[None], x[None], image_dims=3)[0], expected.mean().double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(metrics.ssim(y[None, None], x[None, None], image_dims=4)[0], expected.mean().double())


@pytest.mark.parametrize("shape", [(16,), (12, 11), (2, 3, 11, 12)])
def test_a_comparison_scores_each_image_of_a_batch_by_itself(shape: tuple[int, ...]) -> None:
    problem = Problem.simulate(Identity(shape).double(), drawn(2, *shape), 0.1)
    assert problem.truth is not None
    comparison = compare(problem, {"TV": TotalVariation(0.05)}, progress=False)
    (row,), image = comparison.rows(), comparison.results["TV"].image.clamp(0, 1)
    errors = [float(((a - b) ** 2).mean()) for a, b in zip(image, problem.truth, strict=True)]
    assert row["psnr"] == pytest.approx(np.mean(-10 * np.log10(errors)))
    assert (row["ssim"] is None) == (len(shape) == 1)
    if len(shape) == 2:
        assert len(comparison.figure().axes) == 3
    else:
        with pytest.raises(BadValue, match=r"expected one image \(1 or 3, H, W\)"):
            comparison.figure()


@pytest.mark.parametrize("name", ["signal", "no channels", "volume", "film"])
def test_the_deep_image_prior_says_what_it_takes(name: str) -> None:
    advice = "give A the shape" if name == "no channels" else "reshape"
    for prior in (DeepImagePrior(), DeepImagePrior(Hourglass((4,))) + TotalVariation(0.1)):
        with pytest.raises(BadValue, match=rf"^DeepImagePrior on .*; expected 2-D images \(C, H, W\); {advice} .*$"):
            quiet(noisy(name), prior)


def test_a_start_that_carries_a_graph_is_detached() -> None:
    initial = 2 * drawn(5).requires_grad_()
    problem = Problem(Identity((5,)).double(), drawn(5, seed=1))
    for prior in (NoPrior(initial), Tikhonov(0.1, initial=initial), TotalVariation(0.1, initial=initial)):
        assert not quiet(problem, prior, steps=10).image.requires_grad


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.psnr(torch.rand(8), torch.rand(8)), "the last 3 dimensions, one image, .* image_dims=2"),
        (lambda: metrics.psnr(torch.rand(2, 8), torch.rand(2, 9), image_dims=1), "the last 1 dimensions"),
        (lambda: metrics.psnr(torch.rand(8), torch.rand(8), image_dims=0), "image_dims = 0"),
        (lambda: metrics.psnr(torch.rand(8), torch.rand(8), image_dims=1.0), "image_dims = 1.0"),  # pyright: ignore
        (lambda: metrics.ssim(torch.rand(16), torch.rand(16), image_dims=1), "use psnr for signals"),
        (lambda: FiniteDifferences(()), "the shape of one image"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        call()
