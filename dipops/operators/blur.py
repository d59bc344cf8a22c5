"""Convolution with a kernel: blur of any kind, and blur followed by subsampling."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dipops.errors import BadValue, require_choice, require_integer
from dipops.operators.banded import BandedPair
from dipops.operators.checks import image_sides, real_values
from dipops.operators.geometry import Pad
from dipops.operators.interface import LinearOperator

Boundary = Literal["reflect", "circular", "zeros", "valid"]
_DIRECT = 16
_RANK_ONE = 1e-7


class Blur(LinearOperator):
    """Convolves each plane of an image with one kernel: y(p) = Σ k(q) x(p + c - q), with c the kernel's centre pixel.

    The kernel is what the operator makes of one bright point. Its centre is pixel (h // 2, w // 2). With "reflect",
    "circular" and "zeros" the operator equals ``scipy.ndimage.convolve`` with the modes "reflect", "wrap" and "constant".

    A kernel of rank one, such as a Gaussian, acts along the rows and along the columns. Any other one is summed directly
    where it has at most 16 pixels, and multiplied in Fourier space where it has more; so is any larger one with "circular".

    Args:
        in_shape: (H, W), (C, H, W) or more; the last two axes are convolved.
        kernel: (h, w), real, no larger than the image; see :mod:`dipops.operators.kernels`. It is copied and not
            normalised; a tensor keeps its dtype and device.
        boundary: what is beyond the border. "reflect" mirrors the image at its edge and repeats the last pixel, "circular"
            continues it on the other side, "zeros" is black, and "valid" keeps only what no border reaches:
            (H - h + 1, W - w + 1) pixels.
        factor: keeps each ``factor``-th row and column, from the first.

    Raises:
        BadType: the kernel is complex, or has a gradient; ``factor`` is no integer.
        BadValue: the kernel is not (h, w), not finite, zero or larger than the image.
    """

    def __init__(self, in_shape: Sequence[int], kernel: Any, boundary: Boundary = "reflect", factor: int = 1) -> None:
        super().__init__(in_shape)
        require_choice("boundary", boundary, Boundary)
        require_integer("factor", factor, 1, "1 keeps all pixels")
        kernel = _kernel(kernel, image_sides(self.in_shape))
        self._like = kernel.new_empty(0)
        self.kernel, self.boundary, self.factor = kernel, boundary, factor
        if boundary == "circular" and kernel.numel() > _DIRECT:
            self._pad, self._product = None, _on_torus(kernel, self.in_shape[-2:], factor)
            return
        (top, bottom), (left, right) = ((taps - 1 - taps // 2, taps // 2) for taps in kernel.shape)
        border = (0, 0, 0, 0) if boundary == "valid" else (top, bottom, left, right)
        self._pad = Pad(self.in_shape, border, "zeros" if boundary == "valid" else boundary).to(self._like)
        self._product = _product(kernel, self._pad.out_shape[-2:], factor)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x if self._pad is None else self._pad.forward(x))

    def adjoint(self, y: Tensor) -> Tensor:
        padded = self._product.transposed(y)
        return padded if self._pad is None else self._pad.adjoint(padded)

    def __repr__(self) -> str:
        kernel = f"{self.kernel.shape[1]} x {self.kernel.shape[0]}"
        return f"Blur({kernel}, {self.boundary}{'' if self.factor == 1 else f', factor={self.factor}'})"


def _kernel(kernel: Any, sides: Sequence[int]) -> Tensor:
    """The kernel as a floating-point tensor of its own, or an error."""
    kernel = real_values(kernel, "kernel")
    if kernel.ndim != 2 or not kernel.numel():
        raise BadValue(f"a kernel of shape {tuple(kernel.shape)}", "one kernel (h, w) for all channels", "pass kernel[0, 0]")
    if not kernel.any():
        raise BadValue("a kernel of zeros", "a value other than 0", "look at how it was made")
    if any(taps > side for taps, side in zip(kernel.shape, sides, strict=True)):
        sizes = f"a kernel of {kernel.shape[1]} x {kernel.shape[0]} for an image of {sides[1]} x {sides[0]} pixels"
        raise BadValue(sizes, "a kernel no larger than the image", "crop the kernel, or pad the image")
    return kernel


def _product(kernel: Tensor, size: Sequence[int], factor: int) -> "BandedPair | _Direct | _Spectral":
    """The convolution of an image of this size, without its border, in the way that is fastest for the kernel."""
    left, weights, right = torch.linalg.svd(kernel.cpu().double())
    if min(kernel.shape) == 1 or weights[1] <= _RANK_ONE * weights[0]:
        lines = (left[:, 0] * weights[0].sqrt()).to(kernel), (right[0] * weights[0].sqrt()).to(kernel)
        return BandedPair(*(_line(taps, side, factor) for taps, side in zip(lines, size, strict=True)))
    return _Direct(kernel, size, factor) if kernel.numel() <= _DIRECT else _within(kernel, size, factor)


def _line(taps: Tensor, size: int, factor: int) -> Tensor:
    """The convolution of a line of pixels, without its border, as a matrix."""
    first = torch.arange(0, size - len(taps) + 1, factor, device=taps.device)
    pixels = first[:, None] + torch.arange(len(taps), device=taps.device)
    return taps.new_zeros(len(first), size).scatter_(1, pixels, taps.flip(0).expand(len(first), -1))


class _Direct(nn.Module):
    """A small kernel: a sum over its pixels, and one over those of the turned kernel as the transpose."""

    kernel: Tensor

    def __init__(self, kernel: Tensor, size: Sequence[int], factor: int) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel)
        self.factor = factor
        self.valid_size = [side - taps + 1 for side, taps in zip(size, kernel.shape, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        return _convolved(x, self.kernel.flip(0, 1), self.factor)

    def transposed(self, y: Tensor) -> Tensor:
        height, width = self.kernel.shape
        full = F.pad(_spread(y, self.valid_size, self.factor), (width - 1, width - 1, height - 1, height - 1))
        return _convolved(full, self.kernel, 1)


def _convolved(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """PyTorch's convolution, a correlation, of each plane."""
    planes = x.reshape(len(x), -1, *x.shape[-2:])
    out = F.conv2d(planes, kernel.expand(planes.shape[1], 1, -1, -1), stride=factor, groups=planes.shape[1])
    return out.reshape(*x.shape[:-2], *out.shape[-2:])


def _on_torus(kernel: Tensor, size: Sequence[int], factor: int) -> "_Spectral":
    """The convolution of an image that continues on its other side."""
    height, width = kernel.shape
    wide = F.pad(kernel, (0, size[1] - width, 0, size[0] - height))
    return _Spectral(wide.roll((-(height // 2), -(width // 2)), (0, 1)), size, (0, 0), factor)


def _within(kernel: Tensor, size: Sequence[int], factor: int) -> "_Spectral":
    """The convolution of an image without its border, from that of a larger torus."""
    from scipy.fft import next_fast_len

    (height, width), (rows, columns) = kernel.shape, (next_fast_len(side, real=True) or side for side in size)
    wide = F.pad(kernel, (0, columns - width, 0, rows - height))
    return _Spectral(wide, size, (height - 1, width - 1), factor)


class _Spectral(nn.Module):
    """A product of spectra: the convolution on a torus of the kernel's size, whose first rows and columns are cut off."""

    spectrum: Tensor

    def __init__(self, kernel: Tensor, size: Sequence[int], cut: tuple[int, int], factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.height, self.width = size
        self.top, self.left = cut
        self.fast_size = list(kernel.shape)
        self.register_buffer("spectrum", torch.view_as_real(torch.fft.rfft2(kernel.cpu().double())).to(kernel))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x, s=self.fast_size) * torch.view_as_complex(self.spectrum)
        valid = torch.fft.irfft2(spectrum, s=self.fast_size)[..., self.top : self.height, self.left : self.width]
        return valid[..., :: self.factor, :: self.factor].contiguous()

    def transposed(self, y: Tensor) -> Tensor:
        valid = _spread(y, (self.height - self.top, self.width - self.left), self.factor)
        beyond = self.fast_size[1] - self.width, self.fast_size[0] - self.height
        full = F.pad(valid, (self.left, beyond[0], self.top, beyond[1]))
        spectrum = torch.fft.rfft2(full) * torch.view_as_complex(self.spectrum).conj()
        return torch.fft.irfft2(spectrum, s=self.fast_size)[..., : self.height, : self.width]


def _spread(y: Tensor, size: Sequence[int], factor: int) -> Tensor:
    """The transpose of keeping each ``factor``-th pixel: zeros between them."""
    if factor == 1:
        return y
    full = y.new_zeros(*y.shape[:-2], *size)
    full[..., ::factor, ::factor] = y
    return full
