"""Operators that see a picture through a frozen network."""

import difflib
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from dipops.errors import BadType, BadValue
from dipops.operators.interface import DifferentiableOperator


class FeatureMap(DifferentiableOperator):
    """The features that one layer of a frozen network gives for a picture.

    Nothing past the layer is computed. The network is copied, its parameters are frozen, and it stays in evaluation mode.

    Args:
        in_shape: shape of the picture as the network takes it.
        network: any module that maps (N, *in_shape) to anything.
        layer: name of the layer, as in ``network.named_modules()``.

    Raises:
        BadValue: the network has no such layer, or is in training mode.
        BadType: the network is no module, or the layer gives no tensor.
    """

    def __init__(self, in_shape: Sequence[int], network: nn.Module, layer: str) -> None:
        super().__init__(in_shape)
        if not isinstance(network, nn.Module):
            raise BadType(f"a network that is a {type(network).__name__}", "a torch.nn.Module", "wrap the function in one")
        names = [name for name, _ in network.named_modules() if name]
        if layer not in names:
            near = difflib.get_close_matches(layer, names, n=5, cutoff=0.0)
            raise BadValue(f"layer {layer!r}", f"a layer of {type(network).__name__}", f"the nearest are {', '.join(near)}")
        if network.training:
            raise BadValue("a network in training mode", "one whose output is fixed", "call network.eval() first")
        self.network = deepcopy(network).requires_grad_(False)
        self.layer = layer
        parameter = next(self.network.parameters(), None)
        if parameter is not None:
            self._like = parameter.new_empty(0)

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

    def __repr__(self) -> str:
        return f"FeatureMap({type(self.network).__name__}, {self.layer!r})"


class _Reached(Exception):
    """Carries the features out of the network."""


def _stop(module: nn.Module, inputs: Any, output: Any) -> None:
    raise _Reached(output)
