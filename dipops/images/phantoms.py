"""Test images that are computed, at any size."""

from collections.abc import Callable
from math import cos, pi, radians, sin
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops.errors import require_choice, require_integer

PhantomName = Literal["shepp-logan", "bars", "siemens", "zone-plate"]
_LEAST = 8
_FINER = 8
_SAMPLES_AT_ONCE = 2**17

# intensity that is added, half axes (right, up), centre (right, up), angle in degrees
_ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
)
_LARGEST_BAR = 2 / 25
_ELEMENTS = 14
_CYCLES = 36


@usual_defaults()
def phantom(name: PhantomName, size: int) -> Tensor:
    """A computed test image (1, size, size) with values in [0, 1], each pixel the mean of 8 x 8 points in it.

    - "shepp-logan": the ellipses of a head, Shepp and Logan, "The Fourier reconstruction of a head section", IEEE Transactions
      on Nuclear Science 1974, with the higher contrast of Toft, "The Radon transform", PhD thesis, DTU 1996, table B.3.
    - "bars": three upright and three level bars in each element, five times as long as wide and one width apart, as in the USAF
      target of 1951 (MIL-STD-150A). The widest are 1/25 of the side; those of the next element, to the right and then below,
      are narrower by 2^(1/4).
    - "siemens": a star of 36 cosine waves around the centre; at r pixels from it, one is 2πr / 36 pixels long. Loebich,
      Wueller, Klingen and Jaeger, "Digital camera resolution measurement using sinusoidal Siemens stars", SPIE 6502, 2007.
    - "zone-plate": (1 + cos(π r² / size)) / 2, whose rings have r / size cycles per pixel at r pixels from the centre, so half
      a cycle, the finest that can be sampled, at the middle of each side. Gonzalez and Woods, "Digital image processing",
      show with it how a filter acts on each frequency.

    Args:
        name: which.
        size: the side in pixels, from 8.

    Raises:
        BadType: ``size`` is no integer.
        BadValue: it is less than 8, or there is no such phantom.
    """
    require_choice("name", name, PhantomName)
    require_integer("size", size, _LEAST, "reduce a larger one with images.resize")
    function, fine = _FUNCTIONS[name], size * _FINER
    right = (2 * torch.arange(fine, dtype=torch.float64) + 1) / fine - 1
    rows = max(1, _SAMPLES_AT_ONCE // fine // _FINER) * _FINER
    bands = [_means(function(right, up[:, None], size)) for up in (-right).split(rows)]
    return torch.cat(bands)[None].float().clamp(0, 1)


def _means(samples: Tensor) -> Tensor:
    """The mean of each block of samples, one for a pixel."""
    return F.avg_pool2d(samples[None], _FINER)[0]


def _shepp_logan(right: Tensor, up: Tensor, size: int) -> Tensor:
    image = torch.zeros(up.shape[0], right.shape[0], dtype=right.dtype)
    for intensity, half_right, half_up, centre_right, centre_up, degrees in _ELLIPSES:
        cosine, sine = cos(radians(degrees)), sin(radians(degrees))
        across, along = right - centre_right, up - centre_up
        first = across * (cosine / half_right) + along * (sine / half_right)
        second = along * (cosine / half_up) - across * (sine / half_up)
        image.add_(first.square_().add_(second.square_()) <= 1, alpha=intensity)
    return image


def _bars(right: Tensor, up: Tensor, size: int) -> Tensor:
    image = torch.zeros(up.shape[0], right.shape[0], dtype=torch.bool)
    lefts, tops = [-0.96, 0.04], [0.96, 0.96]
    for element in range(_ELEMENTS):
        width, column = _LARGEST_BAR * 2 ** (-element / 4), element % 2
        across, down = (right - lefts[column]) / width, (tops[column] - up) / width
        image |= _three_bars(across, down) | _three_bars(down, across - 6)
        tops[column] -= 7 * width
    return image.double()


def _three_bars(across: Tensor, along: Tensor) -> Tensor:
    """Three bars of width 1 and length 5, from 0 on."""
    return ((across % 2 < 1) & _within(across)) & _within(along)


def _within(distance: Tensor) -> Tensor:
    return (distance >= 0) & (distance < 5)


def _siemens(right: Tensor, up: Tensor, size: int) -> Tensor:
    wave = (1 + torch.cos(_CYCLES * torch.atan2(*torch.broadcast_tensors(up, right)))) / 2
    return torch.where(torch.hypot(right, up) < 1, wave, 0.5)


def _zone_plate(right: Tensor, up: Tensor, size: int) -> Tensor:
    return (1 + torch.cos(pi * size / 4 * (right.square() + up.square()))) / 2


_FUNCTIONS: dict[PhantomName, Callable[[Tensor, Tensor, int], Tensor]] = {
    "shepp-logan": _shepp_logan,
    "bars": _bars,
    "siemens": _siemens,
    "zone-plate": _zone_plate,
}
