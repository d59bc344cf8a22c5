"""Kernels of usual blurs: the image of one bright point, with an odd number of pixels on each side and sum 1."""

from math import ceil, cos, radians, sin

import torch
from torch import Tensor

from dipops.errors import require_number

_DEVIATIONS = 4.0
_SAMPLES = 64
_MOST_PIXELS = 1000


def gaussian(sigma: float) -> Tensor:
    """A Gaussian of standard deviation ``sigma`` in pixels, cut off after 4σ as scipy.ndimage.gaussian_filter does.

    Returns:
        (2r + 1, 2r + 1) with r = ⌊4σ + 1/2⌋.
    """
    _require_size("sigma", sigma, "without blur use Identity")
    radius = int(_DEVIATIONS * sigma + 0.5)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma).square())
    return _normalised(taps[:, None] * taps)


def motion(length: float, angle: float = 0.0) -> Tensor:
    """A straight movement: each pixel weighs the part of the path that lies in it.

    Args:
        length: of the path, in pixels.
        angle: in degrees, 0 along the rows and 90 along the columns, counterclockwise.
    """
    _require_size("length", length, "without motion use Identity")
    require_number("angle", angle, lambda degrees: abs(degrees) < float("inf"), "an angle in degrees", "0 is along the rows")
    step = torch.tensor([-sin(radians(angle)), cos(radians(angle))], dtype=torch.float64)
    height, width = (max(ceil(round(abs(float(part)) * length / 2 - 0.5, 9)), 0) for part in step)
    edges = torch.arange(-max(height, width) - 0.5, max(height, width) + 1, dtype=torch.float64)
    half = length / 2
    crossings = torch.cat([edges / part for part in step if abs(float(part)) > 1e-12]).clamp(-half, half)
    times = torch.cat([torch.tensor([-half, half], dtype=torch.float64), crossings]).sort().values
    rows, columns = ((times[1:] + times[:-1])[:, None] / 2 * step).round().long().unbind(1)
    places = (rows + height).clamp(0, 2 * height), (columns + width).clamp(0, 2 * width)
    kernel = torch.zeros(2 * height + 1, 2 * width + 1, dtype=torch.float64)
    return _normalised(kernel.index_put_(places, times.diff(), accumulate=True))


def disk(radius: float) -> Tensor:
    """An image out of focus: each pixel weighs the part of it that a disk covers, from 64 chords.

    Args:
        radius: in pixels.
    """
    _require_size("radius", radius, "without blur use Identity")
    reach = max(ceil(radius - 0.5), 0)
    rows = (torch.arange((2 * reach + 1) * _SAMPLES, dtype=torch.float64) + 0.5) / _SAMPLES - reach - 0.5
    half = (radius**2 - rows.square()).clamp(min=0).sqrt()[:, None]
    left = torch.arange(-reach, reach + 1, dtype=torch.float64) - 0.5
    covered = torch.minimum(half, left + 1) - torch.maximum(-half, left)
    kernel = covered.clamp(min=0).view(2 * reach + 1, _SAMPLES, -1).sum(1)
    return _normalised(kernel if reach else torch.ones_like(kernel))


def _require_size(name: str, value: float, advice: str) -> None:
    expected = f"a positive number of pixels, at most {_MOST_PIXELS}"
    require_number(name, value, lambda size: 0 < size <= _MOST_PIXELS, expected, advice)


def _normalised(kernel: Tensor) -> Tensor:
    return (kernel / kernel.sum()).to(torch.get_default_dtype())
