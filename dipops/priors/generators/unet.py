"""The U-Net of the paper's architecture study."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dipops.priors.generators.interface import padded_blocks, require_widths
from dipops.priors.generators.layers import ToImage, convolution, with_fixed_bias

_LEAST = 2


@dataclass(frozen=True)
class UNet:
    """Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, as in the architecture study of the deep image prior.

    Two 3 x 3 convolutions a level, each with instance normalisation and ReLU; 2 x 2 means down, transposed 4 x 4
    convolutions up, zeros beyond the border. The default has 1 616 315 parameters for one channel in and three out.

    Attributes:
        channels: width of each level, from the finest; at least two.

    Raises:
        BadValue: there are fewer than two levels, or a width is not positive.
    """

    channels: tuple[int, ...] = (8, 16, 32, 64, 128, 128)

    def __post_init__(self) -> None:
        require_widths(self.channels, 2)

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """See :class:`Generator`; the network ends in a sigmoid."""
        last = convolution(self.channels[0], out_channels, 1, "zeros", copies)
        return nn.Sequential(_Level(in_channels, self.channels, copies), ToImage(last))

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`: the next multiple of 2^(levels - 1) whose deepest map is larger than 1 x 1."""
        halvings = len(self.channels) - 1
        height, width = padded_blocks(size, halvings, _LEAST, lambda fitting: f"a UNet of {fitting + 1} levels")
        return height * 2**halvings, width * 2**halvings


class _Level(nn.Module):
    """One level, which holds the coarser ones inside it."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], copies: int) -> None:
        super().__init__()
        width, *deeper = channels
        self.copies = copies
        self.entry = _pair(in_channels, width, copies)
        if deeper:
            widths = (copies * deeper[0], copies * width)
            up = nn.ConvTranspose2d(*widths, 4, stride=2, padding=1, groups=copies, dtype=torch.float32)
            self.inner = nn.Sequential(nn.AvgPool2d(2), _Level(width, tuple(deeper), copies), up)
            self.joined = _pair(2 * width, width, copies)
        else:
            self.inner = None

    def forward(self, x: Tensor) -> Tensor:
        here = self.entry(x)
        return here if self.inner is None else self.joined(_beside(here, self.inner(here), self.copies))


def _beside(a: Tensor, b: Tensor, copies: int) -> Tensor:
    """Channels of a and b in groups within each copy."""
    if copies == 1:
        return torch.cat([a, b], dim=1)
    return torch.cat([a.unflatten(1, (copies, -1)), b.unflatten(1, (copies, -1))], dim=2).flatten(1, 2)


def _pair(source: int, target: int, copies: int) -> nn.Sequential:
    def block(source: int) -> list[nn.Module]:
        layer = with_fixed_bias(convolution(source, target, 3, "zeros", copies))
        return [layer, nn.InstanceNorm2d(copies * target), nn.ReLU(inplace=True)]

    return nn.Sequential(*block(source), *block(target))
