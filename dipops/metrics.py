"""How close an image is to the ground truth: pure functions, one value for each image of a batch. They do not clip."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops._tools.batches import CHANNELS_FIRST, is_channels_last
from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops.errors import BadType, BadValue, require_integer

_LUMA = (65.481, 128.553, 24.966)
_WINDOW, _SPREAD, _K1, _K2 = 11, 1.5, 0.01, 0.03


@usual_defaults()
def psnr(image: Tensor, truth: Tensor, *, image_dims: int = 3) -> Tensor:
    """Peak signal-to-noise ratio in dB for values in [0, 1], over all pixels and channels.

    Args:
        image: shape (..., C, H, W), or (..., *in_shape) with ``image_dims``.
        truth: the same shape, or one that broadcasts to it.
        image_dims: how many of the last dimensions are one image: 1 for signals (n,), 2 for images (H, W) without channels,
            3 for (C, H, W), 4 for volumes (C, D, H, W).

    Returns:
        Tensor of shape (...): one value for each image, infinite where the two are equal.

    Raises:
        BadValue: the shapes do not match, or ``image_dims`` is not positive.
    """
    _check_pair(image, truth, require_integer("image_dims", image_dims, 1, "images (C, H, W) have 3"))
    return psnr_of_error_(image - truth, tuple(range(-image_dims, 0)))


def psnr_of_error_(error: Tensor, dims: tuple[int, ...]) -> Tensor:
    """PSNR in dB of an error, over the dimensions of an image. The error is overwritten."""
    return -10 * error.square_().mean(dims).log10()


@usual_defaults()
def psnr_y(image: Tensor, truth: Tensor, border: int = 4) -> Tensor:
    """PSNR in dB of the luma alone (ITU-R BT.601, 16 to 235, not rounded), ``border`` pixels cut on each side.

    This is how super-resolution is scored by convention, with peak 255. Grey images are their own luma scaled to 16..235.

    Args:
        image: shape (..., 1 or 3, H, W), values in [0, 1].
        truth: the same shape.
        border: pixels left out on every side.

    Raises:
        BadValue: the shapes do not match, or the border leaves nothing.
    """
    _check_pair(image, truth)
    if not 0 <= 2 * border < min(image.shape[-2:]):
        raise BadValue(f"border = {border} for sides {tuple(image.shape[-2:])}", "pixels within it", "pass a smaller border")
    inner = slice(border, -border or None)
    return psnr(luma(image)[..., inner, inner], luma(truth)[..., inner, inner])


def luma(image: Tensor) -> Tensor:
    """Luma of BT.601 in studio range over 255: (..., 3 or 1, H, W) in [0, 1] gives (..., 1, H, W) in [16, 235] / 255."""
    weights = image.new_tensor(_LUMA if image.shape[-3] == 3 else (sum(_LUMA),))
    return ((image * weights[:, None, None]).sum(dim=-3, keepdim=True) + 16) / 255


@usual_defaults()
@full_float32()
def ssim(image: Tensor, truth: Tensor, *, image_dims: int = 3) -> Tensor:
    """Structural similarity for values in [0, 1], the mean over pixels and channels, and of a volume over its slices.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", IEEE TIP 2004, equation 13: an 11 x 11 Gaussian window
    of standard deviation 1.5, K1 = 0.01, K2 = 0.03, over the pixels where the window fits.

    Args:
        image: shape (..., C, H, W), or (..., *in_shape) with ``image_dims``.
        truth: the same shape.
        image_dims: how many of the last dimensions are one image, as for ``psnr``, at least 2.

    Returns:
        Tensor of shape (...), at most 1.

    Raises:
        BadValue: the shapes do not match, a side is under 11 pixels, or ``image_dims`` is under 2.
    """
    _check_pair(image, truth, require_integer("image_dims", image_dims, 2, "use psnr for signals"))
    if image_dims == 3 and is_channels_last(image.shape):
        raise BadValue(f"images of shape {tuple(image.shape)}", "(..., C, H, W)", CHANNELS_FIRST)
    if min(image.shape[-2:]) < _WINDOW:
        raise BadValue(
            f"an image of sides {tuple(image.shape[-2:])}", "sides of at least 11 pixels", "use psnr for small images"
        )
    x, y = torch.broadcast_tensors(image, truth)
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x = _smooth(x * x) - mean_x**2
    variance_y = _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _K1**2) * (2 * covariance + _K2**2)
    similarity = similarity / ((mean_x**2 + mean_y**2 + _K1**2) * (variance_x + variance_y + _K2**2))
    return similarity.mean(dim=tuple(range(-image_dims, 0)))


def _smooth(x: Tensor) -> Tensor:
    offsets = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * _SPREAD**2))
    taps = taps / taps.sum()
    planes = x.reshape(-1, 1, *x.shape[-2:])
    planes = F.conv2d(F.conv2d(planes, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
    return planes.reshape(*x.shape[:-2], *planes.shape[-2:])


class Recognition(NamedTuple):
    """The probabilities that a classifier gives to images.

    Attributes:
        label: the most probable class of the ground truth (N,).
        truth: the probability of that class for the ground truth (N,).
        image: the probability of that class for the image (N,).
    """

    label: Tensor
    truth: Tensor
    image: Tensor


def recognition(scores: Callable[[Tensor], Tensor], image: Tensor, truth: Tensor) -> Recognition:
    """Compare the probability of the ground truth's class for an image and for the ground truth, by an independent classifier.

    Args:
        scores: images (N, C, H, W) with values in [0, 1] to scores of classes (N, K), before the softmax, such as
            ``SqueezeNet.load(path).at("scores")``.
        image: (N, C, H, W); it is clipped to [0, 1], as it would be displayed.
        truth: of the same shape.

    Raises:
        BadValue: the shapes do not match.
    """
    _check_pair(image, truth)
    with torch.no_grad():
        of_image, of_truth = (scores(x.clamp(0, 1)).softmax(1) for x in (image, truth))
    probability, label = of_truth.max(1)
    return Recognition(label, probability, of_image.gather(1, label[:, None])[:, 0])


def _check_pair(image: Tensor, truth: Tensor, image_dims: int = 3) -> None:
    if not (image.is_floating_point() and truth.is_floating_point()):
        raise BadType(f"{image.dtype} and {truth.dtype}", "floating-point values in [0, 1]", "divide 8-bit values by 255")
    if image.ndim < image_dims or image.shape[-image_dims:] != truth.shape[-image_dims:]:
        shapes = f"an image of shape {tuple(image.shape)} and a ground truth of shape {tuple(truth.shape)}"
        expected = f"the last {image_dims} dimensions, one image, of the same size"
        raise BadValue(shapes, expected, "crop one of them, or pass image_dims=2 for images (H, W), say")
