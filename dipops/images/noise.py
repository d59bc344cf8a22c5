"""The noise of an image, from the image alone."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue
from dipops.operators.sensor import clipped_noise_moments

_MEDIAN = 0.6745  # of |n| for normal n of standard deviation 1
_NODES = 513
_AROUND = 9
_MOST = 2**20
_ROUNDS, _NEAR = 50, 1e-4


def noise_level(image: Tensor) -> float:
    """The standard deviation of white noise in one image, from its finest diagonal Haar coefficients.

    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994: their median over 0.6745. Where all
    values are in [0, 1], the noise is taken to be clipped, and the coefficients are divided by the standard deviation that
    clipped noise has around the local mean: the answer is σ before clipping, as ClippedGaussian takes it.

    Args:
        image: (H, W), (C, H, W) or (1, C, H, W), at least 2 x 2 pixels.

    Raises:
        BadValue: it is a batch of several images.
    """
    if image.ndim > 3 and len(image) > 1:
        raise BadValue(f"a batch of {len(image)}", "one image", "ask for each image by itself")
    planes = image.detach().float().reshape(-1, 1, *image.shape[-2:])
    even, odd = (planes[..., first::2, :][..., : image.shape[-2] // 2, :] for first in (0, 1))
    rows, sums = even - odd, even + odd
    left, right = (slice(first, image.shape[-1] // 2 * 2, 2) for first in (0, 1))
    diagonal = (rows[..., left] - rows[..., right]).abs() / 2
    if bool(((image < 0) | (image > 1)).any()):
        return float(diagonal.median()) / _MEDIAN
    return _before_clipping(diagonal, _local_means((sums[..., left] + sums[..., right]) / 4))


def _local_means(blocks: Tensor) -> Tensor:
    edge = _AROUND // 2
    return F.avg_pool2d(F.pad(blocks, (edge,) * 4, mode="replicate"), _AROUND, 1)


def _before_clipping(diagonal: Tensor, means: Tensor) -> float:
    """σ where the median of |coefficient| over that of clipped noise is 1; saturated areas and their borders do not count."""
    saturated = ((means < _NEAR) | (means > 1 - _NEAR)).float()
    counts = F.max_pool2d(saturated, _AROUND, 1, _AROUND // 2) == 0
    diagonal, means = (values[counts][:: max(1, int(counts.sum()) // _MOST)] for values in (diagonal, means))
    if len(diagonal) == 0:
        return 0.0
    sigma = float(diagonal.median()) / _MEDIAN
    for _ in range(_ROUNDS):
        ratio = float((diagonal / _clipped_std(means, sigma)).median()) / _MEDIAN if sigma else 1.0
        sigma *= ratio
        if abs(ratio - 1) < _NEAR:
            break
    return sigma


def _clipped_std(means: Tensor, sigma: float) -> Tensor:
    """The standard deviation of noise of this σ, clipped to [0, 1], where its mean is ``means``."""
    values = torch.linspace(0, 1, _NODES, dtype=torch.float64)
    centres, variances = clipped_noise_moments(values, sigma)
    above = torch.searchsorted(centres.to(means), means.contiguous()).clamp(max=_NODES - 1)
    return variances.sqrt().to(means)[above].clamp(min=torch.finfo(means.dtype).tiny)
