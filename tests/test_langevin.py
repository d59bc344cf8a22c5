"""Langevin dynamics: samples of the posterior where it is known, and a spread where it is not."""

import pytest
import torch

from dipops import DeepImagePrior, Hourglass, Identity, Langevin, Mask, NoPrior, Problem, images, metrics, solve
from dipops.errors import BadValue


def test_the_samples_have_the_posterior_of_a_gaussian() -> None:
    """Pixels and no penalty: the posterior is normal around y with the variance of the noise."""
    y = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    problem = Problem(Identity((1, 24, 24)), y, 0.1)
    result = solve(problem, NoPrior(), Langevin(rate=0.01, burn_in=300), steps=1800, progress=False)
    assert result.std is not None
    assert result.average is not None
    assert float(result.std.mean()) == pytest.approx(0.1, rel=0.1)
    assert float((result.average - y).abs().mean()) < 0.03


def test_the_deep_image_prior_varies_more_where_nothing_was_measured() -> None:
    mask = torch.ones(32, 32)
    mask[8:24, 8:24] = 0
    problem = Problem.simulate(Mask(mask, channels=3), images.portrait(32), 0.05)
    prior = DeepImagePrior(Hourglass((8, 8), skips=4))
    result = solve(problem, prior, Langevin(burn_in=60), steps=160, progress=False)
    assert result.source == ("average",)
    assert result.std is not None
    assert float(result.std[..., mask == 0].mean()) > 1.3 * float(result.std[..., mask == 1].mean())
    assert problem.truth is not None
    assert float(metrics.psnr(result.image, problem.truth)) > float(metrics.psnr(result.last, problem.truth)) + 0.5


def test_a_batch_of_chains_is_separate_chains() -> None:
    truth = images.portrait(32).double()
    problem = Problem.simulate(Identity(truth.shape).double(), torch.stack([truth, truth.flip(-1)]), 0.1)
    prior = DeepImagePrior(Hourglass((8, 8), skips=2))
    together = solve(problem, prior, Langevin(burn_in=5), steps=20, seed=3, progress=False)
    for k in range(2):
        alone = solve(
            Problem(problem.operator, problem.y[k], 0.1, truth=truth),
            prior,
            Langevin(burn_in=5),
            steps=20,
            seed=3 + k,
            progress=False,
        )
        torch.testing.assert_close(together.last[k], alone.last[0], rtol=0, atol=1e-9)
        assert together.std is not None
        assert alone.std is not None
        torch.testing.assert_close(together.std[k], alone.std[0], rtol=0, atol=1e-9)


def test_langevin_refuses() -> None:
    with pytest.raises(BadValue, match="rate = 0"):
        Langevin(rate=0)
    with pytest.raises(BadValue, match="Langevin on noise that is not known"):
        solve(Problem(Identity((1, 16, 16)), torch.rand(1, 16, 16)), NoPrior(), Langevin(), progress=False)


def test_a_start_without_slope_does_not_explode() -> None:
    y = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    problem = Problem(Identity((1, 16, 16)), y, 0.1)
    result = solve(problem, NoPrior(initial=y[0]), Langevin(burn_in=300), steps=1200, progress=False)
    assert result.std is not None
    assert float(result.std.mean()) == pytest.approx(0.1, rel=0.15)
    assert float((result.last - y).abs().max()) < 1
