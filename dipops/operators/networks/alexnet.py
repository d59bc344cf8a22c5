"""AlexNet, as it was trained in Caffe and as torchvision has it, with layers of the same names."""

from collections import OrderedDict
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from dipops._tools.seeds import SeededDraws
from dipops.errors import BadFile, require_choice
from dipops.operators.features import Normalise
from dipops.operators.networks.imagenet import CLASSES, ImageNetwork
from dipops.operators.networks.weights import read_weights, set_weights

URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"

Layout = Literal["caffe", "torchvision"]
_CONVOLUTIONS: dict[str, list[tuple[int, ...]]] = {  # channels in, out, side, stride, padding, groups
    "caffe": [
        (3, 96, 11, 4, 0, 1),
        (96, 256, 5, 1, 2, 2),
        (256, 384, 3, 1, 1, 1),
        (384, 384, 3, 1, 1, 2),
        (384, 256, 3, 1, 1, 2),
    ],
    "torchvision": [
        (3, 64, 11, 4, 2, 1),
        (64, 192, 5, 1, 2, 1),
        (192, 384, 3, 1, 1, 1),
        (384, 256, 3, 1, 1, 1),
        (256, 256, 3, 1, 1, 1),
    ],
}
_TORCHVISION_NAMES = {
    **{f"features.{index}": f"conv{number}" for number, index in enumerate((0, 3, 6, 8, 10), 1)},
    **{f"classifier.{index}": f"fc{number}" for number, index in enumerate((1, 4, 6), 6)},
}


class AlexNet(ImageNetwork):
    """The network of Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

    Layers are conv1, relu1, (norm1,) pool1, ..., conv5, relu5, pool5, and in a complete network flat, fc6, relu6, fc7, relu7
    and fc8, the scores of the 1000 classes of ImageNet. Dropout, which does nothing in evaluation mode, is left out.
    Weights are random until they are loaded, and the network is in evaluation mode.

    Caffe's is made for 227 x 227 pixels, torchvision's for 224 x 224; up to pool5 other sizes are possible too.
    ``AlexNet.load(path).at("conv3")`` is an operator.

    Args:
        layout: "caffe" for Caffe's ``bvlc_alexnet`` (groups, local response normalisation) or "torchvision" for
            torchvision's ``alexnet``; they differ in widths, groups, normalisation and the size of images.
        complete: whether the layers after pool5 are there.

    Raises:
        BadValue: there is no such layout.
    """

    def __init__(self, layout: Layout = "caffe", complete: bool = True) -> None:
        require_choice("layout", layout, Layout)
        super().__init__(OrderedDict(_convolutions(layout) | (_classifier(layout) if complete else {})))
        self.layout: Layout = layout
        self.complete = complete
        self.side = 227 if layout == "caffe" else 224
        last = ("fc6", "fc7", "fc8") if complete else ("pool5",)
        self.default_layers = ("conv1", "conv2", "conv3", "conv4", "conv5", *last)  # those of the paper's figure 9
        self.eval()

    def normalise(self, in_shape: Sequence[int]) -> Normalise:
        """See :class:`ImageNetwork`."""
        return (Normalise.caffe if self.layout == "caffe" else Normalise.torchvision)(in_shape)

    @classmethod
    def load(cls, path: str | Path) -> "AlexNet":
        """The network of a file: .npz, .pt, .pth or .safetensors, float16 or float32, by Caffe's names or torchvision's.

        The layout follows from the names and shapes; a file without the layers after pool5 gives a network without them.

        Raises:
            BadFile: the file cannot be read, or its arrays are not those of an AlexNet; the message names them.
        """
        arrays = {_layer_name(name): array for name, array in read_weights(path).items()}
        first = arrays.get("conv1.weight")
        layout = "torchvision" if first is not None and first.shape[:1] == (64,) else "caffe"
        with SeededDraws(0):  # replaced at once
            network = cls(layout, complete=any(name.startswith(("fc6", "fc8")) for name in arrays))
        set_weights(network, arrays, path)
        return network

    @classmethod
    def download(cls, folder: str | Path | None = None, url: str = URL) -> "AlexNet":
        """The weights that torchvision publishes, 233 MB, downloaded once and kept.

        Args:
            folder: where the file is stored; by default that of ``torch.hub``.
            url: of the file; its name ends in the first digits of its SHA-256, which are compared.

        Raises:
            BadFile: it cannot be downloaded, or has another digest; the message says which file to put where.
        """
        folder = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder)
        file = folder / url.rpartition("/")[2]
        if not file.exists():
            _fetch(url, file)
        return cls.load(file)

    def __repr__(self) -> str:
        return f"AlexNet({self.layout!r}{'' if self.complete else ', complete=False'})"


def _fetch(url: str, file: Path) -> None:
    digits = file.stem.rpartition("-")[2]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=digits)
    except (HTTPException, OSError, RuntimeError, ValueError) as error:
        failure = f"{url} cannot be fetched: {getattr(error, 'reason', error)}"
        raise BadFile(failure, f"a file whose SHA-256 begins with {digits}", f"put it at {file} by other means") from error


def _convolutions(layout: Layout) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    for number, (source, target, side, stride, padding, groups) in enumerate(_CONVOLUTIONS[layout], 1):
        layers[f"conv{number}"] = nn.Conv2d(source, target, side, stride, padding, groups=groups)
        layers[f"relu{number}"] = nn.ReLU()
        if layout == "caffe" and number in (1, 2):
            layers[f"norm{number}"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        if number in (1, 2, 5):
            layers[f"pool{number}"] = nn.MaxPool2d(3, stride=2, ceil_mode=layout == "caffe")
    return layers


def _classifier(layout: Layout) -> dict[str, nn.Module]:
    pooled = {"avgpool": nn.AdaptiveAvgPool2d(6)} if layout == "torchvision" else {}
    return {
        **pooled,
        "flat": nn.Flatten(),
        "fc6": nn.Linear(256 * 6 * 6, 4096),
        "relu6": nn.ReLU(),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(),
        "fc8": nn.Linear(4096, CLASSES),
    }


def _layer_name(stored: str) -> str:
    """The name of a parameter, such as conv1.weight, by Caffe's name or torchvision's."""
    layer, _, parameter = stored.rpartition(".")
    return f"{_TORCHVISION_NAMES.get(layer, layer)}.{parameter}"
