"""What the networks for ImageNet have in common: each of their layers is an operator on images."""

from collections.abc import Sequence

from torch import nn

from dipops.operators.features import FeatureMap, Normalise
from dipops.operators.interface import LinearOrDifferentiableOperator

CLASSES = 1000


class ImageNetwork(nn.Sequential):
    """A network of named layers in evaluation mode that was made for images of ``side`` x ``side`` pixels.

    Attributes:
        side: of the images it was trained on.
        default_layers: the layers that are drawn where none is named.
    """

    side = 227
    default_layers: tuple[str, ...]

    def normalise(self, in_shape: Sequence[int]) -> Normalise:
        """The input of the network for an image (3, H, W) with values in [0, 1]."""
        return Normalise.caffe(in_shape)

    def at(self, layer: str, in_shape: Sequence[int] | None = None) -> LinearOrDifferentiableOperator:
        """The features of a layer, as an operator on images with values in [0, 1].

        Args:
            layer: its name; ``list(dict(network.named_modules()))`` has them all.
            in_shape: of the image, (3, side, side) by default.

        Raises:
            BadValue: there is no such layer, or an image of this size does not reach it.
        """
        in_shape = (3, self.side, self.side) if in_shape is None else tuple(in_shape)
        return FeatureMap(in_shape, self, layer) @ self.normalise(in_shape)
