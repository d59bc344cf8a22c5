"""Operators that act on each pixel by itself."""

from typing import Any, TypeGuard

from torch import Tensor

from dipops.errors import BadType, BadValue, require_integer
from dipops.operators.checks import as_tensor
from dipops.operators.interface import LinearOperator, LinearOrDifferentiableOperator


class Identity(LinearOperator):
    """The measurement is the image itself: denoising, and compression of an unknown kind.

    Args:
        in_shape: any shape.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def adjoint(self, y: Tensor) -> Tensor:
        return y.clone()

    def norm(self) -> float:
        return 1.0


class Mask(LinearOperator):
    """Keeps the known pixels and sets the others to 0: inpainting.

    Args:
        mask: 1 or True where a pixel is known, 0 or False where not, of the shape of one image, such as (n,), (H, W),
            (C, H, W) or (C, D, H, W). With ``channels`` it may be (H, W) or (1, ...), one mask that all of them share. It is
            copied.
        channels: how many channels the image has, where they share the mask.

    Raises:
        BadValue: the mask has values other than 0 and 1, or no known pixel, or ``channels`` does not fit.
    """

    mask: Tensor

    def __init__(self, mask: Any, channels: int | None = None) -> None:
        mask = as_tensor(mask, "mask")
        if channels is not None:
            require_integer("channels", channels, 1, "leave it out for a mask of the image's shape")
        planes = mask[None] if channels is not None and mask.ndim <= 2 else mask
        if channels is not None and len(planes) not in (1, channels):
            raise BadValue(f"{len(planes)} masks for {channels} channels", "one mask, or one each", "leave channels out")
        if not ((planes == 0) | (planes == 1)).all():
            raise BadValue("a mask with values other than 0 and 1", "1 where a pixel is known", "threshold it: mask > 0.5")
        if not planes.any():
            raise BadValue("a mask with no known pixel", "at least one", "white, 1 or True means known: invert the mask")
        super().__init__(planes.shape if channels is None else (channels, *planes.shape[1:]))
        self.mask = planes.clone()
        self._like = self.mask.new_empty(0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def norm(self) -> float:
        return 1.0


def is_identity(operator: LinearOrDifferentiableOperator) -> TypeGuard[Identity]:
    """Whether an operator is an Identity, and no subclass with a forward of its own."""
    return isinstance(operator, Identity) and type(operator).forward is Identity.forward


def is_mask(operator: LinearOrDifferentiableOperator) -> TypeGuard[Mask]:
    """Whether an operator is a Mask, and no subclass with a forward of its own."""
    return isinstance(operator, Mask) and type(operator).forward is Mask.forward


def measures_pixels(operator: LinearOrDifferentiableOperator) -> bool:
    """Whether y is the image itself, or its known pixels."""
    return is_identity(operator) or is_mask(operator)


class GuidedInput(Identity):
    """The identity, with a second image of the same scene as its guide: the flash photograph of a flash / no-flash pair.

    The measurement does not involve the guide. The prior uses it: a DeepImagePrior without an input of its own takes the
    guide as the input of its generator.

    Args:
        guide: shape (C, H, W), values in [0, 1], aligned with the image, which has the same shape.

    Raises:
        BadType: the guide is no floating-point tensor.
    """

    def __init__(self, guide: Tensor) -> None:
        if not isinstance(guide, Tensor) or not guide.is_floating_point():
            came = f"a guide of {guide.dtype}" if isinstance(guide, Tensor) else f"a {type(guide).__name__} for the guide"
            raise BadType(came, "an image (C, H, W) with values in [0, 1]", "use images.load")
        super().__init__(guide.shape)
        self.guide = guide
        self._like = guide.new_empty(0)
