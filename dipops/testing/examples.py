"""A small example of every elementary operator, made from a seed, one row each; all tests of operators use them.

A new operator adds its row here and inherits every law, every random expression and every mutation test.
"""

from collections.abc import Callable
from math import prod

import torch
from torch import nn

from dipops._tools.seeds import SeededDraws
from dipops.operators import (
    JPEG,
    Activation,
    Blur,
    ColourMatrix,
    Crop,
    Diagonal,
    ExpectedClip,
    FeatureMap,
    FiniteDifferences,
    Fourier,
    Gamma,
    Grayscale,
    GuidedInput,
    Identity,
    LanczosDownsampler,
    LinearOrDifferentiableOperator,
    Mask,
    Matrix,
    Modulus,
    Mosaic,
    Normalise,
    Pad,
    Radon,
    RandomMeasurements,
    Resize,
    Saturation,
    Shift,
    Warp,
)
from dipops.operators.columns import ColumnOperator

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


def _separable_blur(in_shape: tuple[int, int, int], generator: torch.Generator) -> Blur:
    column, row = torch.randn(2, 2, generator=generator)
    return Blur(in_shape, torch.outer(column, row), "reflect", factor=2)


def _large_blur(in_shape: tuple[int, int, int], generator: torch.Generator) -> Blur:
    channels, height, width = in_shape
    return Blur((channels, height + 4, width + 4), torch.randn(6, 5, generator=generator), "circular")


def _resize(in_shape: tuple[int, int, int], generator: torch.Generator) -> Resize:
    channels, height, width = in_shape
    return Resize(in_shape, (channels, height + 1, max(1, width - 2)))


def _matrix(in_shape: tuple[int, int, int], generator: torch.Generator) -> Matrix:
    return Matrix(torch.randn(5, prod(in_shape), generator=generator), in_shape)


def _fourier(in_shape: tuple[int, int, int], generator: torch.Generator) -> Fourier:
    samples = torch.rand(in_shape[1:], generator=generator) < 0.5
    samples[0, 0] = True
    return Fourier(in_shape, samples, torch.randn(2, *in_shape[1:], generator=generator, dtype=torch.complex64))


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


def _columns(in_shape: tuple[int, int, int], generator: torch.Generator) -> ColumnOperator:
    """A sparse matrix of SciPy, of three diagonals, on each channel."""
    from scipy.sparse import dia_array
    from scipy.sparse.linalg import aslinearoperator

    _, height, width = in_shape
    diagonals = torch.randn(3, height * width, generator=generator, dtype=torch.float64).numpy()
    matrix = dia_array((diagonals, [0, 1, -width]), shape=(height * width, height * width))
    return ColumnOperator(aslinearoperator(matrix), in_shape, in_shape, "ColumnOperator")


def _warp(in_shape: tuple[int, int, int], generator: torch.Generator) -> Warp:
    return Warp(in_shape, 2 * torch.randn(2, *in_shape[1:], generator=generator))


EXAMPLES: dict[str, Example] = {
    "Identity": lambda in_shape, generator: Identity(in_shape),
    "Mask": _mask,
    "Mask (shared)": _shared_mask,
    "LanczosDownsampler": _lanczos,
    "Resize": _resize,
    "Blur": lambda in_shape, generator: Blur(in_shape, torch.randn(2, 2, generator=generator), "zeros"),
    "Blur (separable)": _separable_blur,
    "Blur (large)": _large_blur,
    "Crop": lambda in_shape, generator: Crop(in_shape, (in_shape[1], in_shape[2] - 1), (0, 0)),
    "Pad": lambda in_shape, generator: Pad(in_shape, (1, 0, 2, 1), "reflect"),
    "Shift": lambda in_shape, generator: Shift(in_shape, (0.25, -1.5), "circular"),
    "Diagonal": lambda in_shape, generator: Diagonal(in_shape, torch.randn(in_shape[1:], generator=generator)),
    "Matrix": _matrix,
    "RandomMeasurements": lambda in_shape, generator: RandomMeasurements(in_shape, 3),
    "Fourier": _fourier,
    "Modulus": lambda in_shape, generator: Modulus((*in_shape, 2)),
    "FiniteDifferences": lambda in_shape, generator: FiniteDifferences(in_shape),
    "GuidedInput": lambda in_shape, generator: GuidedInput(torch.rand(in_shape, generator=generator)),
    "FeatureMap": _features,
    "Normalise": _normalise,
    "ColumnOperator": _columns,
    "Activation": lambda in_shape, generator: Activation(in_shape, 0),
    "Activation (one)": lambda in_shape, generator: Activation(in_shape, (0, 1, 1)),
    "Radon": lambda in_shape, generator: Radon(in_shape, 180 * torch.rand(3, generator=generator)),
    "Warp": _warp,
    "Mosaic": lambda in_shape, generator: Mosaic((3, *in_shape[1:])),
    "ColourMatrix": lambda in_shape, generator: ColourMatrix(in_shape, torch.rand(2, in_shape[0], generator=generator)),
    "Grayscale": lambda in_shape, generator: Grayscale((3, *in_shape[1:])),
    "ExpectedClip": lambda in_shape, generator: ExpectedClip(in_shape, 0.2),
    "Saturation": lambda in_shape, generator: Saturation(in_shape, 0.6),
    "Saturation (smooth)": lambda in_shape, generator: Saturation(in_shape, 0.6, 0.1),
    "Gamma": lambda in_shape, generator: Gamma(in_shape),
    "JPEG": lambda in_shape, generator: JPEG(in_shape, 10, 0.5),
}
