"""SqueezeNet 1.0: a small network that classifies images."""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from dipops._tools.seeds import SeededDraws
from dipops.operators.networks.imagenet import CLASSES, ImageNetwork
from dipops.operators.networks.weights import read_weights, set_weights

_WIDTHS = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}


class Fire(nn.Module):
    """1 x 1 convolutions that squeeze, then 1 x 1 and 3 x 3 ones in parallel that expand fourfold each."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(source, width, 1)
        self.conv1x1_2 = nn.Conv2d(width, 4 * width, 1)
        self.conv3x3_2 = nn.Conv2d(width, 4 * width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.conv1x1_1(x).relu()
        return torch.cat([self.conv1x1_2(squeezed).relu(), self.conv3x3_2(squeezed).relu()], dim=1)


class SqueezeNet(ImageNetwork):
    """The network of Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016, version 1.0.

    Layers are conv1, relu1, pool1, fire2 to fire4, pool4, fire5 to fire8, pool8, fire9, conv_final, relu_final and scores, of
    the 1000 classes of ImageNet. It is made for 227 x 227 pixels. Weights are random until they are loaded, and the network
    is in evaluation mode. ``SqueezeNet.load(path).at("scores")`` is an operator.
    """

    default_layers = ("conv1", "fire3", "fire5", "fire7", "fire9", "conv_final")

    def __init__(self) -> None:
        layers: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 96, 7, stride=2), "relu1": nn.ReLU(), "pool1": _pool()}
        source = 96
        for number, width in _WIDTHS.items():
            layers[f"fire{number}"] = Fire(source, width)
            source = 8 * width
            if number in (4, 8):
                layers[f"pool{number}"] = _pool()
        layers["conv_final"] = nn.Conv2d(source, CLASSES, 1, padding=1)
        layers["relu_final"] = nn.ReLU()
        layers["scores"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(OrderedDict(layers))
        self.eval()

    @classmethod
    def load(cls, path: str | Path) -> "SqueezeNet":
        """The network of a file: .npz, .pt, .pth or .safetensors, float16 or float32, by the prototype's names.

        Raises:
            BadFile: the file cannot be read, or its arrays are not those of a SqueezeNet; the message names them.
        """
        with SeededDraws(0):  # replaced at once
            network = cls()
        set_weights(network, {name.replace("/", "."): array for name, array in read_weights(path).items()}, path)
        return network

    def __repr__(self) -> str:
        return "SqueezeNet()"


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
