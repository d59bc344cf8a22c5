"""Blur against SciPy, in each way that it is computed, and the kernels."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.signal import convolve
from torch import nn

from dipops import Poisson, Problem, images
from dipops.errors import BadType, BadValue
from dipops.operators import Blur, kernels

MODES = {"reflect": "reflect", "circular": "wrap", "zeros": "constant"}
DRAWN = np.random.default_rng(0)
KERNELS = {
    "rank one": np.outer(DRAWN.random(4), DRAWN.random(3)),
    "one row": DRAWN.random((1, 5)),
    "small": DRAWN.standard_normal((3, 4)),
    "small and even": DRAWN.standard_normal((2, 2)),
    "large": DRAWN.standard_normal((9, 6)),
    "as large as the image": DRAWN.standard_normal((11, 12)),
}


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("boundary", [*MODES, "valid"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_blur_is_scipys_convolution(kernel: str, boundary: str, factor: int) -> None:
    taps, x = KERNELS[kernel], np.random.default_rng(1).random((2, 3, 11, 12))

    def plane(image: np.ndarray) -> np.ndarray:
        if boundary == "valid":
            return convolve(image, taps, "valid")
        return ndimage.convolve(image, taps, mode=MODES[boundary])

    expected = np.stack([[plane(channel)[::factor, ::factor] for channel in image] for image in x])
    operator = Blur((3, 11, 12), torch.from_numpy(taps), boundary, factor)
    np.testing.assert_allclose(operator(torch.from_numpy(x)).numpy(), expected, atol=1e-12)
    rounded = operator.float()(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(rounded, expected, atol=1e-6 * np.abs(taps).sum())


def test_small_large_and_separable_kernels_go_three_ways() -> None:
    ways = {type(Blur((1, 11, 12), taps)._product).__name__ for taps in KERNELS.values()}
    assert ways == {"BandedPair", "_Direct", "_Spectral"}


@pytest.mark.parametrize("shape", [(11, 12), (2, 3, 11, 12)])
def test_all_axes_but_the_last_two_are_planes(shape: tuple[int, ...]) -> None:
    for taps in KERNELS.values():
        x = torch.rand(2, *shape, dtype=torch.float64)
        planes = Blur((1, 11, 12), torch.from_numpy(taps))(x.view(-1, 1, 11, 12)).view(x.shape)
        torch.testing.assert_close(Blur(shape, torch.from_numpy(taps))(x), planes, rtol=0, atol=1e-12)


def test_a_gaussian_is_scipys() -> None:
    x = torch.rand(1, 1, 40, 30, dtype=torch.float64)
    expected = ndimage.gaussian_filter(x[0, 0].numpy(), 1.7)
    blurred = Blur((1, 40, 30), kernels.gaussian(1.7))(x.float())[0, 0]
    np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "kernel", [kernels.gaussian(0.1), kernels.gaussian(2), kernels.motion(6.5, 30), kernels.disk(2.5), kernels.disk(0.2)]
)
def test_kernels_have_odd_sides_and_sum_to_1(kernel: torch.Tensor) -> None:
    assert all(side % 2 for side in kernel.shape)
    assert (kernel >= 0).all()
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    torch.testing.assert_close(kernel, kernel.flip(0, 1))


def test_motion_along_the_axes_is_a_box() -> None:
    torch.testing.assert_close(kernels.motion(5), torch.full((1, 5), 0.2))
    torch.testing.assert_close(kernels.motion(4, 90), torch.tensor([[0.125, 0.25, 0.25, 0.25, 0.125]]).T)


def test_motion_along_a_diagonal_lies_on_it() -> None:
    kernel = kernels.motion(9 * 2**0.5, 45)
    torch.testing.assert_close(kernel, torch.eye(9).flip(1) / 9)


def test_motion_moves_as_far_as_it_says() -> None:
    length, angle = 12.0, 25.0
    kernel = kernels.motion(length, angle).double()
    places = torch.arange(kernel.shape[1], dtype=torch.float64) - kernel.shape[1] // 2
    variance = float((kernel.sum(0) * places.square()).sum())
    expected = (length * np.cos(np.radians(angle))) ** 2 / 12
    assert abs(variance - expected) < 1 / 12 + 0.02  # each pixel is as wide as a pixel


def test_a_disk_has_its_area() -> None:
    radius = 3.3
    kernel = kernels.disk(radius)
    assert float(1 / kernel.max()) == pytest.approx(np.pi * radius**2, rel=1e-3)
    corners = torch.tensor([[0, 0], [0, 6], [6, 0], [6, 6]])
    assert not kernel[corners[:, 0], corners[:, 1]].any()


SQUARE = torch.ones(3, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((3, 8, 8), torch.ones(9, 3)), "a kernel of 3 x 9 for an image of 8 x 8 pixels.*crop the kernel"),
        (((3, 8, 8), SQUARE * 1j), "kernel of torch.complex64; expected real numbers"),
        (((3, 8, 8), [[float("nan")]]), "NaN"),
        (((3, 8, 8), SQUARE * 0), "a kernel of zeros"),
        (((3, 8, 8), SQUARE[None, None]), r"shape \(1, 1, 3, 3\).*pass kernel\[0, 0\]"),
        (((3, 8, 8), "gaussian"), "kernel = 'gaussian'; expected a tensor"),
        (((3, 8, 8), nn.Parameter(SQUARE)), "kernel with requires_grad.*an operator of your own"),
        (((3, 8, 8), SQUARE, "mirror"), "boundary = 'mirror'"),
        (((3, 8, 8), SQUARE, "zeros", 0), "factor = 0"),
        (((8,), torch.ones(1, 3)), r"in_shape = \(8,\)"),
    ],
)
def test_blur_refuses(arguments: tuple, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words) as caught:
        Blur(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [kernels.gaussian, kernels.motion, kernels.disk])
@pytest.mark.parametrize("size", [0, -1.0, float("inf"), float("nan"), "two"])
def test_kernels_refuse_a_size_that_is_none(make, size) -> None:
    with pytest.raises((BadValue, BadType), match="expected a positive"):
        make(size)


@pytest.mark.parametrize(
    ("kernel", "factor"), [(torch.ones(3, 3) / 9, 4), (torch.ones(2, 2) / 4, 8), (kernels.gaussian(1), 32)]
)
def test_pixels_between_those_that_are_kept_may_count_for_nothing(kernel: torch.Tensor, factor: int) -> None:
    x = torch.rand(1, 1, 128, 128)
    expected = Blur((1, 128, 128), kernel)(x)[..., ::factor, ::factor]
    torch.testing.assert_close(Blur((1, 128, 128), kernel, factor=factor)(x), expected)


def test_a_kernel_of_one_corner_moves_the_image() -> None:
    kernel = torch.zeros(129, 129)
    kernel[0, 0] = 1
    x = torch.rand(1, 1, 256, 256)
    torch.testing.assert_close(Blur((1, 256, 256), kernel, "circular")(x), x.roll((-64, -64), (-2, -1)))
    torch.testing.assert_close(Blur((1, 256, 256), kernel)(x)[..., :192, :192], x[..., 64:, 64:])


def test_a_flipped_array_is_a_kernel() -> None:
    assert Blur((1, 8, 8), np.arange(6.0).reshape(2, 3)[::-1]).kernel.equal(torch.tensor([[3.0, 4, 5], [0, 1, 2]]))


def test_photons_behind_a_blur_by_fft_may_be_none() -> None:
    x = images.phantom("shepp-logan", 64)
    operator = Blur(x.shape, kernels.disk(4))
    assert float(operator(x[None]).min()) < 0, "rounding"
    assert Problem.simulate(operator, x, Poisson(100)).y.min() >= 0
