"""What a mask says of each pixel: known, to be filled, or in part."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dipops import images
from dipops.errors import BadValue
from dipops.images import Picture
from dipops.images.picture import size_of

ALPHA = "alpha"
_NEAR = 0.05
_MUCH = 0.5
_GREY = 0.05


def known_share(image: Picture, mask: Path | None, inverted: bool) -> Tensor:
    """How much each pixel is known, (H, W): 1 is kept, 0 is filled, and between them the two are blended.

    White is known, and what differs from it is filled, by its distance from white in the channel that differs most, relative to
    the largest distance in the mask; of an inverted mask this holds with black for white. Shares within 0.05 of 0 and 1 are
    rounded, for JPEG. A mask of one colour with transparent parts, and an image without a mask, are filled where they are
    transparent.

    Args:
        image: to be filled.
        mask: file of the mask; None for the alpha of the image.
        inverted: whether black is known.

    Raises:
        BadValue: the mask has another size, nothing is known, or nothing is to be filled.
    """
    if mask is None:
        share = _alpha_of(image)[0]
        share = _rounded(1 - share if inverted else share)
    else:
        share = known_share_of(images.read(mask), inverted)
        if share.shape != image.image.shape[1:]:
            came = f"a mask of {size_of(share)} pixels for an image of {size_of(image.image)}"
            raise BadValue(came, "equal sizes, width x height", "crop or resize the mask")
    return _require_both(share, mask, inverted)


def blended(restored: Tensor, image: Tensor, share: Tensor) -> Tensor:
    """Restored images (N, C, H, W), mixed with the given one (C, H, W) by how much each pixel of it is known."""
    return torch.lerp(restored, image.to(restored), share.to(restored))


def filled(image: Picture, mask: Path | None) -> Picture:
    """What the filled image is saved like: opaque where the mask was its own alpha."""
    return replace(image, alpha=None) if mask is None else image


def remarks(share: Tensor, inverted: bool) -> list[str]:
    """What is unusual about a mask."""
    holes, partial = float((share < 1).float().mean()), float(((share > 0) & (share < 1)).float().mean())
    notes = []
    if holes > _MUCH:
        hint = "leave --invert-mask out if white is to be kept" if inverted else "add --invert-mask if white is to be filled"
        notes.append(f"{holes:.0%} of the image will be filled; {hint}")
    if partial > _GREY:
        notes.append(f"{partial:.0%} of the mask is neither black nor white: there the result is blended with the input")
    return notes


def _alpha_of(image: Picture) -> Tensor:
    if image.alpha is None:
        raise BadValue("an image without transparent pixels, and no mask", "--mask FILE", "white is kept, the rest is filled")
    return image.alpha


def known_share_of(mask: Picture, inverted: bool) -> Tensor:
    """How much each pixel is known by a mask, (H, W), before it is compared with an image."""
    largest = float(mask.image.max())
    if 0 < largest <= 1.5 / 255:
        raise BadValue(f"a mask whose largest value is {255 * largest:.0f} of 255", "255 for white", "multiply it by 255")
    background = 0.0 if inverted else 1.0
    alpha = torch.ones_like(mask.image[:1]) if mask.alpha is None else mask.alpha
    colours = mask.image * alpha + background * (1 - alpha)
    distance = (colours - background).abs().amax(0)
    largest = float(distance.max())
    return _rounded(alpha[0] if largest <= _NEAR else 1 - distance / largest)


def _rounded(share: Tensor) -> Tensor:
    share = torch.where(share < _NEAR, torch.zeros_like(share), share)
    return torch.where(share > 1 - _NEAR, torch.ones_like(share), share)


def _require_both(share: Tensor, mask: Path | None, inverted: bool) -> Tensor:
    name = "the alpha of the image" if mask is None else str(mask)
    kept, other = ("black", "white") if inverted else ("white", "black")
    if bool((share == 1).all()):
        raise BadValue(f"{name} leaves no hole", f"{other} or a colour where to fill", f"{kept} is kept; paint over the holes")
    if not bool((share == 1).any()):
        raise BadValue(f"{name} leaves no known pixel", f"{kept} where to keep", f"paint it {kept} there")
    return share
