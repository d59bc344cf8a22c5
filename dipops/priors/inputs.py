"""The input z of a generator."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue, require_choice, require_integer, require_positive, safe_repr
from dipops.problem import Problem

MOST_OCTAVES = 20


class Input(Protocol):
    """Anything that makes the input z of a generator."""

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """z of shape (channels, *size) on the CPU; ``size`` is what the generator takes."""
        ...


Distribution = Literal["uniform", "normal"]


@dataclass(frozen=True)
class Noise:
    """Noise, uniform between 0 and ``scale`` (the paper's default) or normal with standard deviation ``scale``.

    Raises:
        BadValue: ``channels`` or ``scale`` is not positive, or the distribution unknown.
    """

    channels: int = 32
    scale: float = 0.1
    distribution: Distribution = "uniform"

    def __post_init__(self) -> None:
        require_choice("distribution", self.distribution, Distribution)
        require_integer("channels", self.channels, 1, "the paper's is Noise(32, 0.1)")
        require_positive("scale", self.scale, "a positive number", "the paper's is Noise(32, 0.1)")

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        draw = torch.rand if self.distribution == "uniform" else torch.randn
        return self.scale * draw(self.channels, *size, generator=generator, dtype=torch.float32)


@dataclass(frozen=True)
class Meshgrid:
    """Two channels, the coordinates across and down in [0, 1]: for large holes, where smoothness is wanted."""

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        down, across = (torch.linspace(0, 1, side, dtype=torch.float32) for side in size)
        return torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1])


@dataclass(frozen=True)
class FourierFeatures:
    """Sines and cosines of the coordinates u in [0, 1]: sin 2^k π u and cos 2^k π u for k below ``octaves``, across and down.

    Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions", NeurIPS 2020. 4 × ``octaves`` channels.

    Raises:
        BadValue: there is no octave, or more than float32 resolves.
    """

    octaves: int = 8

    def __post_init__(self) -> None:
        advice = "FourierFeatures(8) reaches details of two pixels at 256 pixels"
        if require_integer("octaves", self.octaves, 1, advice) > MOST_OCTAVES:
            raise BadValue(f"octaves = {self.octaves}", f"up to {MOST_OCTAVES}, which float32 resolves", advice)

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        coordinates = Meshgrid().sample(problem, size, generator)
        angles = torch.cat([2**octave * math.pi * coordinates for octave in range(self.octaves)])
        return torch.cat([angles.sin(), angles.cos()])


@dataclass(frozen=True)
class Guide:
    """The operator's guide, such as the flash photograph of GuidedInput.

    Raises:
        BadValue: on sampling, the operator has no guide, or one of another size than its images, or the generator takes
            an input smaller than the image.
    """

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        guide, shape = problem.operator.guide, problem.operator.in_shape
        if guide is None:
            raise BadValue(
                f"{safe_repr(problem.operator)}, which has no guide", "an operator with one", "use GuidedInput or Noise()"
            )
        if guide.ndim != 3 or guide.shape[1:] != shape[1:]:
            came = f"a guide of shape {tuple(guide.shape)} for images of {shape}"
            raise BadValue(came, f"(channels, {shape[1]}, {shape[2]})", "crop or resize it")
        height, width = guide.shape[1:]
        if size[0] < height or size[1] < width:
            came = f"a guide of {width} x {height} pixels for a generator with an input of {size[1]} x {size[0]}"
            raise BadValue(came, "an input of the image's size", "use Hourglass, or another input")
        return F.pad(guide.cpu(), (0, size[1] - width, 0, size[0] - height), mode="replicate")


@dataclass(frozen=True)
class Ramp:
    """A perturbation that goes linearly from ``first`` to ``last`` in ``steps`` steps and stays there.

    Let it fall: a rise that lifts the objective by 5 dB is taken for a fault of the descent.

    Raises:
        BadValue: there is no step; in the solve, a standard deviation is negative.
    """

    first: float
    last: float
    steps: int

    def __post_init__(self) -> None:
        require_integer("steps", self.steps, 1, "write Ramp(1 / 30, 0, 1000)")

    def __call__(self, step: int) -> float:
        """The standard deviation in a step, counted from 0."""
        return self.first + (self.last - self.first) * min(step / self.steps, 1)
