"""The features of a frozen network, as operators."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dipops.errors import BadValue, nearest, safe_repr
from dipops.operators.interface import DifferentiableOperator, LinearOperator

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (104.0, 117.0, 123.0)


class FeatureMap(DifferentiableOperator):
    """The features that one layer of a frozen network gives for an image.

    Nothing past the layer is computed. The network is copied, its parameters are frozen, and it stays in evaluation mode.
    ``FeatureMap(shape, network, "conv3") @ Normalise.caffe(shape)`` takes images with values in [0, 1].

    Args:
        in_shape: shape of the image that the network takes.
        network: any module that maps (N, *in_shape) to anything.
        layer: name of the layer, as in ``network.named_modules()``.

    Raises:
        BadValue: the network has no such layer, is in training mode, or cannot take an image of that shape.
        BadType: the layer gives no tensor.
    """

    def __init__(self, in_shape: Sequence[int], network: nn.Module, layer: str) -> None:
        super().__init__(in_shape)
        names = [name for name, _ in network.named_modules() if name]
        if layer not in names:
            raise BadValue(f"layer {layer!r}", f"a layer of {_named(network)}", f"the nearest are {nearest(layer, names, 5)}")
        if network.training:
            raise BadValue("a network in training mode", "one whose output is fixed", "call network.eval() first")
        self.network = deepcopy(network).requires_grad_(False)
        self.layer = layer
        parameter = next(self.network.parameters(), None)
        if parameter is not None:
            self._like = parameter.new_empty(0)
        try:
            _ = self.out_shape
        except RuntimeError as error:
            image = f"an image of shape {self.in_shape}, of which {type(self.network).__name__} says: {error}"
            advice = "enlarge the image, or name an earlier layer"
            raise BadValue(image, f"a size that reaches {layer!r}", advice) from error

    def forward(self, x: Tensor) -> Tensor:
        handle = self.network.get_submodule(self.layer).register_forward_hook(_stop)
        try:
            self.network(x)
        except _LayerReached as reached:
            return reached.args[0]
        finally:
            handle.remove()
        raise BadValue(f"layer {self.layer!r}, which the network does not use", "a layer that is used", "name another one")

    def train(self, mode: bool = True) -> "FeatureMap":
        """Does nothing: the network is frozen."""
        return self

    def __repr__(self) -> str:
        return f"FeatureMap({type(self.network).__name__}, {self.layer!r})"


class Normalise(DifferentiableOperator):
    """The input of a network for an image: its channels in the network's order, minus a mean, over a standard deviation.

    Args:
        in_shape: (C, H, W) of the image, with values in [0, 1].
        mean, std: one for each channel, in the network's order.
        order: for each channel of the network, the channel of the image; the same order by default.

    Raises:
        BadValue: there is not one value for each channel, a deviation is not positive, or the order is no permutation.
    """

    def __init__(
        self, in_shape: Sequence[int], mean: Sequence[float], std: Sequence[float], order: Sequence[int] | None = None
    ) -> None:
        super().__init__(in_shape)
        channels = self.in_shape[0]
        order = tuple(range(channels)) if order is None else tuple(order)
        complete = len(self.in_shape) == 3 and len(mean) == len(std) == channels and sorted(order) == list(range(channels))
        if not complete or not all(0 < deviation < float("inf") for deviation in std):
            values = f"mean {tuple(mean)}, std {tuple(std)} and order {order} for an image of shape {self.in_shape}"
            raise BadValue(values, "one of each for every channel, positive deviations", "use Normalise.caffe or .torchvision")
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self.order = order
        self.channels, self.places = torch.tensor(order), torch.tensor([order.index(channel) for channel in range(channels)])

    @classmethod
    def caffe(cls, in_shape: Sequence[int]) -> "Normalise":
        """Blue, green, red in 0..255, minus (104, 117, 123): the input of Caffe's networks."""
        return cls(in_shape, [value / 255 for value in _CAFFE_MEAN], [1 / 255] * 3, order=(2, 1, 0))

    @classmethod
    def torchvision(cls, in_shape: Sequence[int]) -> "Normalise":
        """Red, green, blue in [0, 1], minus the mean of ImageNet, over its deviation: the input of torchvision's."""
        return cls(in_shape, _IMAGENET_MEAN, _IMAGENET_STD)

    def forward(self, x: Tensor) -> Tensor:
        return (x.index_select(1, self.channels) - self.mean) / self.std

    def inverse(self, y: Tensor) -> Tensor:
        """The image whose normalised version is ``y`` (N, C, H, W)."""
        return (y * self.std + self.mean).index_select(1, self.places)

    def __repr__(self) -> str:
        return f"Normalise({', '.join(map(str, self.in_shape))})"


class Activation(LinearOperator):
    """The response of one unit of a layer: a value of the features, or the mean of several.

    Args:
        in_shape: shape of the features, ``out_shape`` of the FeatureMap.
        unit: index along the first dimensions: a class score, a channel (the mean over its positions), or with
            (channel, row, column) one neuron.

    Raises:
        BadValue: an index is out of range, or there are more indices than dimensions.
    """

    def __init__(self, in_shape: Sequence[int], unit: int | tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.unit = unit if isinstance(unit, tuple) else (unit,)
        sizes = self.in_shape[: len(self.unit)]
        if len(sizes) != len(self.unit) or not all(0 <= index < size for index, size in zip(self.unit, sizes, strict=True)):
            features = f"indices into features of shape {self.in_shape}"
            raise BadValue(f"unit = {unit}", features, "count from 0: one index for a channel, three for a neuron")

    def forward(self, x: Tensor) -> Tensor:
        return x[(slice(None), *self.unit)].reshape(len(x), -1).mean(1, keepdim=True)

    def __repr__(self) -> str:
        return f"Activation({', '.join(map(str, self.unit))})"


def _named(network: nn.Module) -> str:
    """Its repr where that is one line, else its class."""
    return text if "\n" not in (text := safe_repr(network)) else type(network).__name__


class _LayerReached(Exception):
    """Carries the features out of the network."""


def _stop(module: nn.Module, inputs: Any, output: Any) -> None:
    raise _LayerReached(output)
