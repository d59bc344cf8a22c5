"""The deep decoder: so few parameters that it cannot fit noise well."""

from dataclasses import dataclass

from torch import nn

from dipops.priors.generators.interface import padded_blocks
from dipops.priors.generators.layers import ToImage, convolution, doubling, normalisation


@dataclass(frozen=True)
class DeepDecoder:
    """A decoder of 1 x 1 convolutions, bilinear upsampling, ReLU and normalisation: Heckel and Hand, "Deep Decoder", ICLR 2019.

    Its input is small: 1 / 2^doublings of the image. With ``Noise(128)`` the default has the authors' 100 224 parameters
    for three channels. It hardly overfits, and its best is below the hourglass's.

    Attributes:
        channels: width of every layer.
        doublings: how often the map is doubled; a layer at full resolution follows.
    """

    channels: int = 128
    doublings: int = 5

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """See :class:`Generator`; the network ends in a sigmoid."""

        def layer(source: int, target: int) -> nn.Conv2d:
            return convolution(source, target, 1, "zeros", copies, bias=False)

        def block(source: int, *between: nn.Module) -> list[nn.Module]:
            rest = (nn.ReLU(inplace=True), normalisation(self.channels, copies))
            return [layer(source, self.channels), *between, *rest]

        layers = []
        for source in (in_channels, *(self.channels,) * (self.doublings - 1)):
            layers += block(source, doubling("bilinear"))
        return nn.Sequential(*layers, *block(self.channels), ToImage(layer(self.channels, out_channels)))

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`: the sides over 2^doublings, rounded up."""
        return padded_blocks(size, self.doublings, 1, lambda fitting: f"DeepDecoder(doublings={fitting})")
