"""Warp against PyTorch's grid_sample and SciPy's map_coordinates, and the rolling shutter against shifted rows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F

from dipops.errors import BadType, BadValue
from dipops.operators import Warp, rolling_shutter

SHAPES = [(3, 7, 9), (2, 5), (1, 4, 1), (1, 6), (2, 3, 4, 5)]


def _flow(shape: Sequence[int], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 2 * torch.randn(2, *shape[-2:], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_warp_is_scipys_map_coordinates(shape: tuple[int, ...], device: torch.device) -> None:
    flow, x = _flow(shape), torch.rand(2, *shape, dtype=torch.float64)
    where = np.indices(shape[-2:]) + flow.numpy()
    planes = x.flatten(0, -3).numpy() if len(shape) > 2 else x.numpy()
    expected = np.stack([scipy.ndimage.map_coordinates(plane, where, order=1, mode="nearest") for plane in planes])
    y = Warp(shape, flow.to(device))(x.to(device)).cpu()
    np.testing.assert_allclose(y.numpy().reshape(expected.shape), expected, atol=1e-12)


def test_warp_is_pytorchs_grid_sample() -> None:
    flow, x = _flow((6, 8)), torch.rand(1, 3, 6, 8, dtype=torch.float64)
    down, right = np.indices((6, 8)) + flow.numpy()
    grid = torch.as_tensor(np.stack([2 * right / 7 - 1, 2 * down / 5 - 1], -1))[None]
    torch.testing.assert_close(Warp((3, 6, 8), flow)(x), F.grid_sample(x, grid, padding_mode="border", align_corners=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_adjoint_of_a_warp_is_exactly_the_transpose(shape: tuple[int, ...], device: torch.device) -> None:
    operator = Warp(shape, _flow(shape, torch.float32).to(device))
    assert operator.matrix().T.equal(operator.T.matrix())


def test_the_flow_says_where_a_pixel_comes_from() -> None:
    x, flow = torch.rand(1, 4, 5), torch.zeros(2, 4, 5)
    assert Warp((4, 5), flow)(x).equal(x)
    flow[0], flow[1] = 1, 2
    assert Warp((4, 5), flow)(x)[..., :3, :3].equal(x[..., 1:, 2:])
    far = torch.full((2, 4, 5), 1e30)
    assert Warp((4, 5), far)(x).equal(x[..., -1:, -1:].expand(1, 4, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_flow_decides_the_dtype(dtype: torch.dtype) -> None:
    operator = Warp((2, 3, 4), _flow((3, 4), dtype))
    assert operator(torch.rand(1, 2, 3, 4, dtype=dtype)).dtype is dtype


def test_a_rolling_shutter_shifts_each_row() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    expected = torch.tensor([[0.0, 1, 2, 3], [5, 6, 7, 7], [9.5, 10.5, 11, 11]])
    assert rolling_shutter((1, 3, 4), torch.tensor([0.0, 1.0, 1.5]))(x)[0, 0].equal(expected)


def test_a_rolling_shutter_moves_down_too() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    moved = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    expected = torch.tensor([[4.0, 5, 6, 7], [7, 8, 9, 9], [8, 9, 10, 11]])
    assert rolling_shutter((1, 3, 4), moved)(x)[0, 0].equal(expected)


NAN = torch.full((2, 4, 5), math.nan)


@pytest.mark.parametrize(
    ("shape", "flow", "words"),
    [
        ((4, 5), torch.zeros(2, 5, 4), r"flow has shape \(2, 5, 4\); expected a tensor \(2, 4, 5\)"),
        ((4, 5), torch.zeros(1, 2, 4, 5), r"flow has shape \(1, 2, 4, 5\); .* without a batch"),
        ((4, 5), NAN, "flow with NaN or infinite"),
        ((4, 5), torch.zeros(2, 4, 5, requires_grad=True), "flow with requires_grad; .* detach flow, or write an operator"),
        ((4, 5), "right", "flow = 'right'; expected a tensor or an array"),
        ((5,), torch.zeros(2, 5), r"in_shape = \(5,\); expected \(H, W\) or \(C, H, W\)"),
    ],
)
def test_warp_refuses(shape: tuple[int, ...], flow: Any, words: str) -> None:
    with pytest.raises((BadType, BadValue), match=words):
        Warp(shape, flow)


@pytest.mark.parametrize(
    ("shape", "displacement", "words"),
    [
        ((3, 4, 5), torch.zeros(5), r"displacement has shape \(5,\); expected a tensor \(4,\) or \(2, 4\)"),
        ((3, 4, 5), NAN[0, :, 0], "displacement with NaN or infinite"),
        ((3, 4, 5), torch.zeros(4, requires_grad=True), "displacement with requires_grad"),
        ((4,), torch.zeros(4), r"in_shape = \(4,\)"),
    ],
)
def test_a_rolling_shutter_refuses(shape: tuple[int, ...], displacement: Any, words: str) -> None:
    with pytest.raises((BadType, BadValue), match=words):
        rolling_shutter(shape, displacement)
