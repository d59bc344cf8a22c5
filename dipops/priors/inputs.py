"""What a generator is fed with: the fixed z of g(θ) = network(z)."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.errors import BadValue
from dipops.problem import Problem


class Input(Protocol):
    """Anything that makes the input z of a generator."""

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """z of shape (channels, *size) on the CPU; ``size`` is the picture's, padded for the generator."""
        ...


@dataclass(frozen=True)
class Noise:
    """Uniform noise between 0 and ``scale``: the paper's default.

    Raises:
        BadValue: ``channels`` or ``scale`` is not positive.
    """

    channels: int = 32
    scale: float = 0.1

    def __post_init__(self) -> None:
        if self.channels < 1 or not self.scale > 0:
            raise BadValue(f"{self}", "at least one channel and a positive scale", "the paper's is Noise(32, 0.1)")

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return self.scale * torch.rand(self.channels, *size, generator=generator)


@dataclass(frozen=True)
class Meshgrid:
    """Two channels, the coordinates across and down in [0, 1]: for large holes, where smoothness is wanted."""

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        down, across = (torch.linspace(0, 1, side) for side in size)
        return torch.stack(torch.meshgrid(down, across, indexing="ij")[::-1])


@dataclass(frozen=True)
class Guide:
    """The operator's guide, such as the flash photograph of GuidedInput."""

    def sample(self, problem: Problem, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        guide = problem.operator.guide
        if guide is None:
            raise BadValue(f"{problem.operator!r}, which has no guide", "an operator with one", "use GuidedInput or Noise()")
        height, width = guide.shape[-2:]
        return F.pad(guide.cpu(), (0, size[1] - width, 0, size[0] - height), mode="replicate")
