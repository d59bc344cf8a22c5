"""Operators that see a picture through a frozen network."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dipops.errors import BadType, BadValue, nearest, require_integer
from dipops.operators.interface import DifferentiableOperator, LinearOperator

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (104.0, 117.0, 123.0)


class FeatureMap(DifferentiableOperator):
    """The features that one layer of a frozen network gives for a picture.

    Nothing past the layer is computed. The network is copied, its parameters are frozen, and it stays in evaluation mode.
    ``FeatureMap(shape, network, "conv3") @ Normalise.caffe(shape)`` begins with a picture in [0, 1].

    Args:
        in_shape: shape of the picture as the network takes it.
        network: any module that maps (N, *in_shape) to anything.
        layer: name of the layer, as in ``network.named_modules()``.

    Raises:
        BadValue: the network has no such layer, is in training mode, or cannot take a picture of that shape.
        BadType: the network is no module, or the layer gives no tensor.
    """

    def __init__(self, in_shape: Sequence[int], network: nn.Module, layer: str) -> None:
        super().__init__(in_shape)
        if not isinstance(network, nn.Module):
            raise BadType(f"a network that is a {type(network).__name__}", "a torch.nn.Module", "wrap the function in one")
        names = [name for name, _ in network.named_modules() if name]
        if layer not in names:
            advice = f"the nearest are {nearest(layer, names, 5)}"
            raise BadValue(f"layer {layer!r}", f"a layer of {_named(network)}", advice)
        if network.training:
            raise BadValue("a network in training mode", "one whose output is fixed", "call network.eval() first")
        self.network = deepcopy(network).requires_grad_(False)
        self.layer = layer
        parameter = next(self.network.parameters(), None)
        if parameter is not None:
            self._like = parameter.new_empty(0)
        self._require_fit()

    def forward(self, x: Tensor) -> Tensor:
        handle = self.network.get_submodule(self.layer).register_forward_hook(_stop)
        try:
            self.network(x)
        except _Reached as reached:
            features = reached.args[0]
        else:
            raise BadValue(f"layer {self.layer!r}, which the network does not use", "a layer on its path", "name another")
        finally:
            handle.remove()
        if not isinstance(features, Tensor):
            raise BadType(f"layer {self.layer!r} gives a {type(features).__name__}", "a tensor", "name a layer inside it")
        return features

    def train(self, mode: bool = True) -> "FeatureMap":
        """Does nothing: the network is frozen."""
        return self

    def _require_fit(self) -> None:
        try:
            _ = self.out_shape
        except RuntimeError as error:
            came = f"a picture of shape {self.in_shape}, of which {type(self.network).__name__} says: {error}"
            raise BadValue(
                came, f"a size that reaches {self.layer!r}", "enlarge the picture, or name an earlier layer"
            ) from error

    def __repr__(self) -> str:
        return f"FeatureMap({type(self.network).__name__}, {self.layer!r})"


class Normalise(DifferentiableOperator):
    """What a network is given for a picture: its channels in the network's order, minus a mean, over a deviation.

    Args:
        in_shape: (C, H, W) of the picture, with values in [0, 1].
        mean, std: one for each channel, in the network's order.
        order: which channel of the picture comes where; all in their own place by default.

    Raises:
        BadValue: there is not one value for each channel, a deviation is not positive, or the order is no permutation.
    """

    def __init__(
        self, in_shape: Sequence[int], mean: Sequence[float], std: Sequence[float], order: Sequence[int] | None = None
    ) -> None:
        super().__init__(in_shape)
        channels = self.in_shape[0]
        order = tuple(range(channels)) if order is None else tuple(order)
        if len(self.in_shape) != 3 or not len(mean) == len(std) == channels or sorted(order) != list(range(channels)):
            came = f"{len(mean)} means, {len(std)} deviations and the order {order} for a picture of shape {self.in_shape}"
            raise BadValue(came, "(C, H, W) and one of each for every channel", "use Normalise.caffe or Normalise.torchvision")
        if not all(0 < deviation < float("inf") for deviation in std):
            raise BadValue(f"std = {tuple(std)}", "positive deviations", "1 leaves values as they are")
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self.order = order

    @classmethod
    def caffe(cls, in_shape: Sequence[int]) -> "Normalise":
        """Blue, green, red in 0..255, minus (104, 117, 123): what Caffe's networks were trained on."""
        return cls(in_shape, [value / 255 for value in _CAFFE_MEAN], [1 / 255] * 3, order=(2, 1, 0))

    @classmethod
    def torchvision(cls, in_shape: Sequence[int]) -> "Normalise":
        """Red, green, blue in [0, 1], minus the mean of ImageNet, over its deviation: what torchvision's were trained on."""
        return cls(in_shape, _IMAGENET_MEAN, _IMAGENET_STD)

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, self.order] - self.mean) / self.std

    def inverse(self, y: Tensor) -> Tensor:
        """The picture of which ``y`` (N, C, H, W) is what the network is given."""
        return (y * self.std + self.mean)[:, [self.order.index(channel) for channel in range(len(self.order))]]

    def __repr__(self) -> str:
        return f"Normalise({', '.join(map(str, self.in_shape))})"


class Activation(LinearOperator):
    """How strongly one unit of a layer answers: a value of the features, or the mean of several.

    Args:
        in_shape: shape of the features, ``out_shape`` of the FeatureMap.
        unit: index along the first dimensions: a class score, a channel (the mean over its positions), or with
            (channel, row, column) one neuron.

    Raises:
        BadType: an index is no integer.
        BadValue: one is out of range, or there are more of them than dimensions.
    """

    def __init__(self, in_shape: Sequence[int], unit: int | tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.unit = unit if isinstance(unit, tuple) else (unit,)
        if not 0 < len(self.unit) <= len(self.in_shape):
            came = f"unit = {unit} for features of shape {self.in_shape}"
            raise BadValue(came, f"up to {len(self.in_shape)} indices", "a channel is one number, a neuron three")
        for index, size in zip(self.unit, self.in_shape, strict=False):
            if require_integer("unit", index, 0, "the first is 0") >= size:
                raise BadValue(f"unit = {unit} for features of shape {self.in_shape}", f"below {size}", "the first is 0")

    def forward(self, x: Tensor) -> Tensor:
        return x[(slice(None), *self.unit)].reshape(len(x), -1).mean(1, keepdim=True)

    def __repr__(self) -> str:
        return f"Activation({', '.join(map(str, self.unit))})"


def _named(network: nn.Module) -> str:
    """Its repr where that is one line, else its class."""
    return text if "\n" not in (text := repr(network)) else type(network).__name__


class _Reached(Exception):
    """Carries the features out of the network."""


def _stop(module: nn.Module, inputs: Any, output: Any) -> None:
    raise _Reached(output)
