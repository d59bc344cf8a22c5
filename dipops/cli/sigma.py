"""The noise of an image as a user gives it, or as it is estimated; pixels are 0 to 255."""

from pathlib import Path

from dipops import images
from dipops.errors import BadValue
from dipops.images import Picture
from dipops.noise import ClippedGaussian, Gaussian

AUTO = "auto"
_LEAST, _WHITE = 0.1, 255.0
_FAR = 2.0
_LEAST_SIDE = 2


def parse_sigma(text: str) -> float | None:
    """The number that ``text`` is; None for auto.

    Raises:
        BadValue: it is neither auto nor a number from 0.1 to 255.
    """
    try:
        sigma = None if text == AUTO else float(text)
    except ValueError:
        sigma = -1.0
    if sigma is not None and not _LEAST <= sigma <= _WHITE:
        raise BadValue(f"--sigma {text}", f"auto, or a number from {_LEAST:g} to {_WHITE:g}", "pixels are 0 to 255")
    return sigma


def noise_of(picture: Picture, path: Path, sigma: float | None, clipped: bool | None) -> tuple[Gaussian, str | None]:
    """The noise of an image, and what is to be said about it. Transparent pixels do not count.

    Args:
        picture: the image.
        path: its file.
        sigma: of pixels from 0 to 255; None to estimate it.
        clipped: whether the noise was clipped; None where the values decide.

    Raises:
        BadValue: σ is to be estimated, and no noise is found.
    """
    if sigma is not None and min(picture.image.shape[-2:]) < _LEAST_SIDE:
        return _gaussian(sigma, clipped), None
    visible = picture.image if picture.alpha is None else picture.image.where(picture.alpha > 0, float("nan"))
    estimate = _WHITE * images.noise_level(visible, clipped)
    noisy = estimate >= _LEAST
    if sigma is None:
        if not noisy:
            raise BadValue(f"{path}, in which no noise is found", "an image with noise", "give its --sigma if there is some")
        return _gaussian(estimate, clipped), f"{path}: the noise is estimated as σ = {estimate:.3g}"
    if sigma / _FAR <= estimate <= sigma * _FAR:
        return _gaussian(sigma, clipped), None
    found = f"looks like σ = {estimate:.3g}; leave --sigma out to use that" if noisy else "looks free of noise"
    return _gaussian(sigma, clipped), f"{path}: σ = {sigma:g} was given, but the image {found}"


def _gaussian(sigma: float, clipped: bool | None) -> Gaussian:
    if clipped:
        return ClippedGaussian(sigma / _WHITE)
    return Gaussian(sigma / _WHITE, clipped)
