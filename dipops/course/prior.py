"""Lesson 5: the deep image prior."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from dipops._tools.seeds import SeededDraws
from dipops.course.checks import expect, expect_equal, expect_first, falling_curve, levels, random_image, random_seed

_SHAPE = (1, 3, 16, 16)
_STEPS, _FEW = 150, 10


def parameters(answer: Any) -> None:
    """How many numbers a network learns."""
    with SeededDraws(random_seed()):
        channels = 5 + int(20 * random_image(1))
        layers = nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.Conv2d(channels, 2, 1, bias=False)
        network = nn.Sequential(*layers)
    network[0].bias.requires_grad_(False)  # pyright: ignore[reportOptionalMemberAccess]
    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    with_frozen = sum(parameter.numel() for parameter in network.parameters())
    answer_count = answer(network)
    expect(int(answer_count) != with_frozen, "parameters that are frozen do not count")
    expect_equal(answer_count, float(count), "the count")


def fit(answer: Any) -> None:
    """The loop of the deep image prior: fit a network to one image, and give its output."""
    with SeededDraws(random_seed()):
        network = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(16, 3, 1), nn.Sigmoid())
    network.double()
    z, y = random_image(1, 4, 16, 16), 0.2 + 0.6 * random_image(*_SHAPE, seed=1)
    copies = [deepcopy(network) for _ in range(3)]
    image = answer(network, z, y, _STEPS)
    expect(isinstance(image, torch.Tensor), f"return the image that the network gives, not a {type(image).__name__}")
    expect(tuple(image.shape) == _SHAPE, f"the image has shape {tuple(image.shape)} instead of {_SHAPE}")
    before = copies[0].state_dict()
    changed = any(not value.equal(before[name]) for name, value in network.state_dict().items())
    expect(changed, "the weights of the network did not move: does the optimiser have them?")
    expect(not image.requires_grad, "the image that is returned is still part of the graph: detach it")
    error, best = (float((output - y).square().mean()) for output in (image, _outputs(copies[0], z, y, _STEPS)[-1]))
    advice = "is the gradient set to zero in each step, and is it Adam at 0.01?"
    expect(error < 1.25 * best, f"{_STEPS} steps left an error of {error:.3g}, and {best:.3g} is possible: {advice}")
    with torch.no_grad():
        expect(float((image - network(z)).abs().max()) < 0.1, "what is returned is not the output of the network for z")
    # After many steps a loss of another scale leads elsewhere, by rounding and by the epsilon of Adam.
    early = answer(copies[1], z, y, _FEW)
    nearest = min(float((early - output).abs().max()) for output in _outputs(copies[2], z, y, _FEW)[-2:])
    expect(nearest < 0.018, f"that is not where Adam at 0.01 leads in {_FEW} steps")


def _outputs(network: nn.Module, z: torch.Tensor, y: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """The outputs before each step, and after the last."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    outputs = []
    for _ in range(steps):
        optimizer.zero_grad()
        outputs.append(network(z))
        (0.5 * (outputs[-1] - y).square().sum()).backward()
        optimizer.step()
    return [output.detach() for output in (*outputs, network(z))]


def average(answer: Any) -> None:
    """The exponential average of images, from the first on."""
    images = [random_image(1, 1, 2, 3, seed=k) for k in range(6)]
    mean = images[0]
    for image in images[1:]:
        mean = 0.8 * mean + 0.2 * image
    expect_equal(answer(images, 0.8), mean, "the average")
    expect_equal(answer([images[3]], 0.99), images[3], "the average of one image")


def impedance(answer: Any) -> None:
    """The first step at which a falling curve reaches a level."""
    curve = falling_curve()
    for level in levels(curve):
        step = next((step for step, value in enumerate(curve, 1) if value <= level), None)
        expect_first(answer(torch.tensor(curve, dtype=torch.float64), level), step, "the curve reaches the level")
    below = answer(torch.tensor(curve, dtype=torch.float64), 0.5 * min(curve))
    expect(below is None, "where the curve never reaches the level, return None")
