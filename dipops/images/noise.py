"""The noise of an image, from the image alone."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue
from dipops.images.picture import require_image, size_of
from dipops.noise import ClippedGaussian

_MEDIAN = 0.6745  # of |n| for normal n of standard deviation 1
_AROUND = 9
_MOST = 2**20
_ROUNDS, _NEAR = 50, 1e-4


def noise_level(image: Tensor, clipped: bool | None = None) -> float:
    """The standard deviation of white noise in one image, from its finest diagonal Haar coefficients.

    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 1994: their median over 0.6745. Of
    clipped noise, the coefficients are divided by the standard deviation that it has around the local mean: the answer is σ
    before clipping, as ClippedGaussian takes it.

    Args:
        image: (H, W), (C, H, W) or (1, C, H, W), at least 2 x 2 pixels; NaN where a pixel does not count.
        clipped: whether the noise was clipped to [0, 1]; by default where all values are in [0, 1].

    Raises:
        BadValue: it is a batch of several images.
    """
    require_image(image)
    if min(image.shape[-2:]) < 2:
        raise BadValue(f"the noise of {size_of(image)} pixels", "at least 2 x 2", "give σ instead")
    if image.ndim > 3 and len(image) > 1:
        raise BadValue(f"a batch of {len(image)}", "one image", "ask for each image by itself")
    height, width = (side // 2 * 2 for side in image.shape[-2:])
    planes = image.detach().float().reshape(-1, 1, *image.shape[-2:])[..., :height, :width]
    blocks = F.pixel_unshuffle(planes, 2)
    diagonal = (blocks[:, :1] - blocks[:, 1:2] - blocks[:, 2:3] + blocks[:, 3:]).abs() / 2
    if clipped is None:
        clipped = bool((((image >= 0) & (image <= 1)) | image.isnan()).all())
    if not clipped:
        counted = diagonal[~diagonal.isnan()]
        return float(counted.median()) / _MEDIAN if len(counted) else 0.0
    return _before_clipping(diagonal, _local_means(blocks.mean(1, keepdim=True)))


def _local_means(blocks: Tensor) -> Tensor:
    edge = _AROUND // 2
    return F.avg_pool2d(F.pad(blocks, (edge,) * 4, mode="replicate"), _AROUND, 1)


def _before_clipping(diagonal: Tensor, means: Tensor) -> float:
    """σ where the median of |coefficient| over that of clipped noise is 1; saturated areas and their borders do not count."""
    saturated = ((means < _NEAR) | (means > 1 - _NEAR) | means.isnan()).float()
    counts = F.max_pool2d(saturated, _AROUND, 1, _AROUND // 2) == 0
    diagonal, means = (values[counts][:: max(1, int(counts.sum()) // _MOST)] for values in (diagonal, means))
    if len(diagonal) == 0:
        return 0.0
    sigma = float(diagonal.median()) / _MEDIAN
    for _ in range(_ROUNDS if sigma else 0):
        deviations = (2 * ClippedGaussian(sigma).expected(means)).sqrt()
        ratio = float((diagonal / deviations.clamp(min=torch.finfo(means.dtype).tiny)).median()) / _MEDIAN
        sigma *= ratio
        if abs(ratio - 1) < _NEAR:
            break
    return sigma
