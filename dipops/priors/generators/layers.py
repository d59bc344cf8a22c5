"""The layers that the generators share, each for independent grouped copies."""

from typing import Literal

import torch
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
    return nn.Conv2d(
        *(copies * source, copies * target, kernel, stride, border),
        groups=copies,
        padding_mode=padding if border else "zeros",  # nn.Conv2d would copy the map to reflect nothing
        bias=bias,
        dtype=torch.float32,
    )


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
