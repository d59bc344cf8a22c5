"""Lesson 8: a degradation of one's own."""

from collections.abc import Mapping
from typing import Any

import torch

from dipops import images
from dipops.comparison import Comparison
from dipops.course.checks import Check, lawful, made, picture, require
from dipops.course.ill_posed import Blur
from dipops.metrics import psnr
from dipops.operators.elementary import Identity, Mask
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.operators.resampling import LanczosDownsampler
from dipops.problem import Problem
from dipops.recipes import Recipe

_SHAPE = (3, 9, 13)
_GAIN = 1.0


def operator(answer: Any) -> None:
    """Any degradation of colour pictures that keeps every law, of any size, and that takes something away."""
    one, other = (lawful(made(answer, shape)) for shape in (_SHAPE, (3, 10, 14)))
    for found, shape in ((one, _SHAPE), (other, (3, 10, 14))):
        require(found.in_shape == shape, f"its in_shape is {found.in_shape}, and it was made for {shape}")
    x = picture(1, *_SHAPE)
    y = one.double()(x)
    require(tuple(y.shape) != tuple(x.shape) or float((y - x).norm()) > 0.01 * float(x.norm()), "it takes nothing away")
    require(float((y - one(picture(1, *_SHAPE, seed=1))).norm()) > 1e-6, "it gives the same for every picture")


def restore(answer: Any) -> None:
    """A picture that is nearer to the truth than the measurement, found without it."""
    truth = images.photograph()[:, 150:214, 60:124]
    noisy = Problem.simulate(Identity(truth.shape), truth, 0.1, seed=3)
    blind = Problem(noisy.operator, noisy.y, sigma=noisy.sigma)
    came = answer(blind)
    require(isinstance(came, torch.Tensor), f"return a picture, not a {type(came).__name__}: the image of a result")
    require(came.numel() == truth.numel(), f"the picture has shape {tuple(came.shape)} instead of {tuple(noisy.y.shape)}")
    gain = float(psnr(came.reshape(noisy.y.shape).clamp(0, 1), truth[None])) - float(psnr(noisy.y.clamp(0, 1), truth[None]))
    require(gain > _GAIN, f"that gains {gain:.2f} dB on the measurement, and {_GAIN:g} is wanted")


def fair(answer: Any) -> None:
    """A comparison of at least three priors, where a weight was chosen without the truth."""
    blurred = Problem.simulate(Blur((1, 32, 32)), images.portrait(32).mean(0, keepdim=True), 0.02)
    comparison, weights = answer(blurred)
    require(isinstance(comparison, Comparison), "return what compare gives, and the weights by the names of their priors")
    require(comparison.problem.y.equal(blurred.y), "that compares on another problem than the one handed over")
    pictures = [result.image for result in comparison.results.values()]
    apart = [one for k, one in enumerate(pictures) if not any(one.equal(other) for other in pictures[:k])]
    require(len(apart) >= 3, f"{len(apart)} different answers are compared, and three are wanted")
    require(isinstance(weights, Mapping) and weights, "the second part names each tuned prior: {name: what tune gave}")
    require(set(weights) <= set(comparison.results), "a prior was tuned that is not among those compared")
    for name, tuned in weights.items():
        require(hasattr(tuned, "uses_truth"), f"{name} was not tuned by a rule: hand over what tune returned")
        require(not tuned.uses_truth, f"the weight of {name} was chosen by the truth: choose a rule that does not look")
        require(isinstance(tuned.recipe, Recipe), f"{name} has no recipe: hand over what tune returned")
        near = torch.allclose(comparison.results[name].image, tuned.result.image, atol=0.01)
        require(near, f"what was compared as {name} is not what tune found")


def explain(answer: Any) -> None:
    """How many numbers a picture has that a measurement does not tell: the dimension of the null space."""
    for problem, hidden in ((Blur((1, 6, 9)), 0), (_half(), 30), (LanczosDownsampler((1, 6, 8), 2), 36)):
        came = int(answer(problem))
        require(came >= 0, "a dimension is not negative")
        require(came == hidden, f"of {problem!r} it says {came}")


def _half() -> LinearOrDifferentiableOperator:
    mask = torch.ones(6, 10)
    mask[:, ::2] = 0
    return Mask(mask, 1)


EXERCISES: dict[str, Check] = {"operator": operator, "explain": explain, "restore": restore, "fair": fair}
