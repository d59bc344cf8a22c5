"""Samples in Fourier space, and their magnitudes: magnetic resonance imaging and phase retrieval."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadValue
from dipops.operators.checks import as_tensor, image_sides, real_values
from dipops.operators.interface import DifferentiableOperator, LinearOperator

_WINDOW, _SPARSE = 5, 0.5


class Fourier(LinearOperator):
    """The orthonormal discrete Fourier transform of each plane, or some of its samples: magnetic resonance imaging.

    y(k) = m(k) / sqrt(HW) Σ x(p) exp(-2πi (k₁ p₁ / H + k₂ p₂ / W)), in the order of ``torch.fft.fft2``: the zero frequency is
    the first. Samples that are not measured are 0, and the problem does not count them. With several coils the image is
    multiplied by the sensitivity of each before the transform (Pruessmann et al., "SENSE: sensitivity encoding for fast MRI",
    1999).

    The image is real; a phase that is known belongs to the coils.

    Args:
        in_shape: (H, W), (C, H, W) or more.
        samples: (H, W), 1 or True where a frequency is measured; by default all are. :func:`dipops.masks.radial` makes one,
            and ``torch.fft.ifftshift`` moves the zero frequency of another from the middle to the first place.
        coils: (K, H, W), the complex sensitivities; by default one coil that sees everything.

    The measurement is (..., H, W, 2), with coils (..., K, H, W, 2): real and imaginary parts are the last axis.

    Raises:
        BadType, BadValue: ``samples`` is not such a mask or has its zero frequency in the middle; ``coils`` have other sides.
    """

    samples: Tensor | None
    coils: Tensor | None

    def __init__(self, in_shape: Sequence[int], samples: Any = None, coils: Any = None) -> None:
        super().__init__(in_shape)
        sides = image_sides(self.in_shape)
        self.samples = None if samples is None else _samples(samples, sides)
        self.coils = None if coils is None else _coils(coils, sides)
        given = [part for part in (self.coils, self.samples) if part is not None]
        if given:
            self._like = given[0].new_empty(0)
            self.to(self._like)

    def forward(self, x: Tensor) -> Tensor:
        images = x if self.coils is None else x[..., None, :, :] * torch.view_as_complex(self.coils)
        y = torch.view_as_real(torch.fft.fft2(images, norm="ortho"))
        return y if self.samples is None else y * self.samples

    def adjoint(self, y: Tensor) -> Tensor:
        measured = y if self.samples is None else y * self.samples
        images = torch.fft.ifft2(torch.view_as_complex(measured.contiguous()), norm="ortho")
        if self.coils is None:
            return images.real.contiguous()
        return (images * torch.view_as_complex(self.coils).conj()).real.sum(-3)

    def __repr__(self) -> str:
        sampled = [] if self.samples is None else [f"{float(self.samples.mean()):.0%} sampled"]
        coils = [] if self.coils is None else [f"{len(self.coils)} coils"]
        return f"Fourier({', '.join([*map(str, self.in_shape), *sampled, *coils])})"


class Modulus(DifferentiableOperator):
    """The magnitude of complex numbers, (..., 2) to (...): ``Modulus(F.out_shape) @ F`` with a Fourier F is phase retrieval.

    |z| = sqrt(re² + im²); where z is 0, the derivative is taken to be 0.

    Args:
        in_shape: any shape whose last axis is 2, the real and imaginary parts.

    Raises:
        BadValue: the last axis is not 2.
    """

    def __init__(self, in_shape: Sequence[int]) -> None:
        super().__init__(in_shape)
        if len(self.in_shape) < 2 or self.in_shape[-1] != 2:
            raise BadValue(f"in_shape = {self.in_shape}", "a last axis of 2, real and imaginary", "use Modulus(F.out_shape)")

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=-1)


def _samples(samples: Any, sides: Sequence[int]) -> Tensor:
    """The sampled frequencies as a mask of zeros and ones for real and imaginary parts, (H, W, 2), or an error."""
    mask = real_values(samples, "samples")
    if tuple(mask.shape) != tuple(sides):
        raise BadValue(f"samples of shape {tuple(mask.shape)}", f"{tuple(sides)}, as the image", "make a mask of its size")
    if not ((mask == 0) | (mask == 1)).all() or not mask.any():
        raise BadValue("samples with values other than 0 and 1, or with none", "1 where measured", "threshold the mask")
    middle = tuple(side // 2 for side in sides)
    if min(sides) > 2 * _WINDOW and _sampled(mask, middle) == 1 and _sampled(mask, (0, 0)) <= _SPARSE:
        came = "samples that are dense in the middle and sparse around the zero frequency"
        raise BadValue(came, "the zero frequency in the first place", "write torch.fft.ifftshift(samples)")
    return mask[..., None].repeat(1, 1, 2)


def _sampled(mask: Tensor, place: Sequence[int]) -> float:
    """The part of a window around a frequency that is sampled."""
    rows, columns = (torch.arange(first - _WINDOW // 2, first + _WINDOW // 2 + 1) for first in place)
    return float(mask.cpu()[rows[:, None], columns].mean())


def _coils(coils: Any, sides: Sequence[int]) -> Tensor:
    """The sensitivities as real pairs (K, H, W, 2), or an error."""
    maps = as_tensor(coils, "coils")
    if maps.ndim != 3 or tuple(maps.shape[1:]) != tuple(sides) or not len(maps):
        came = f"coils of shape {tuple(maps.shape)}"
        raise BadValue(came, f"(K, {sides[0]}, {sides[1]}), one sensitivity for each coil", "use the sides of the image")
    if not maps.isfinite().all():
        raise BadValue("coils with NaN or infinite values", "finite sensitivities", "look at how they were estimated")
    pairs = maps if maps.is_complex() else torch.complex(maps, torch.zeros_like(maps))
    return torch.view_as_real(pairs).clone()
