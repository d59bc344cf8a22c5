"""Lesson 8: a degradation of one's own."""

from collections.abc import Mapping
from typing import Any

import torch

from dipops import images
from dipops.comparison import Comparison
from dipops.course.checks import expect, instance_of, random_image, require_valid_operator
from dipops.course.ill_posed import Blur
from dipops.metrics import psnr
from dipops.operators import Identity, LanczosDownsampler, Mask
from dipops.problem import Problem
from dipops.tune import Tuned

_SHAPE = (3, 9, 13)
_GAIN = 1.0


def operator(answer: Any) -> None:
    """Any degradation of colour images of any size that keeps every law and takes something away."""
    degradations = {shape: require_valid_operator(instance_of(answer, shape)) for shape in (_SHAPE, (3, 10, 14))}
    for shape, degradation in degradations.items():
        expect(degradation.in_shape == shape, f"its in_shape is {degradation.in_shape}, and it was made for {shape}")
    degradation = degradations[_SHAPE].double()
    x = random_image(1, *_SHAPE)
    y = degradation(x)
    expect(tuple(y.shape) != tuple(x.shape) or float((y - x).norm()) > 0.01 * float(x.norm()), "it takes nothing away")
    other = degradation(random_image(1, *_SHAPE, seed=1))
    expect(float((y - other).norm()) > 1e-6, "it gives the same for every image")


def restore(answer: Any) -> None:
    """An image that is closer to the ground truth than the measurement, found without the ground truth."""
    truth = images.photograph()[:, 150:214, 60:124]
    noisy = Problem.simulate(Identity(truth.shape), truth, 0.1, seed=3)
    image = answer(Problem(noisy.operator, noisy.y, noisy.noise))
    expect(isinstance(image, torch.Tensor), f"return an image, not a {type(image).__name__}: the image of a result")
    expect(image.numel() == truth.numel(), f"the image has shape {tuple(image.shape)} instead of {tuple(noisy.y.shape)}")
    restored, measured = (float(psnr(x.reshape(truth.shape).clamp(0, 1), truth)) for x in (image, noisy.y))
    gain = restored - measured
    expect(gain > _GAIN, f"that gains {gain:.2f} dB on the measurement, and {_GAIN:g} dB are wanted")


def fair(answer: Any) -> None:
    """A comparison of at least three priors, where a weight was chosen without the ground truth."""
    blurred = Problem.simulate(Blur((1, 32, 32)), images.portrait(32).mean(0, keepdim=True), 0.02)
    comparison, tuned_priors = answer(blurred)
    expect(isinstance(comparison, Comparison), "return what compare gives, and the weights by the names of their priors")
    expect(comparison.problem.y.equal(blurred.y), "that compares on another problem than the one handed over")
    compared = [result.image for result in comparison.results.values()]
    different = [image for k, image in enumerate(compared) if not any(image.equal(other) for other in compared[:k])]
    expect(len(different) >= 3, f"{len(different)} different images are compared, and three are wanted")
    is_table = isinstance(tuned_priors, Mapping) and tuned_priors
    expect(is_table, "the second part names each tuned prior: {name: what tune gave}")
    expect(set(tuned_priors) <= set(comparison.results), "a prior was tuned that is not among those compared")
    for name, tuned in tuned_priors.items():
        expect(isinstance(tuned, Tuned), f"{name} was not tuned by a rule: hand over what tune returned")
        expect(not tuned.rule.uses_truth, f"the weight of {name} was chosen by the ground truth: choose another rule")
        near = torch.allclose(comparison.results[name].image, tuned.result.image, atol=0.01)
        expect(near, f"what was compared as {name} is not what tune found")


def explain(answer: Any) -> None:
    """How many numbers of an image a measurement does not tell: the dimension of the null space."""
    every_other = (torch.arange(60) % 2).view(6, 10)
    for degradation, hidden in ((Blur((1, 6, 9)), 0), (Mask(every_other, 1), 30), (LanczosDownsampler((1, 6, 8), 2), 36)):
        dimension = int(answer(degradation))
        expect(dimension >= 0, "a dimension is not negative")
        expect(dimension == hidden, f"for {degradation!r} it gives {dimension}")


EXERCISES = (operator, explain, restore, fair)
