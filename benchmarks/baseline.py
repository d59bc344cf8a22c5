"""The loop that speed is compared with: the paper's hourglass in plain layers, fitted as a notebook does it.

Float32, one step after the other, every layer a module of its own, the score read back and computed in NumPy at each step.
"""

import numpy as np
import torch
from torch import Tensor, nn


class Branches(nn.Module):
    """The outputs of two branches of one input, the shallow one first."""

    def __init__(self, shallow: nn.Module, deep: nn.Module) -> None:
        super().__init__()
        self.shallow, self.deep = shallow, deep

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.shallow(x), self.deep(x)], dim=1)


def hourglass(inputs: int = 32, outputs: int = 3, width: int = 128, skip: int = 4, scales: int = 5) -> nn.Module:
    """The paper's network: 2 217 831 parameters by default."""

    def block(source: int, target: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        border = [nn.ReflectionPad2d(kernel // 2)] if kernel > 1 else []
        return [*border, nn.Conv2d(source, target, kernel, stride), nn.BatchNorm2d(target), nn.LeakyReLU(0.2, inplace=True)]

    def scale(source: int, below: int) -> nn.Module:
        inner = [scale(width, below - 1)] if below else []
        up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        deep = nn.Sequential(*block(source, width, 3, 2), *block(width, width, 3), *inner, up)
        joined = Branches(nn.Sequential(*block(source, skip, 1)), deep)
        return nn.Sequential(joined, nn.BatchNorm2d(width + skip), *block(width + skip, width, 3), *block(width, width, 1))

    return nn.Sequential(scale(inputs, scales - 1), nn.Conv2d(width, outputs, 1), nn.Sigmoid())


def denoise(y: Tensor, truth: Tensor, steps: int, seed: int = 0) -> list[float]:
    """PSNR of the average after each step; y and truth (1, 3, H, W)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = hourglass().to(y)
        z = torch.rand(1, 32, *y.shape[2:]).mul_(0.1).to(y)
        optimizer, loss = torch.optim.Adam(network.parameters(), lr=0.01), nn.MSELoss()
        average, scores, true = None, [], truth.cpu().numpy()
        for _ in range(steps):
            optimizer.zero_grad()
            out = network(z + torch.randn_like(z) / 30)
            average = out.detach() if average is None else 0.99 * average + 0.01 * out.detach()
            total = loss(out, y)
            total.backward()
            optimizer.step()
            total.item()
            scores.append(float(-10 * np.log10(np.mean((average.cpu().numpy() - true) ** 2))))
    return scores
