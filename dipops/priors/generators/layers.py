"""The layers that the generators share, each for independent grouped copies."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["nearest", "bilinear"]
Downsampling = Literal["stride", "average"]
"""How a map is halved: by the stride of a convolution, or by a 2 x 2 mean after one."""
Padding = Literal["reflect", "zeros"]
"""What lies beyond the border of a map."""


def convolution(
    source: int, target: int, kernel: int, padding: Padding, copies: int, *, stride: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1, one group a copy."""
    border = kernel // 2
    kind = _ReflectedConv2d if border and padding == "reflect" else nn.Conv2d
    sizes = (copies * source, copies * target, kernel, stride, border)
    return kind(*sizes, groups=copies, bias=bias, dtype=torch.float32)


def with_fixed_bias(layer: nn.Conv2d) -> nn.Conv2d:
    """A convolution before a normalisation, which cancels its bias: that stays as it was drawn, and takes no gradient."""
    assert layer.bias is not None
    layer.bias.requires_grad_(False)
    return layer


class _ReflectedConv2d(nn.Conv2d):
    """A convolution of a map that is mirrored at its border."""

    def forward(self, input: Tensor) -> Tensor:
        wide = pad(input, self.kernel_size[0] // 2, "reflect")
        return F.conv2d(wide, self.weight, self.bias, self.stride, groups=self.groups)


def pad(x: Tensor, border: int, mode: Literal["reflect", "replicate"]) -> Tensor:
    """A map with so many pixels more on each side, by ``torch.nn.functional.pad`` where that suits.

    On CUDA it returns a contiguous map whatever the layout of ``x``, and its derivative is not deterministic.
    """
    by_slices = x.is_cuda and border < min(x.shape[-2:])  # F.pad tells what is wrong with other sizes
    if by_slices:
        return pad_by_slices(x, border, mode)
    with torch.autocast(x.device.type, enabled=False):  # an autocast pads in float32, which takes two conversions
        return F.pad(x, (border,) * 4, mode=mode)


def pad_by_slices(x: Tensor, border: int, mode: Literal["reflect", "replicate"]) -> Tensor:
    """``pad`` by operations that keep the layout and are deterministic on every device.

    The map is split where pixels are repeated, so that the backward pass joins the parts again in one copy.
    """
    ends = border + 1 if mode == "reflect" else 1
    for axis in (-1, -2):
        middle = x.shape[axis] - 2 * ends
        parts = x.split([*(1,) * ends, middle, *(1,) * ends] if middle > 0 else 1, axis)
        if mode == "reflect":
            before, after = parts[border:0:-1], parts[-2 : -border - 2 : -1]
        else:
            before, after = parts[:1] * border, parts[-1:] * border
        x = torch.cat([*before, *parts, *after], axis)
    return x


def normalisation(channels: int, copies: int) -> nn.BatchNorm2d:
    """Batch statistics always: with one image a copy, each channel is normalised over its own pixels."""
    return nn.BatchNorm2d(copies * channels, track_running_stats=False, dtype=torch.float32)


def leaky() -> nn.LeakyReLU:
    """The paper's activation."""
    return nn.LeakyReLU(0.2, inplace=True)


class ToImage(nn.Module):
    """The last convolution and a sigmoid, in the precision of the weights whatever came before: values lie in (0, 1)."""

    def __init__(self, last: nn.Conv2d) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.last(x.to(self.last.weight.dtype)).sigmoid()


def doubling(mode: Upsampling) -> nn.Upsample:
    """Twice the size."""
    return nn.Upsample(scale_factor=2, mode=mode, align_corners=False if mode == "bilinear" else None)
