"""The operators that lessons use and answers are given; a submission's process has them too."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops.operators import DifferentiableOperator, LinearOperator


class Blur(LinearOperator):
    """An uneven horizontal blur across the border, (C, H, W) to (C, H, W + 2): it sees every image, and is hard to invert."""

    def __init__(self, in_shape: tuple[int, ...] = (1, 6, 8)) -> None:
        super().__init__(in_shape)
        self.kernel = torch.tensor([0.2, 0.5, 0.3]).expand(in_shape[0], 1, 1, 3).clone()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=(0, 2), groups=len(self.kernel))


class Trail(LinearOperator):
    """Every pixel leaves a trail to its right, of an uneven gain: it is not its own adjoint."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.gain = torch.linspace(0.5, 2, in_shape[-1], dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain + F.pad(x[..., :-1], (1, 0))

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.gain + F.pad(y[..., 1:], (0, 1))


class WrongAdjoint(LinearOperator):
    """An uneven gain whose adjoint is a multiple of what it should be."""

    def __init__(self, factor: float, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.factor = factor
        self.gain = torch.linspace(0.5, 2, in_shape[-1], dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain

    def adjoint(self, y: Tensor) -> Tensor:
        return self.factor * y * self.gain


class Saturating(DifferentiableOperator):
    """A smooth sensor that saturates: y = 1 - exp(-2x), of neighbours together."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - torch.exp(-x - x.roll(1, -1))


def fine_blur(x: Tensor) -> Tensor:
    """A horizontal blur of three pixels, with borders repeated: (N, C, H, W) to the same."""
    padded = F.pad(x, (1, 1, 0, 0), mode="replicate")
    return (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
