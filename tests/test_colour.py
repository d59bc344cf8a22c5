"""Operators on colours, against loops over the pixels and against Pillow."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dipops import LinearOperator, check, images
from dipops.errors import BadType, BadValue
from dipops.operators import ColourMatrix, Grayscale, Mosaic

X_TRANS = "GBGGRG RGRBGB GBGGRG GRGGBG BGBRGR GRGGBG".replace(" ", "")
PATTERNS = {"RGGB": "RGGB", "BGGR": "BGGR", "GRBG": "GRBG", "X-Trans": X_TRANS, "red": "R", "diagonals": "RGBGBRBRG"}


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("size", [(2, 2), (5, 7), (12, 13)])
def test_a_mosaic_has_one_colour_a_pixel(name: str, size: tuple[int, int], device: torch.device) -> None:
    pattern = PATTERNS[name]
    side = int(len(pattern) ** 0.5)
    x = torch.rand(2, 3, *size)
    expected = torch.empty(2, 1, *size)
    for i in range(size[0]):
        for j in range(size[1]):
            expected[:, 0, i, j] = x[:, "RGB".index(pattern[side * (i % side) + j % side]), i, j]
    mosaic = Mosaic((3, *size), pattern).to(device)
    assert mosaic(x.to(device)).cpu().equal(expected)
    assert mosaic.out_shape == (1, *size)
    assert mosaic.norm() == 1
    assert mosaic.known is None


def test_a_mosaic_of_36_letters_obeys_the_laws() -> None:
    report = check(Mosaic((3, 7, 8), X_TRANS))
    assert report.passed
    assert report.operator == f"Mosaic(3, 7, 8, '{X_TRANS}')"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_colour_matrix_is_its_sum(dtype: torch.dtype, device: torch.device) -> None:
    x, matrix = torch.randn(2, 4, 3, 5, dtype=dtype), torch.randn(6, 4, dtype=dtype)
    operator = ColourMatrix((4, 3, 5), matrix).to(device)
    y = operator(x.to(device)).cpu()
    assert y.dtype == dtype
    expected = np.einsum("mc,nchw->nmhw", matrix.double(), x.double())
    torch.testing.assert_close(y.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)
    assert operator.norm() == pytest.approx(np.linalg.svd(matrix.numpy().astype(float))[1][0])


def test_a_colour_matrix_is_a_copy_in_floating_point() -> None:
    matrix = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    operator = ColourMatrix((3, 2, 2), matrix)
    matrix.zero_()
    assert operator.norm() == 1
    x = torch.rand(1, 3, 2, 2)
    for swap in (torch.tensor([[0, 1, 0], [1, 0, 0]]), torch.tensor([[0, 1, 0], [1, 0, 0]]) > 0):
        assert ColourMatrix((3, 2, 2), swap)(x).equal(x[:, [1, 0]])


def test_grayscale_is_that_of_pillow() -> None:
    """To their rounding to 8 bits, and that of their weights to 16."""
    x = torch.cat([images.portrait(64), torch.rand(3, 64, 64)], -1).mul(255).round() / 255
    theirs = torch.from_numpy(np.array(images.to_pil(x).convert("L"))).float()
    assert float((255 * Grayscale(x.shape)(x[None])[0, 0] - theirs).abs().max()) < 0.5 + 255 * 3 / 2**16


Make = Callable[[], LinearOperator]


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Mosaic((1, 8, 8)), BadValue, r"in_shape = \(1, 8, 8\); expected \(3, H, W\): red, green, blue"),
        (lambda: Mosaic((8, 8)), BadValue, r"expected \(3, H, W\)"),
        (lambda: Grayscale((1, 8, 8)), BadValue, r"expected \(3, H, W\)"),
        (lambda: Mosaic((3, 8, 8), "RGGW"), BadValue, "pattern = 'RGGW'; expected a square of the letters R, G, B"),
        (lambda: Mosaic((3, 8, 8), "rggb"), BadValue, 'write "RGGB"'),
        (lambda: Mosaic((3, 8, 8), "RGB"), BadValue, "a square"),
        (lambda: Mosaic((3, 8, 8), ""), BadValue, "a square"),
        (lambda: Mosaic((3, 8, 8), ["R", "G", "G", "B"]), BadType, "a string"),
        (
            lambda: ColourMatrix((3, 8, 8), torch.ones(2, 4)),
            BadValue,
            r"\(2, 4\) for 3 channels; expected shape \(M, 3\)",
        ),
        (lambda: ColourMatrix((3, 8, 8), torch.ones(3)), BadValue, r"shape \(M, 3\)"),
        (lambda: ColourMatrix((3, 8, 8), torch.ones(0, 3)), BadValue, "a row for each channel"),
        (lambda: ColourMatrix((8, 8), torch.ones(1, 8)), BadValue, r"\(C, H, W\)"),
        (lambda: ColourMatrix((3, 8, 8), torch.tensor([[1.0, float("nan"), 0]])), BadValue, "matrix with NaN"),
        (lambda: ColourMatrix((3, 8, 8), torch.ones(1, 3) * 1j), BadType, "complex64; expected real numbers"),
        (lambda: Grayscale(None), BadValue, "in_shape = None; expected the shape of one image"),
        (lambda: ColourMatrix((3, 8, 8), "red"), BadType, "matrix = 'red'; expected a tensor or an array"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make: Make, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
