"""Untrained networks that generate images, each from one frozen config."""

from dipops.priors.generators.deep_decoder import DeepDecoder
from dipops.priors.generators.hourglass import Hourglass, encoder_decoder
from dipops.priors.generators.interface import Generator
from dipops.priors.generators.resnet import ResNet
from dipops.priors.generators.unet import UNet

__all__ = ["DeepDecoder", "Generator", "Hourglass", "ResNet", "UNet", "encoder_decoder"]
