"""Lesson 5: the deep image prior."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from dipops.course.checks import Check, picture, require, require_step, same

_SHAPE = (1, 3, 16, 16)
_STEPS = 150


def parameters(answer: Any) -> None:
    """How many numbers a network learns."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1, bias=False))
    network[0].bias.requires_grad_(False)  # pyright: ignore[reportOptionalMemberAccess]
    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in network.parameters())
    came = answer(network)
    require(int(came) != whole, "parameters that are frozen do not count")
    same(came, float(count), "the count")


def fit(answer: Any) -> None:
    """The loop of the deep image prior: fit a network to one picture, and give its output."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(16, 3, 1), nn.Sigmoid())
    z, y = picture(1, 4, 16, 16).float(), 0.2 + 0.6 * picture(*_SHAPE, seed=1).float()
    before = deepcopy(network.state_dict())
    expected = _fitted(deepcopy(network), z, y)
    came = answer(network, z, y, _STEPS)
    require(isinstance(came, torch.Tensor), f"return the picture that the network makes, not a {type(came).__name__}")
    require(tuple(came.shape) == _SHAPE, f"the picture has shape {tuple(came.shape)} instead of {_SHAPE}")
    changed = any(not value.equal(before[name]) for name, value in network.state_dict().items())
    require(changed, "the weights of the network did not move: does the optimiser have them?")
    require(not came.requires_grad, "what is returned still hangs on the graph: detach it")
    error, best = float((came - y).square().mean()), float((expected - y).square().mean())
    advice = "is the gradient zeroed in each step, and is it Adam at 0.01?"
    require(error < 1.1 * best, f"{_STEPS} steps left an error of {error:.3g}, and {best:.3g} is to be had: {advice}")
    with torch.no_grad():
        require(float((came - network(z)).abs().max()) < 0.1, "what is returned is not what the network makes of z")
    require(float((came - expected).abs().max()) < 0.05, f"that is not where Adam at 0.01 leads in {_STEPS} steps")


def _fitted(network: nn.Module, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        (0.5 * (network(z) - y).square().sum()).backward()
        optimizer.step()
    return network(z).detach()


def average(answer: Any) -> None:
    """The exponential average of pictures, from the first on."""
    pictures = [picture(1, 1, 2, 3, seed=k) for k in range(6)]
    mean = pictures[0]
    for one in pictures[1:]:
        mean = 0.8 * mean + 0.2 * one
    same(answer(list(pictures), 0.8), mean, "the average")
    same(answer([pictures[3]], 0.99), pictures[3], "the average of one picture")


def impedance(answer: Any) -> None:
    """The first step at which a falling curve reaches a level."""
    curve = torch.tensor([9.0, 5.0, 4.0, 4.5, 2.0, 1.0])
    for level, step in ((9.0, 1), (4.2, 3), (2.0, 5), (1.5, 6)):
        came = answer(curve, level)
        require(came is not None, "it returns None where the curve gets there")
        require_step(came, step, f"level {level:g} is reached at another step than {int(came)}")
    require(answer(curve, 0.5) is None, "where the curve never gets there, return None")


EXERCISES: dict[str, Check] = {"parameters": parameters, "fit": fit, "average": average, "impedance": impedance}
