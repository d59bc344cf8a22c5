"""Classical methods that the paper compares with, by well-maintained libraries: each makes an image of a problem.

All need the extra ``compare``.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dipops import images
from dipops.errors import BadValue, require_choice, require_instance, safe_repr
from dipops.noise import require_sigma
from dipops.operators import Blur, LanczosDownsampler, Resize, is_identity, is_mask
from dipops.problem import Problem, require_problem

Denoiser = Literal["nlm", "bm3d"]
"""Classical denoisers that ``fuse`` takes: non-local means, and BM3D, in colour CBM3D."""
PACKAGES: Mapping[Denoiser, tuple[str, ...]] = {"nlm": ("skimage.restoration",), "bm3d": ("bm3d",)}
"""The modules that each of them needs."""
_ADVICE = "use a prior: solve takes any problem"
_LARGEST = 2.0  # half of the values of an image in [0, 1] are lower, whatever its noise


@runtime_checkable
class Answer(Protocol):
    """What ``fuse`` reads of a Result or an Ensemble."""

    @property
    def image(self) -> Tensor:
        """(1, C, H, W)."""
        ...

    @property
    def debiased(self) -> Tensor:
        """Whether it was corrected for clipped noise, (1,)."""
        ...


def bicubic(problem: Problem) -> Tensor:
    """The measurement enlarged by Pillow's bicubic filter.

    Args:
        problem: a batch of one with LanczosDownsampler, Resize, or Blur with a factor.
    """
    require_problem(problem)
    operator = problem.operator
    if not isinstance(operator, LanczosDownsampler | Resize | Blur) or len(operator.in_shape) != 3:
        raise BadValue(f"{safe_repr(operator)} for bicubic", "LanczosDownsampler, Resize or Blur", "choose another method")
    _require_all_measured(problem, "bicubic")
    _require_one(problem.y)
    return images.resize(problem.y[0], operator.in_shape[1:], Image.Resampling.BICUBIC)[None].clamp(0, 1)


def non_local_means(problem: Problem, patch: int = 5, distance: int = 6, strength: float = 0.5) -> Tensor:
    """Denoise by non-local means, with scikit-image: Buades, Coll and Morel, "A non-local algorithm", CVPR 2005.

    ``strength`` times σ is its h. All three are the best of a grid on three of scikit-image's images at σ = 25.
    """
    y, sigma = _noisy(problem)
    settings = {"patch_size": patch, "patch_distance": distance, "h": strength * sigma, "sigma": sigma}
    restoration = _package("skimage.restoration")
    return _tensor(restoration.denoise_nl_means(y, channel_axis=-1, **settings))


def bm3d(problem: Problem) -> Tensor:
    """Denoise by BM3D, in colour by CBM3D, with its authors' package.

    Dabov, Foi, Katkovnik and Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative filtering", IEEE TIP
    2007.
    """
    package, (y, sigma) = _package("bm3d"), _noisy(problem)
    return _tensor(package.bm3d_rgb(y, sigma) if y.shape[-1] == 3 else package.bm3d(y, sigma))


def wavelet(problem: Problem) -> Tensor:
    """Denoise by wavelet thresholding (BayesShrink), with scikit-image; colour as luma and chroma.

    Chang, Yu and Vetterli, "Adaptive wavelet thresholding for image denoising and compression", IEEE TIP 2000.
    """
    _package("pywt")
    restoration, (y, sigma) = _package("skimage.restoration"), _noisy(problem)
    if y.shape[-1] == 1:
        return _tensor(restoration.denoise_wavelet(y[..., 0], sigma, method="BayesShrink"))
    return _tensor(restoration.denoise_wavelet(y, sigma, method="BayesShrink", convert2ycbcr=True, channel_axis=-1))


def fuse(problem: Problem, answer: Answer, by: Denoiser) -> Tensor:
    """Half the answer and half what a classical denoiser makes of the same y: their errors differ, and in part cancel.

    The weights are equal by decision: nothing is fitted to an image. See ``fused`` for clipped noise.

    Args:
        problem: a batch of one with Identity, and Gaussian noise of a known σ.
        answer: what ``recipes.denoise()`` gives for it, a Result or an Ensemble.
        by: the denoiser, from the extra ``compare``.

    Returns:
        (1, C, H, W).

    Raises:
        BadValue: the problem or the answer is another one, or a package is missing.
    """
    require_choice("by", by, Denoiser)
    _noisy(problem)
    advice = "pass what recipes.denoise().solve(problem) gives, or tune(...).result"
    require_instance(answer, Answer, "answer", "a Result or an Ensemble", advice)
    if answer.image.shape != problem.y.shape:
        came = f"an answer of shape {tuple(answer.image.shape)}"
        raise BadValue(came, f"{tuple(problem.y.shape)}", "fuse the answer to this problem, or an ensemble of it")
    image = answer.image
    if bool(answer.debiased.all()):
        image = problem.by_noise(lambda noise: noise.bias(answer.image))
    return fused(problem, image, _DENOISERS[by](problem))


def fused(problem: Problem, image: Tensor, other: Tensor) -> Tensor:
    """As ``fuse``, of images that are there already, both (1, C, H, W), and not yet corrected for clipped noise.

    All that fits y estimates the mean of clipped noise around x, classical denoisers too, so the mean of both is corrected.
    """
    return problem.by_noise(lambda noise: noise.debias((image + other.to(image)) / 2))


def biharmonic(problem: Problem) -> Tensor:
    """Biharmonic inpainting by scikit-image."""
    holes = ~_known(problem)
    return _tensor(_package("skimage.restoration").inpaint_biharmonic(_pixels(problem.y), holes, channel_axis=-1))


def convolutional_sparse_coding(problem: Problem, weight: float = 0.002, steps: int = 200, lowpass: float = 2.5) -> Tensor:
    """Inpainting of grey images by convolutional sparse coding with sporco's own dictionary, over a smooth part.

    Wohlberg, "Boundary handling for convolutional sparse representations", ICIP 2016: mask decoupling. ``weight`` and
    ``lowpass`` are the best of a grid on three of scikit-image's images with half of their pixels missing.
    """
    coding, util = _package("sporco.admm.cbpdn"), _package("sporco.util")
    known, y = _known(problem).astype(np.float32), _pixels(problem.y)
    if y.shape[-1] > 1:
        raise BadValue(f"an image of {y.shape[-1]} channels for sparse coding", "a grey one", "solve each channel by itself")
    y = y[..., 0]
    smooth = _smooth_part(y, known, lowpass)
    settings = {"Verbose": False, "MaxMainIter": steps, "HighMemSolve": False, "RelStopTol": 1e-3}
    options = coding.ConvBPDNMaskDcpl.Options({**settings, "AutoRho": {"Enabled": True}})
    atoms = util.convdicts()["G:12x12x36"].astype(np.float32)
    border = atoms.shape[0] - 1
    padded, trusted = (np.pad(plane, (0, border)) for plane in ((y - smooth) * known, known))
    solver = coding.ConvBPDNMaskDcpl(atoms, padded, weight, trusted, options)
    solver.solve()
    detail = solver.reconstruct().squeeze()[: y.shape[0], : y.shape[1]]
    return _tensor(np.where(known > 0, y, smooth + detail)[..., None])


def guided_filter(problem: Problem, radius: int = 8, epsilon: float = 0.02) -> Tensor:
    """Smooth y by the guided filter, with OpenCV and the authors' settings for flash and no flash.

    He, Sun and Tang, "Guided image filtering", ECCV 2010. OpenCV gets values of 0 to 255: from 0 to 1 its variances cancel.
    """
    guide, y = (255 * pixels for pixels in _guided(problem))
    settings = {"radius": radius, "eps": (255 * epsilon) ** 2}
    return _tensor(_package("cv2").ximgproc.guidedFilter(guide=guide, src=y, **settings) / 255)


def joint_bilateral_filter(problem: Problem, space: float = 8.0, colour: float = 0.05) -> Tensor:
    """Smooth y by a joint bilateral filter, with OpenCV.

    Petschnigg et al., "Digital photography with flash and no-flash image pairs", SIGGRAPH 2004.
    """
    guide, y = _guided(problem)
    settings = {"d": -1, "sigmaColor": colour, "sigmaSpace": space}
    return _tensor(_package("cv2").ximgproc.jointBilateralFilter(joint=guide, src=y, **settings))


def require_packages(*names: str) -> None:
    """Raise BadValue if a package is not installed."""
    for name in names:
        _package(name)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise BadValue(f"no package {name.partition('.')[0]}", "the extra compare", "pip install 'dipops[compare]'") from error


def _pixels(batch: Tensor) -> np.ndarray:
    """The image of a batch of one as (H, W, C)."""
    _require_one(batch)
    return np.ascontiguousarray(batch[0].movedim(0, -1).cpu().numpy().astype(np.float32))


def _tensor(pixels: np.ndarray) -> Tensor:
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32)).movedim(-1, 0)[None].clamp(0, 1)


def _noisy(problem: Problem) -> tuple[np.ndarray, float]:
    """What a denoiser takes: the pixels of a batch of one as (H, W, C), all of them measured, and σ."""
    require_problem(problem)
    if not is_identity(problem.operator):
        came = f"{type(problem.operator).__name__} for a classical denoiser"
        raise BadValue(came, "Identity, and every pixel measured", _ADVICE)
    sigma = require_sigma(problem.noise, "a classical denoiser", "use a prior")
    _require_all_measured(problem, "a classical denoiser")
    if float(problem.y.median()) > _LARGEST:
        raise BadValue(f"y with values up to {float(problem.y.max()):.3g}", "values in [0, 1]", "divide y, and σ, by 255")
    return _pixels(problem.y), sigma


def _require_all_measured(problem: Problem, what: str) -> None:
    if problem.weights is not None:
        raise BadValue(f"weights for {what}", "every pixel measured", _ADVICE)


def _require_one(batch: Tensor) -> None:
    if len(batch) != 1:
        raise BadValue(f"a batch of {len(batch)}", "a batch of one", "solve the images one by one")


def _known(problem: Problem) -> np.ndarray:
    """Which pixels are known, (H, W): those of the mask whose weights are not 0."""
    require_problem(problem)
    if not is_mask(problem.operator):
        raise BadValue(f"{safe_repr(problem.operator)} for inpainting", "a Mask", "choose another method")
    known = problem.operator.mask.expand(problem.operator.in_shape) > 0
    if problem.weights is not None:
        known = known & (problem.weights[0] > 0)
    if not bool((known == known[:1]).all()):
        raise BadValue("channels with other known pixels each", "the same in all", "fill each channel by itself")
    return known[0].cpu().numpy()


def _guided(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The guide and the image to filter, (H, W, C)."""
    require_problem(problem)
    guide = problem.operator.guide
    if guide is None:
        raise BadValue(f"{safe_repr(problem.operator)}, which has no guide", "an operator with one", "use GuidedInput")
    _require_all_measured(problem, "a guided filter")
    return _pixels(guide[None]), _pixels(problem.y)


def _smooth_part(y: np.ndarray, known: np.ndarray, lowpass: float) -> np.ndarray:
    """A Gaussian mean over the known pixels."""
    blur = _package("scipy.ndimage").gaussian_filter
    return blur(y * known, lowpass) / np.maximum(blur(known, lowpass), 1e-6)


_DENOISERS: Mapping[Denoiser, Callable[[Problem], Tensor]] = {"nlm": non_local_means, "bm3d": bm3d}
