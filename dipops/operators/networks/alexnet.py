"""AlexNet, as it was trained in Caffe and as torchvision has it, with layers of the same names."""

from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from http.client import HTTPException
from pathlib import Path

import torch
from torch import nn

from dipops.errors import BadFile, BadType
from dipops.operators.features import Normalise
from dipops.operators.networks.imagenet import CLASSES, ImageNetwork
from dipops.operators.networks.weights import read_weights, set_weights

URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


class AlexNetLayout(Enum):
    """Whose AlexNet: they differ in widths, groups, normalisation, and in the pictures they take."""

    CAFFE = "caffe"
    TORCHVISION = "torchvision"


class AlexNet(ImageNetwork):
    """The network of Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

    Layers are conv1, relu1, (norm1,) pool1, ..., conv5, relu5, pool5, and in a complete network flat, fc6, relu6, fc7, relu7
    and fc8, the scores of the 1000 classes of ImageNet. Dropout, which does nothing in a network at rest, is left out.
    Weights are random until they are loaded, and the network is in evaluation mode.

    Caffe's is made for 227 x 227 pixels, torchvision's for 224 x 224; up to pool5 other sizes are taken too.
    ``AlexNet.load(path).at("conv3")`` is an operator.

    Args:
        layout: Caffe's ``bvlc_alexnet`` (groups, local response normalisation) or torchvision's ``alexnet``.
        complete: whether the layers after pool5 are there.

    Raises:
        BadType: layout is no member of AlexNetLayout.
    """

    def __init__(self, layout: AlexNetLayout = AlexNetLayout.CAFFE, complete: bool = True) -> None:
        if not isinstance(layout, AlexNetLayout):
            raise BadType(f"layout = {layout!r}", "an AlexNetLayout", "write AlexNetLayout.CAFFE, say")
        layers = _caffe() if layout is AlexNetLayout.CAFFE else _torchvision()
        super().__init__(OrderedDict(layers | (_classifier(layout) if complete else {})))
        self.layout, self.complete = layout, complete
        self.side = 227 if layout is AlexNetLayout.CAFFE else 224
        self.eval()

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Those of the paper's figure 9, or pool5 in place of the last three."""
        convolutions = tuple(f"conv{number}" for number in range(1, 6))
        return (*convolutions, *(("fc6", "fc7", "fc8") if self.complete else ("pool5",)))

    def normalise(self, in_shape: Sequence[int]) -> Normalise:
        """See :class:`ImageNetwork`."""
        return (Normalise.caffe if self.layout is AlexNetLayout.CAFFE else Normalise.torchvision)(in_shape)

    @classmethod
    def load(cls, path: str | Path) -> "AlexNet":
        """The network of a file: .npz, .pt, .pth or .safetensors, float16 or float32, by Caffe's names or torchvision's.

        The layout is told from the names and shapes; a file without the layers after pool5 gives a network without them.

        Raises:
            BadFile: the file cannot be read, or its arrays are not those of an AlexNet; the text names the first wrong one.
        """
        arrays = read_weights(path)
        foreign = _TORCHVISION_NAMES if any(name.startswith("features.") for name in arrays) else {}
        first = arrays.get(f"{foreign.get('conv1', 'conv1')}.weight")
        wide = first is not None and first.shape[:1] == (64,)
        complete = any(name.startswith((foreign.get("fc6", "fc6"), foreign.get("fc8", "fc8"))) for name in arrays)
        network = cls(AlexNetLayout.TORCHVISION if wide else AlexNetLayout.CAFFE, complete)
        set_weights(network, arrays, {name: _renamed(name, foreign) for name, _ in network.named_parameters()}, path)
        return network

    @classmethod
    def download(cls, folder: str | Path | None = None, url: str = URL) -> "AlexNet":
        """The weights that torchvision publishes, 233 MB, fetched once and kept.

        Args:
            folder: where the file is kept; by default that of ``torch.hub``.
            url: of the file; its name ends in the first digits of its SHA-256, which are compared.

        Raises:
            BadFile: it cannot be fetched, or is not what it should be; the text says which file to put where.
        """
        kept = Path(torch.hub.get_dir()) / "checkpoints" if folder is None else Path(folder)
        file = kept / url.rpartition("/")[2]
        if not file.exists():
            _fetch(url, file)
        return cls.load(file)

    def __repr__(self) -> str:
        return f"AlexNet({self.layout}{'' if self.complete else ', complete=False'})"


def _fetch(url: str, file: Path) -> None:
    digits = file.stem.rpartition("-")[2]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=digits)
    except (HTTPException, OSError, RuntimeError, ValueError) as error:
        came = f"{url} cannot be fetched: {getattr(error, 'reason', error)}"
        raise BadFile(came, f"a file whose SHA-256 begins with {digits}", f"put it at {file} by other means") from error


def _convolutions(shapes: list[tuple[int, ...]], after: dict[int, list[nn.Module]]) -> dict[str, nn.Module]:
    """conv, relu, and what comes after, for shapes of (channels in, out, side, stride, padding, groups)."""
    layers: dict[str, nn.Module] = {}
    for number, (source, target, side, stride, padding, groups) in enumerate(shapes, 1):
        layers[f"conv{number}"] = nn.Conv2d(source, target, side, stride, padding, groups=groups)
        layers[f"relu{number}"] = nn.ReLU()
        for module in after.get(number, []):
            layers[f"{'pool' if isinstance(module, nn.MaxPool2d) else 'norm'}{number}"] = module
    return layers


def _caffe() -> dict[str, nn.Module]:
    def normalised_and_pooled() -> list[nn.Module]:
        return [nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0), _pool()]

    def _pool() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)

    shapes = [
        (3, 96, 11, 4, 0, 1),
        (96, 256, 5, 1, 2, 2),
        (256, 384, 3, 1, 1, 1),
        (384, 384, 3, 1, 1, 2),
        (384, 256, 3, 1, 1, 2),
    ]
    return _convolutions(shapes, {1: normalised_and_pooled(), 2: normalised_and_pooled(), 5: [_pool()]})


def _torchvision() -> dict[str, nn.Module]:
    shapes = [
        (3, 64, 11, 4, 2, 1),
        (64, 192, 5, 1, 2, 1),
        (192, 384, 3, 1, 1, 1),
        (384, 256, 3, 1, 1, 1),
        (256, 256, 3, 1, 1, 1),
    ]
    return _convolutions(shapes, {number: [nn.MaxPool2d(3, stride=2)] for number in (1, 2, 5)})


def _classifier(layout: AlexNetLayout) -> dict[str, nn.Module]:
    pooled = {"avgpool": nn.AdaptiveAvgPool2d(6)} if layout is AlexNetLayout.TORCHVISION else {}
    return {
        **pooled,
        "flat": nn.Flatten(),
        "fc6": nn.Linear(256 * 6 * 6, 4096),
        "relu6": nn.ReLU(),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(),
        "fc8": nn.Linear(4096, CLASSES),
    }


_TORCHVISION_NAMES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def _renamed(name: str, foreign: dict[str, str]) -> str:
    layer, _, kind = name.partition(".")
    return f"{foreign.get(layer, layer)}.{kind}"
