"""Resize against Pillow, and against MATLAB's rule written out entry by entry."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from dipops import LanczosDownsampler
from dipops.errors import BadValue
from dipops.operators import Resize

PILLOW = {
    "lanczos3": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "linear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}
SIZES = [
    ((20, 30), (10, 10)),
    ((20, 31), (7, 13)),
    ((9, 8), (30, 17)),
    ((8, 8), (8, 8)),
    ((5, 7), (1, 2)),
    ((64, 48), (37, 9)),
]


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("kernel", PILLOW)
def test_resize_is_pillows(kernel: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(before).astype(np.float32)
    expected = np.array(Image.fromarray(image).resize(after[::-1], PILLOW[kernel]))
    resized = Resize(before, after, kernel)(torch.from_numpy(image)[None])[0]
    np.testing.assert_allclose(resized.numpy(), expected, atol=2e-6)


def cubic(d: float) -> float:
    d = abs(d)
    return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d <= 2 else 0.0


def imresize(size: int, new: int) -> np.ndarray:
    """MATLAB's imresize of one axis, counted from 1: the kernel is widened, weights sum to 1, indices are mirrored."""
    scale = new / size
    width = 4 / min(scale, 1)
    mirrored = [*range(1, size + 1), *range(size, 0, -1)]
    matrix = np.zeros((new, size))
    for j in range(1, new + 1):
        u = j / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        taps = range(left, left + math.ceil(width) + 2)
        weights = [cubic(min(scale, 1) * (u - tap)) for tap in taps]
        for tap, weight in zip(taps, weights, strict=True):
            matrix[j - 1, mirrored[(tap - 1) % (2 * size)] - 1] += weight / sum(weights)
    return matrix


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_bicubic_with_reflected_borders_is_matlabs(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random(before)
    expected = imresize(before[0], after[0]) @ image @ imresize(before[1], after[1]).T
    resized = Resize(before, after, boundary="reflect").double()(torch.from_numpy(image)[None])[0]
    np.testing.assert_allclose(resized.numpy(), expected, atol=1e-6)


def test_the_paper_reduces_by_lanczos2_with_repeated_borders() -> None:
    x = torch.rand(1, 3, 16, 24, dtype=torch.float64)
    paper, ours = LanczosDownsampler((3, 16, 24), 4), Resize((3, 16, 24), (3, 4, 6), "lanczos2", "nearest")
    assert paper.double()(x).equal(ours.double()(x))


@pytest.mark.parametrize("kernel", ["lanczos2", "lanczos3", "bicubic", "linear", "area"])
@pytest.mark.parametrize("boundary", ["renormalise", "reflect", "nearest"])
def test_flat_images_stay_flat(kernel: str, boundary: str) -> None:
    out = Resize((1, 7, 12), (1, 3, 25), kernel, boundary)(torch.full((1, 1, 7, 12), 0.7))
    torch.testing.assert_close(out, torch.full((1, 1, 3, 25), 0.7))


@pytest.mark.parametrize(
    ("before", "after", "kernel", "words"),
    [
        ((3, 8, 8), (1, 4, 4), "linear", "keep the channels"),
        ((3, 8, 8), (4, 4), "linear", "keep the channels"),
        ((3, 8, 8), (3, 0, 4), "linear", "out_shape"),
        ((8,), (4,), "linear", "keep the channels"),
        ((3, 8, 8), (3, 4, 4), "cubic", "one of 'lanczos2'"),
    ],
)
def test_resize_refuses(before: tuple[int, ...], after: tuple[int, ...], kernel: str, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        Resize(before, after, kernel)
