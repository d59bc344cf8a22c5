"""Saturation and gamma correction, against closed forms; the mean of clipped noise against an integral."""

from collections.abc import Callable
from math import log, nan

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import skimage.color
import torch

from dipops import DifferentiableOperator, NoPrior, Problem, images, solve
from dipops.errors import BadType, BadValue
from dipops.operators import ExpectedClip, Gamma, Saturation
from dipops.testing.laws import taylor

VALUES = torch.linspace(-1, 2, 3001, dtype=torch.float64)


def along(operator: DifferentiableOperator) -> tuple[torch.Tensor, torch.Tensor]:
    """The values of an operator at VALUES, and its slopes."""
    x = VALUES[None]
    operator = operator.double()
    return operator(x)[0], operator.jvp(x, torch.ones_like(x))[0]


def test_saturation_is_a_minimum() -> None:
    for threshold in (0.3, 1.0):
        y, slope = along(Saturation(VALUES.shape, threshold))
        assert y.equal(torch.minimum(VALUES, torch.tensor(threshold, dtype=torch.float64)))
        assert slope.equal((threshold >= VALUES).double())


@pytest.mark.parametrize("smoothness", [1e-4, 0.02, 0.5])
def test_smooth_saturation_is_its_formula_and_near_the_minimum(smoothness: float) -> None:
    grid = VALUES.numpy()
    y, slope = along(Saturation(VALUES.shape, 0.6, smoothness))
    np.testing.assert_allclose(y, grid - smoothness * np.logaddexp(0, (grid - 0.6) / smoothness), atol=1e-14)
    gap = VALUES.clamp(max=0.6) - y
    assert float(gap.max()) == pytest.approx(smoothness * log(2))
    assert float(gap.min()) >= -1e-14
    np.testing.assert_allclose(slope, scipy.special.expit((0.6 - grid) / smoothness), atol=1e-12)


def test_only_smooth_saturation_leaves_the_saturated_start() -> None:
    """A start at white does not move where the derivative is 0."""
    x = images.portrait(32)[:1, 8:24, 8:24]
    errors = {}
    for smoothness in (0.0, 0.1):
        problem = Problem.simulate(Saturation(x.shape, 0.8, smoothness), x, 0)
        start = NoPrior(initial=torch.ones(1, *x.shape))
        errors[smoothness] = float((solve(problem, start, steps=100, progress=False).image - x).abs().max())
    assert errors[0.0] == pytest.approx(1 - float(x.min()))
    assert errors[0.1] < 0.1


@pytest.mark.parametrize(("gamma", "offset"), [(2.4, 0.055), (1 / 0.45, 0.099), (1.5, 0.01), (3.0, 1.5)])
def test_gamma_is_a_power_with_a_tangent_through_zero(gamma: float, offset: float) -> None:
    operator = Gamma(VALUES.shape, gamma, offset).double()
    y, slope = along(operator)
    above = VALUES[operator.toe < VALUES]
    np.testing.assert_allclose(y[operator.toe < VALUES], (1 + offset) * above ** (1 / gamma) - offset, atol=1e-14)
    assert float(y[2000]) == pytest.approx(1)
    assert float(y[1000]) == pytest.approx(0, abs=1e-15)
    assert (y.diff() > 0).all()
    assert float(slope.min()) > 0
    near = operator.toe * torch.tensor([1 - 1e-9, 1 + 1e-9], dtype=torch.float64)
    at_toe = Gamma((2,), gamma, offset).double()
    low, high = at_toe(near[None])[0].tolist()
    assert high - low < 1e-8
    below, above_it = at_toe.jvp(near[None], torch.ones(1, 2, dtype=torch.float64))[0].tolist()
    assert below == pytest.approx(above_it, rel=1e-7)
    assert (slope[operator.toe > VALUES] - operator.slope).abs().max() < 1e-12


def test_gamma_is_srgb_by_default() -> None:
    """Within what the rounded constants of the standard differ by; scikit-image has those."""
    y, _ = along(Gamma(VALUES.shape))
    unit = (VALUES >= 0) & (VALUES <= 1)
    light = VALUES[unit]
    standard = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert float((y[unit] - standard).abs().max()) < 2e-5
    white = skimage.color.rgb2xyz(np.ones((1, 1, 3)))
    theirs = skimage.color.xyz2rgb(light.numpy()[:, None, None] * white)
    np.testing.assert_allclose(y[unit], theirs[:, 0, 1], atol=1e-4)


def test_gamma_of_bt_709_has_its_constants() -> None:
    operator = Gamma((1,), 1 / 0.45, 0.099)
    assert operator.toe == pytest.approx(0.018, abs=1e-4)
    assert operator.slope == pytest.approx(4.5, abs=0.02)
    srgb = Gamma((1,))
    assert srgb.toe == pytest.approx(0.0031308, abs=1e-4)
    assert srgb.slope == pytest.approx(12.92, abs=0.01)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_expected_clip_is_an_integral(sigma: float) -> None:
    y, slope = along(ExpectedClip(VALUES.shape, sigma))
    assert (slope >= 0).all()
    for k in range(0, len(VALUES), 250):
        clean = float(VALUES[k])
        noisy = scipy.stats.norm(clean, sigma)
        inside, _ = scipy.integrate.quad(lambda v, noisy=noisy: v * noisy.pdf(v), 0, 1, points=[min(max(clean, 0), 1)])
        assert float(y[k]) == pytest.approx(inside + noisy.sf(1), abs=1e-7)


OPERATORS = {
    "ExpectedClip": ExpectedClip((2, 5), 0.1),
    "Saturation": Saturation((2, 5)),
    "smooth": Saturation((2, 5), 0.5, 0.02),
    "sRGB": Gamma((2, 5)),
    "Gamma": Gamma((2, 5), 1.5, 0.3),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_taylor_law_holds_between_minus_1_and_2(name: str) -> None:
    for seed in range(20):
        assert not taylor(OPERATORS[name].double(), torch.Generator().manual_seed(seed)).fault


Make = Callable[[], DifferentiableOperator]


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Saturation((4,), nan), BadValue, "threshold = nan; expected a finite value"),
        (lambda: Saturation((4,), "1"), BadType, "threshold = '1'"),
        (lambda: Saturation((4,), 1, -0.1), BadValue, "smoothness = -0.1; expected a width from 0"),
        (lambda: Saturation((4,), 1, nan), BadValue, "smoothness = nan"),
        (lambda: Gamma((4,), 1), BadValue, "gamma = 1; expected a power above 1, at most 20; 2.4 and 0.055"),
        (lambda: Gamma((4,), nan), BadValue, "gamma = nan"),
        (lambda: Gamma((4,), 2.4, 0), BadValue, "offset = 0"),
        (lambda: Gamma((4,), 1.5, 0.5), BadValue, "offset = 0.5 with gamma = 1.5; expected less than gamma - 1 = 0.5"),
        (lambda: ExpectedClip((4,), 0), BadValue, "without noise nothing is clipped"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make: Make, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
