"""Lesson 9: noise models and the inverse crime."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.course.checks import expect, expect_equal, random_image, random_seed
from dipops.course.operators import fine_blur
from dipops.images import portrait
from dipops.metrics import psnr
from dipops.noise import ClippedGaussian

_SIGMA = 0.2
_GAIN, _FRAMES = 1.0, 64


def poisson(answer: Any) -> None:
    """The negative logarithm of a Poisson likelihood, but for a constant."""
    counts = torch.poisson(20 * random_image(1, 4, 5), torch.Generator().manual_seed(random_seed(5)))
    counts[..., 0] = 0
    first, second = 1 + 20 * random_image(1, 4, 5, seed=1), 1 + 20 * random_image(1, 4, 5, seed=2)
    of_first, of_second = (torch.as_tensor(answer(z, counts)).double() for z in (first, second))
    expect(of_first.isfinite().all(), "it is not finite")
    apart = of_first - of_second
    expect(apart.numel() == 1, f"the answer has shape {tuple(apart.shape)}: sum over the pixels")
    expected = _negative_log_likelihood(first, counts) - _negative_log_likelihood(second, counts)
    squares = 0.5 * ((first - counts).square().sum() - (second - counts).square().sum())
    expect(abs(float(apart - squares)) > 1e-6 * abs(float(squares)), "that is the data term of normal noise")
    expect_equal(apart.reshape(()), expected, "the difference between two images' data terms")


def clipped_mean(answer: Any) -> None:
    """E clip(v + n, 0, 1) for normal n."""
    values = torch.cat([torch.tensor([0.5, 0, 1]), random_image(40)])
    for sigma in _sigmas():
        means = answer(values, sigma)
        expected = ClippedGaussian(sigma).bias(values)
        if isinstance(means, Tensor) and means.shape == expected.shape:
            without_white = expected - 0.5 * torch.special.erfc((1 - values) / (sigma * 2**0.5))
            expect(not torch.allclose(means.double(), without_white, atol=1e-6), "what is clipped at 1 counts as 1, not as 0")
            expect(abs(float(means[0]) - 0.5) < 1e-3, "at 1/2 as much is clipped below as above: the mean is 1/2")
        expect_equal(means, expected, f"the mean at σ = {sigma:g}", 1e-5)


def debias(answer: Any) -> None:
    """The inverse of that mean, and what it gains on the mean of many photographs."""
    for sigma in _sigmas():
        values = torch.cat([torch.tensor([0.01, 0.99]), 0.01 + 0.98 * random_image(97)])
        expect_equal(answer(ClippedGaussian(sigma).bias(values), sigma), values, f"the image at σ = {sigma:g}", 1e-3)
        lowest = ClippedGaussian(sigma).bias(torch.zeros(1, dtype=torch.float64))
        beyond = torch.as_tensor(answer(torch.cat([0.5 * lowest, 1 - 0.5 * lowest]), sigma)).double()
        fault = "a mean below that of black is black, and one above that of white is white"
        expect(bool((beyond - torch.tensor([0.0, 1.0])).abs().max() < 1e-3), fault)
    x, burst = _burst(_SIGMA)
    gain = float(psnr(torch.as_tensor(answer(burst, _SIGMA)).to(burst), x) - psnr(burst, x))
    expect(gain > _GAIN, f"the mean of {_FRAMES} photographs gains {gain:.2f} dB instead of more than {_GAIN:g}")


def honest_measurement(answer: Any) -> None:
    """A measurement made at twice the resolution: blurred there, then averaged over blocks of 2 x 2."""
    fine = random_image(1, 12, 16)
    y = answer(fine, fine_blur)
    crime = fine_blur(F.avg_pool2d(fine, 2)[None])
    if isinstance(y, Tensor) and y.shape == crime.shape:
        expect(not torch.allclose(y, crime), "that is the crime: x was made small first, so y comes from the solver's own grid")
    expect_equal(y, F.avg_pool2d(fine_blur(fine[None]), 2), "y")


def _sigmas() -> tuple[float, float]:
    """A small and a large σ."""
    small, large = random_image(2, seed=4).tolist()
    return 0.05 + 0.03 * small, 0.15 + 0.1 * large


def _negative_log_likelihood(z: Tensor, counts: Tensor) -> Tensor:
    return (z - torch.xlogy(counts, z)).sum()


def _burst(sigma: float) -> tuple[Tensor, Tensor]:
    """A photograph, and the mean of several of it with clipped noise."""
    x, generator = portrait(64).double()[None], torch.Generator().manual_seed(random_seed(5))
    return x, torch.stack([ClippedGaussian(sigma).draw(x, generator) for _ in range(_FRAMES)]).mean(0)
