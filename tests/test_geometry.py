"""Crop, pad and shift against NumPy and SciPy."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from dipops.errors import BadType, BadValue
from dipops.operators import Crop, Pad, Shift

SHAPE = (2, 7, 6)
PADS: dict[Any, Any] = {"zeros": "constant", "reflect": "symmetric", "circular": "wrap", "nearest": "edge"}
SHIFTS = {"zeros": "grid-constant", "reflect": "reflect", "circular": "grid-wrap", "nearest": "nearest"}
X = torch.rand(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_crop_is_a_slice() -> None:
    assert Crop(SHAPE, (3, 2)).double()(X).equal(X[..., 2:5, 2:4])
    assert Crop(SHAPE, (3, 2), (4, 0)).double()(X).equal(X[..., 4:, :2])


@pytest.mark.parametrize("padding", [0, 3, (0, 0, 1, 0), (7, 7, 6, 6), (1, 2, 3, 0)])
@pytest.mark.parametrize("boundary", PADS)
def test_pad_is_numpys(boundary: str, padding: int | tuple[int, ...]) -> None:
    top, bottom, left, right = (padding,) * 4 if isinstance(padding, int) else padding
    expected = np.pad(X.numpy(), [(0, 0), (0, 0), (top, bottom), (left, right)], mode=PADS[boundary])
    np.testing.assert_array_equal(Pad(SHAPE, padding, boundary).double()(X).numpy(), expected)


@pytest.mark.parametrize("offset", [(0, 0), (1.5, -2.25), (-3, 2), (7, -6), (-7, 6), (0.3, 0)])
@pytest.mark.parametrize("boundary", SHIFTS)
def test_shift_is_scipys(boundary: str, offset: tuple[float, float]) -> None:
    expected = ndimage.shift(X.numpy(), (0, 0, *offset), order=1, mode=SHIFTS[boundary])
    np.testing.assert_allclose(Shift(SHAPE, offset, boundary).double()(X).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Crop(SHAPE, (9, 2)), "2 x 9 pixels of an image of 6 x 7; expected a rectangle within"),
        (lambda: Crop(SHAPE, (2, 2), (-1, 0)), r"from \(-1, 0\)"),
        (lambda: Crop(SHAPE, 4), "size = 4"),
        (lambda: Crop(SHAPE, (2, 2), (0, 1.5)), r"offset = \(0, 1.5\); expected two integers"),
        (lambda: Crop(X[0], (2, 2)), r"in_shape is an image of \(2, 7, 6\); .* write x.shape"),
        (lambda: Crop((2.5, 8, 8), (2, 2)), r"in_shape = \(2.5, 8, 8\)"),
        (lambda: Crop((8,), (2, 2)), r"in_shape = \(8,\)"),
        (lambda: Pad(SHAPE, -1), "padding = -1.*use Crop"),
        (lambda: Pad(SHAPE, 1.5), "padding = 1.5"),
        (lambda: Pad(SHAPE, (1, 2)), r"\(top, bottom, left, right\)"),
        (lambda: Pad(SHAPE, 8, "reflect"), 'padding = 8 by "reflect" for an image of 6 x 7'),
        (lambda: Pad(SHAPE, 1, "mirror"), "boundary = 'mirror'"),
        (lambda: Shift(SHAPE, (0, 7)), "offset = 7; expected at most the 6 x 7"),
        (lambda: Shift(SHAPE, (float("nan"), 0)), "offset = nan"),
        (lambda: Shift(SHAPE, 3), r"\(down, right\)"),
    ],
)
def test_bad_geometry_is_refused(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()
