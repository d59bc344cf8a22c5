"""The residual network of the paper's architecture study."""

from dataclasses import dataclass

from torch import Tensor, nn

from dipops.errors import BadValue
from dipops.priors.generators.interface import SMALLEST_SIDE
from dipops.priors.generators.layers import ToImage, convolution, leaky, normalisation


@dataclass(frozen=True)
class ResNet:
    """He et al., "Deep Residual Learning", CVPR 2016, as in the architecture study of the deep image prior.

    All maps have the image's own size. The default has 158 979 parameters for one channel in and three out.

    Attributes:
        channels: width of every layer.
        blocks: residual blocks of two 3 x 3 convolutions each.
    """

    channels: int = 32
    blocks: int = 8

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """See :class:`Generator`; the network ends in a sigmoid."""
        width = self.channels
        return nn.Sequential(
            _convolution(in_channels, width, copies),
            leaky(),
            *(_Block(width, copies) for _ in range(self.blocks)),
            _convolution(width, width, copies),
            normalisation(width, copies),
            ToImage(_convolution(width, out_channels, copies)),
        )

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`: the image's own size."""
        if min(size) < SMALLEST_SIDE:
            raise BadValue(f"an image of {size[1]} x {size[0]} pixels", f"sides from {SMALLEST_SIDE} pixels", "enlarge it")
        return size


class _Block(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, width: int, copies: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _convolution(width, width, copies, bias=False),
            normalisation(width, copies),
            leaky(),
            _convolution(width, width, copies, bias=False),
            normalisation(width, copies),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


def _convolution(source: int, target: int, copies: int, bias: bool = True) -> nn.Conv2d:
    return convolution(source, target, 3, "reflect", copies, bias=bias)
