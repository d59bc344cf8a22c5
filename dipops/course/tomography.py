"""Lesson 10: computed tomography."""

import math
from typing import Any

import torch
from torch import Tensor

from dipops.course.checks import expect, expect_equal, is_image, random_image
from dipops.operators import Radon

_SIDE, _SHAPE = 9, (1, 9, 8)
_DETECTORS = 13
_ANGLES = (0.0, 36.0, 72.0, 108.0, 144.0)
_NEAR = 1e-5


def projections(answer: Any) -> None:
    """Sums along the rays at 0 and 90 degrees."""
    x = random_image(_SIDE, _SIDE)
    expected = Radon((_SIDE, _SIDE), [0.0, 90.0], _SIDE).double()(x[None])[0]
    rows: Any = answer(x)
    is_list = isinstance(rows, list | tuple) and all(isinstance(row, Tensor) for row in rows)
    y: Any = torch.stack(list(rows)) if is_list else rows
    expect(isinstance(y, Tensor), f"the answer is a {type(y).__name__}: return a tensor of 2 rows")
    if y.shape == expected.shape:
        expect(not torch.allclose(y.double(), expected.flip(0)), "at 0 degrees the rays run down the columns")
        turned = torch.stack([expected[0], expected[1].flip(0)])
        expect(not torch.allclose(y.double(), turned), "at 90 degrees the first detector is at the bottom")
        expect(not torch.allclose(_SIDE * y.double(), expected), "add up along a ray: a mean is too small")
    expect_equal(y, expected, "the sinogram", _NEAR)


def ramp_filter(answer: Any) -> None:
    """Every projection filtered by |f|."""
    y = random_image(2, 1, 3, _DETECTORS)
    filtered, expected = answer(y), _ramp_filtered(y)
    if isinstance(filtered, Tensor) and filtered.shape == expected.shape:
        around = torch.fft.irfft(torch.fft.rfft(y) * torch.fft.rfftfreq(_DETECTORS), _DETECTORS)
        expect(not torch.allclose(filtered.double(), around), "the filter wraps around: append zeros before the transform")
        across = _ramp_filtered(y.mT, 2 * _DETECTORS).mT
        expect(not torch.allclose(filtered.double(), across, atol=1e-3), "that is along the angles: filter along the detectors")
    expect_equal(filtered, expected, "the filtered sinogram", _NEAR)


def filtered_back_projection(answer: Any) -> None:
    """π / K times the adjoint of the filtered projections."""
    operator = Radon(_SHAPE, _ANGLES, _DETECTORS).double()
    y = random_image(1, *operator.out_shape)
    image, expected = answer(operator, y), math.pi / len(_ANGLES) * operator.adjoint(_ramp_filtered(y))
    if isinstance(image, Tensor) and tuple(image.shape) == (1, *_SHAPE):
        unfiltered = math.pi / len(_ANGLES) * operator.adjoint(y)
        expect(not torch.allclose(image.double(), unfiltered), "that is back-projection alone: filter the projections first")
    expect_equal(image, expected, "the image", _NEAR)


def sirt(answer: Any) -> None:
    """Simultaneous iterations, weighted by the lengths of rays and by what pixels are hit by."""
    for detectors, steps in ((_DETECTORS, 1), (_DETECTORS, 7), (1, 7)):  # one detector leaves pixels that no ray meets
        operator = Radon(_SHAPE, _ANGLES, detectors).double()
        y = operator(random_image(1, *_SHAPE))
        image, expected = answer(operator, y, steps), _sirt(operator, y, steps)
        if isinstance(image, Tensor):
            expect(bool(image.isfinite().all()), "it divides by zero: where a sum is 0, take 0 instead of its inverse")
            is_late = is_image(image, _sirt(operator, y, steps + 1))
            expect(not is_late, f"one step too many: begin with zeros, and make {steps}")
        expect_equal(image, expected, f"x after {steps} step{'s' if steps > 1 else ''}", _NEAR)


def _ramp_filtered(y: Tensor, length: int = 2 * _DETECTORS) -> Tensor:
    """Its last dimension filtered by |f|, at a length of the transform."""
    response = torch.fft.rfftfreq(length, dtype=y.dtype)
    return torch.fft.irfft(torch.fft.rfft(y, length) * response, length)[..., : y.shape[-1]]


def _sirt(operator: Radon, y: Tensor, steps: int) -> Tensor:
    rays, hits = operator(torch.ones(1, *operator.in_shape).double()), operator.adjoint(torch.ones_like(y))
    over_rays, over_hits = torch.where(rays > 0, 1 / rays, 0), torch.where(hits > 0, 1 / hits, 0)
    x = torch.zeros(1, *operator.in_shape, dtype=y.dtype)
    for _ in range(steps):
        x = x + over_hits * operator.adjoint(over_rays * (y - operator(x)))
    return x
