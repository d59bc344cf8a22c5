"""Frozen networks whose layers are operators."""

from dipops.operators.networks.alexnet import AlexNet
from dipops.operators.networks.imagenet import ImageNetwork
from dipops.operators.networks.squeezenet import SqueezeNet

__all__ = ["AlexNet", "ImageNetwork", "SqueezeNet"]
