"""Samples in Fourier space against numpy.fft, and their magnitudes."""

import numpy as np
import pytest
import torch

from dipops import Problem, masks
from dipops.errors import BadType, BadValue
from dipops.operators import Fourier, Modulus

X = torch.rand(2, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SAMPLES = torch.arange(30).view(6, 5) % 3 == 0


def pairs(y: np.ndarray) -> np.ndarray:
    return np.stack([y.real, y.imag], -1)


def test_all_samples_are_numpys() -> None:
    expected = pairs(np.fft.fft2(X.numpy(), norm="ortho"))
    np.testing.assert_allclose(Fourier((3, 6, 5)).double()(X).numpy(), expected, atol=1e-14)


def test_samples_that_are_not_measured_are_zero_and_not_known() -> None:
    operator = Fourier((3, 6, 5), SAMPLES).double()
    expected = pairs(np.fft.fft2(X.numpy(), norm="ortho")) * SAMPLES.numpy()[..., None]
    np.testing.assert_allclose(operator(X).numpy(), expected, atol=1e-14)
    known = operator.known
    assert known is not None
    real, imaginary = known.unbind(-1)
    assert real.equal(SAMPLES.expand(3, 6, 5))
    assert not (imaginary & ~SAMPLES).any()
    assert not imaginary[:, 0, 0].any(), "the zero frequency of a real image is real"


def test_a_measurement_may_be_nan_where_nothing_is_sampled() -> None:
    operator = Fourier((3, 6, 5), SAMPLES).double()
    y = torch.where(SAMPLES[..., None], operator(X[:1]), torch.nan)
    problem = Problem(operator, y)
    assert float(problem.data_term(X[:1])) == pytest.approx(0, abs=1e-25)


def test_coils_multiply_the_image() -> None:
    coils = torch.randn(4, 6, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    operator = Fourier((3, 6, 5), SAMPLES, coils)
    expected = np.fft.fft2(X.numpy()[:, :, None] * coils.numpy(), norm="ortho") * SAMPLES.numpy()
    assert operator.out_shape == (3, 4, 6, 5, 2)
    np.testing.assert_allclose(operator(X).numpy(), pairs(expected), atol=1e-13)
    alone = pairs(np.fft.fft2(X.numpy() * coils[0].real.numpy(), norm="ortho"))
    real = Fourier((3, 6, 5), coils=coils.real)
    np.testing.assert_allclose(real(X)[:, :, 0].numpy(), alone, atol=1e-14)


def test_the_modulus_of_a_transform_is_numpys() -> None:
    transform = Fourier((3, 6, 5)).double()
    magnitudes = (Modulus(transform.out_shape).double() @ transform)(X)
    np.testing.assert_allclose(magnitudes.numpy(), np.abs(np.fft.fft2(X.numpy(), norm="ortho")), atol=1e-14)


def test_the_derivative_of_the_modulus_is_0_at_0() -> None:
    x = torch.zeros(1, 3, 2, requires_grad=True)
    Modulus((3, 2))(x).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()


def centred(size: int) -> torch.Tensor:
    """Lines through the middle, as a scanner shows them."""
    mask = torch.zeros(size, size)
    mask[:, size // 2 - size // 8 : size // 2 + size // 8] = 1
    return mask


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Fourier((3, 8, 8), torch.ones(7, 8)), r"samples of shape \(7, 8\); expected \(8, 8\)"),
        (lambda: Fourier((3, 8, 8), torch.full((8, 8), 0.5)), "values other than 0 and 1"),
        (lambda: Fourier((3, 8, 8), torch.zeros(8, 8)), "with none"),
        (lambda: Fourier((1, 32, 32), centred(32)), r"torch.fft.ifftshift\(samples\)"),
        (lambda: Fourier((3, 8, 8), coils=torch.rand(8, 8)), r"coils of shape \(8, 8\)"),
        (lambda: Fourier((1, 64, 64), torch.fft.fftshift(masks.radial((64, 64), 16))), r"torch.fft.ifftshift\(samples\)"),
        (lambda: Fourier((3, 8, 8), "radial"), "samples = 'radial'; expected a tensor or an array"),
        (lambda: Fourier((3, 8, 8), torch.ones(8, 8) * 1j), "samples of torch.complex64"),
        (lambda: Fourier((3, 8, 8), coils=torch.ones(0, 8, 8)), r"coils of shape \(0, 8, 8\)"),
        (lambda: Fourier((3, 8, 8), coils=torch.ones(2, 8, 8, requires_grad=True)), "coils with requires_grad"),
        (lambda: Fourier((3, 8, 8), coils=torch.full((2, 8, 8), torch.nan)), "NaN"),
        (lambda: Fourier((8,)), r"in_shape = \(8,\)"),
        (lambda: Modulus((3, 8, 8)), "a last axis of 2"),
    ],
)
def test_bad_samples_and_coils_are_refused(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()


@pytest.mark.parametrize("keep", [0.25, 0.5])
def test_random_samples_are_no_centred_mask(keep: float) -> None:
    for seed in range(20):
        assert Fourier((1, 32, 32), masks.random((32, 32), keep, seed)).out_shape == (1, 32, 32, 2)


def test_samples_and_coils_have_one_dtype() -> None:
    ones, coils = np.ones((6, 5)), np.ones((2, 6, 5), np.complex128)
    assert Fourier((6, 5), ones)._like.dtype == torch.float32, "arrays get the default dtype"
    operator = Fourier((6, 5), ones, torch.from_numpy(coils))
    assert operator(torch.ones(1, 6, 5, dtype=torch.float64)).dtype == torch.float64


def test_a_centred_mask_is_taken_when_it_is_moved() -> None:
    assert Fourier((1, 32, 32), torch.fft.ifftshift(centred(32))).out_shape == (1, 32, 32, 2)
