"""Masks, and the Lanczos operator against the dense matrix of its formula."""

import math

import numpy as np
import pytest
import torch

from dipops import GuidedInput, LanczosDownsampler, Mask, Problem, check, project
from dipops.errors import BadType, BadValue
from dipops.testing.laws import adjoint

SIZES = {2: (10, 14), 3: (9, 15), 4: (12, 20), 5: (15, 10), 8: (16, 24)}


def _line(size: int, factor: int, lobes: int) -> np.ndarray:
    """The matrix of one axis, entry by entry from the formula: L(|p + 1/2 - t (j + 1/2)| / t), nearest pixel outside."""
    matrix = np.zeros((size // factor, size))
    for j in range(size // factor):
        for p in range(-lobes * factor, size + lobes * factor):
            d = abs(p + 0.5 - factor * (j + 0.5)) / factor
            if d < lobes:
                matrix[j, min(max(p, 0), size - 1)] += np.sinc(d) * np.sinc(d / lobes)
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize("lobes", [2, 3])
@pytest.mark.parametrize("factor", SIZES)
def test_lanczos_is_the_dense_matrix_of_its_formula(factor: int, lobes: int, device: torch.device) -> None:
    height, width = SIZES[factor]
    operator = LanczosDownsampler((2, height, width), factor, lobes).double().to(device)
    plane = np.kron(_line(height, factor, lobes), _line(width, factor, lobes))
    np.testing.assert_allclose(operator.matrix().cpu().numpy(), np.kron(np.eye(2), plane), atol=1e-6)
    verdict = adjoint(operator, torch.Generator().manual_seed(3))
    assert not verdict.fault
    assert verdict.error is not None
    assert verdict.error < 1e-12


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_lanczos_keeps_flat_images_flat(factor: int) -> None:
    operator = LanczosDownsampler((1, 2 * factor, 3 * factor), factor)
    out = operator(torch.full((1, 1, 2 * factor, 3 * factor), 0.7))
    torch.testing.assert_close(out, torch.full((1, 1, 2, 3), 0.7))


@pytest.mark.parametrize(
    ("shape", "factor", "lobes", "words"),
    [
        ((3, 64, 64), 0, 2, "factor = 0; expected an integer from 2"),
        ((3, 64, 64), 1, 2, "factor = 1"),
        ((3, 64, 64), 2.5, 2, r"factor = 2.5"),
        ((3, 64, 64), 4, 0, "lobes = 0"),
        ((3, 65, 70), 4, 2, "sides that 4 divides; crop to 64 x 68"),
        ((64, 64), 4, 2, r"\(C, H, W\)"),
    ],
)
def test_lanczos_refuses(shape: tuple[int, ...], factor: int, lobes: int, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        LanczosDownsampler(shape, factor, lobes)


def test_a_mask_may_be_shared_by_channels_or_be_one_for_each() -> None:
    mask = torch.tensor([[1.0, 0.0, 1.0]])
    x = torch.rand(2, 3, 1, 3)
    assert Mask(mask, channels=3)(x).equal(x * mask)
    assert Mask(mask[None], channels=3)(x).equal(x * mask)
    masks = torch.stack([mask, 1 - mask, mask])
    assert Mask(masks > 0.5)(x).equal(x * masks)
    assert Mask(mask.bool(), channels=1).in_shape == (1, 1, 3)
    assert Mask(mask.bool().numpy(), channels=3)(x).equal(x * mask), "an array"


@pytest.mark.parametrize("shape", [(5,), (3, 4), (1, 3, 4), (2, 3, 4), (2, 3, 4, 5)])
def test_a_mask_may_have_the_shape_of_any_image(shape: tuple[int, ...]) -> None:
    mask = (torch.arange(math.prod(shape)) % 3 > 0).view(shape)
    operator, x = Mask(mask), torch.rand(2, *shape)
    assert operator.in_shape == operator.out_shape == shape
    assert operator(x).equal(x * mask)
    assert check(operator).passed
    problem = Problem.simulate(operator, x[0], 0)
    assert project(problem, torch.zeros(1, *shape)).equal(x[:1] * mask)


@pytest.mark.parametrize(
    ("mask", "channels", "words"),
    [
        (torch.tensor(1), None, "the shape of one image"),
        (torch.zeros(4, 4), 3, "no known pixel.*invert"),
        (torch.full((4, 4), 0.5), 3, "threshold it: mask > 0.5"),
        (torch.full((4, 4), math.nan), 3, "values other than 0 and 1"),
        (torch.ones(2, 4, 4), 3, "2 masks for 3 channels"),
        ("known", 3, "mask = 'known'; expected a tensor or an array"),
        (torch.ones(4, 4), 2.5, "channels = 2.5"),
    ],
)
def test_a_mask_refuses(mask: torch.Tensor, channels: int | None, words: str) -> None:
    with pytest.raises((BadType, BadValue), match=words):
        Mask(mask, channels)


def test_a_guide_of_8_bits_is_refused() -> None:
    with pytest.raises(BadType, match="images.load"):
        GuidedInput(torch.ones(3, 4, 4, dtype=torch.uint8))
