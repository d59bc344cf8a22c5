"""A small example of every elementary operator, made from a seed, one row each; all tests of operators use them.

A new operator adds its row here and inherits every law, every random expression and every mutation test.
"""

from collections.abc import Callable

import torch
from torch import nn

from dipops._tools.seeds import SeededDraws
from dipops.operators import (
    JPEG,
    Activation,
    ColourMatrix,
    ExpectedClip,
    FeatureMap,
    FiniteDifferences,
    Gamma,
    Grayscale,
    GuidedInput,
    Identity,
    LanczosDownsampler,
    LinearOrDifferentiableOperator,
    Mask,
    Mosaic,
    Normalise,
    Saturation,
)

Example = Callable[[tuple[int, int, int], torch.Generator], LinearOrDifferentiableOperator]


def _mask(in_shape: tuple[int, int, int], generator: torch.Generator) -> Mask:
    known = torch.rand(in_shape, generator=generator, dtype=torch.float32) < 0.6
    known[0, 0, 0] = True
    return Mask(known, channels=in_shape[0])


def _shared_mask(in_shape: tuple[int, int, int], generator: torch.Generator) -> Mask:
    known = torch.rand(in_shape[1:], generator=generator, dtype=torch.float32) < 0.6
    known[0, 0] = True
    return Mask(known, channels=in_shape[0])


def _lanczos(in_shape: tuple[int, int, int], generator: torch.Generator) -> LanczosDownsampler:
    factor, lobes = (int(torch.randint(low, 4, (), generator=generator)) for low in (2, 1))
    channels, height, width = in_shape
    return LanczosDownsampler((channels, height * factor, width * factor), factor, lobes)


def _features(in_shape: tuple[int, int, int], generator: torch.Generator) -> FeatureMap:
    """A feature map that keeps the shape, so that it can be anywhere in an expression."""
    channels = in_shape[0]
    with SeededDraws(0):
        first, second = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(4, channels, 1)
    network = nn.Sequential(first, nn.ReLU(), second, nn.Tanh(), nn.Flatten())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return FeatureMap(in_shape, network.eval(), "3")


def _normalise(in_shape: tuple[int, int, int], generator: torch.Generator) -> Normalise:
    mean, std = torch.rand(2, in_shape[0], generator=generator).add(0.5).tolist()
    return Normalise(in_shape, mean, std, torch.randperm(in_shape[0], generator=generator).tolist())


EXAMPLES: dict[str, Example] = {
    "Identity": lambda in_shape, generator: Identity(in_shape),
    "Mask": _mask,
    "Mask (shared)": _shared_mask,
    "LanczosDownsampler": _lanczos,
    "FiniteDifferences": lambda in_shape, generator: FiniteDifferences(in_shape),
    "GuidedInput": lambda in_shape, generator: GuidedInput(torch.rand(in_shape, generator=generator)),
    "FeatureMap": _features,
    "Normalise": _normalise,
    "Activation": lambda in_shape, generator: Activation(in_shape, 0),
    "Activation (one)": lambda in_shape, generator: Activation(in_shape, (0, 1, 1)),
    "Mosaic": lambda in_shape, generator: Mosaic((3, *in_shape[1:])),
    "ColourMatrix": lambda in_shape, generator: ColourMatrix(in_shape, torch.rand(2, in_shape[0], generator=generator)),
    "Grayscale": lambda in_shape, generator: Grayscale((3, *in_shape[1:])),
    "ExpectedClip": lambda in_shape, generator: ExpectedClip(in_shape, 0.2),
    "Saturation": lambda in_shape, generator: Saturation(in_shape, 0.6),
    "Saturation (smooth)": lambda in_shape, generator: Saturation(in_shape, 0.6, 0.1),
    "Gamma": lambda in_shape, generator: Gamma(in_shape),
    "JPEG": lambda in_shape, generator: JPEG(in_shape, 10, 0.5),
}
