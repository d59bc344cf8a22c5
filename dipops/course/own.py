"""Lesson 8: a degradation of one's own."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from dipops import images
from dipops.course.checks import expect, instance_of, random_image, random_seed, require_valid_operator
from dipops.course.operators import Blur
from dipops.metrics import psnr
from dipops.operators import Identity, LanczosDownsampler, LinearOperator, Mask
from dipops.priors import Prior, Tikhonov, TotalVariation
from dipops.problem import Problem
from dipops.tune import SURE, Discrepancy, LCurve, Rule, tune

_SHAPE = (3, 9, 13)
_GAIN, _LEAST_LOSS = 1.0, 0.9
_PRIORS: dict[str, Callable[[float], Prior]] = {"TotalVariation": TotalVariation, "Tikhonov": Tikhonov}
_SPANS = {"LCurve": 30.0}
"""How far around a weight a rule has to look: a curve has no corner between two points."""
_RULES: dict[str, Callable[[], Rule]] = {"Discrepancy": Discrepancy, "SURE": SURE, "LCurve": LCurve}


def operator(answer: Any) -> None:
    """Any degradation of colour images of any size that keeps every law and takes something away."""
    degradations = {shape: require_valid_operator(instance_of(answer, shape)) for shape in (_SHAPE, (3, 10, 14))}
    for shape, degradation in degradations.items():
        expect(degradation.in_shape == shape, f"its in_shape is {degradation.in_shape}, and it was made for {shape}")
    degradation = degradations[_SHAPE].double()
    x = random_image(1, *_SHAPE)
    y = degradation(x)
    values = torch.linalg.svdvals(degradation.linearize(x).matrix())
    advice = "every image can be recovered from what it gives"
    expect(y.numel() < x.numel() or values[-1] < _LEAST_LOSS * values[0], f"it takes nothing away: {advice}")
    other = degradation(random_image(1, *_SHAPE, seed=1))
    expect(float((y - other).norm()) > 1e-6, "it gives the same for every image")


def restore(answer: Any) -> None:
    """An image that is closer to the ground truth than the measurement, found without the ground truth."""
    truth = _scene(64)
    noisy = Problem.simulate(Identity(truth.shape), truth, 0.1, seed=random_seed())
    image = answer(Problem(noisy.operator, noisy.y, noisy.noise))
    expect(isinstance(image, torch.Tensor), f"return an image, not a {type(image).__name__}: the image of a result")
    expect(image.numel() == truth.numel(), f"the image has shape {tuple(image.shape)} instead of {tuple(noisy.y.shape)}")
    restored, measured = (float(psnr(x.reshape(truth.shape).clamp(0, 1), truth)) for x in (image, noisy.y))
    gain = restored - measured
    expect(gain > _GAIN, f"that gains {gain:.2f} dB on the measurement; more than {_GAIN:g} dB is needed")
    for axis, steps in ((-1, 1), (-1, -1), (-2, 1), (-2, -1)):
        moved = image.reshape(truth.shape).clamp(0, 1).roll(steps, axis)
        expect(float(psnr(moved, truth)) < restored, f"it is shifted along axis {axis}: one pixel back it is nearer")


def fair(answer: Any) -> None:
    """A comparison of at least three priors, where a weight was chosen without the ground truth."""
    truth = _scene(32).mean(0, keepdim=True)
    blurred = Problem.simulate(Blur((1, 32, 32)), truth, 0.02, seed=random_seed())
    problem = Problem(blurred.operator, blurred.y, blurred.noise)
    both = answer(problem)
    is_pair = isinstance(both, list | tuple) and len(both) == 2 and all(isinstance(part, Mapping) for part in both)
    expect(is_pair, "return two dictionaries: the images, and what was tuned")
    restored, tuned = both
    _expect_restorations(problem, restored)
    expect(tuned, "the second dictionary is empty: give prior, rule and weight of at least one tuned prior")
    expect(set(tuned) <= set(restored), "a prior was tuned that is not among those compared")
    for name, choice in tuned.items():
        _expect_tuned(problem, name, choice, restored[name])


def _expect_restorations(problem: Problem, restored: Mapping[str, Any]) -> None:
    """At least three images that differ, each a restoration of the problem."""
    for name, image in restored.items():
        expect(isinstance(image, torch.Tensor), f"{name} is a {type(image).__name__}, not an image")
        expect(image.numel() == 32 * 32, f"the image of {name} has shape {tuple(image.shape)}")
        residual = problem.operator(image.detach().float().view(1, 1, 32, 32)) - problem.y
        expect(residual.norm() < 0.2 * problem.y.norm(), f"{name} does not fit y: ‖Ax - y‖ has to be below 0.2 ‖y‖")
    compared = list(restored.values())
    different = [image for k, image in enumerate(compared) if not any(torch.equal(image, other) for other in compared[:k])]
    expect(len(different) >= 3, f"{len(different)} different images are compared, and three are wanted")


def _expect_tuned(problem: Problem, name: str, choice: Any, image: torch.Tensor) -> None:
    """The weight is the one that the rule chooses, and the image the one of that weight."""
    is_triple = isinstance(choice, list | tuple) and len(choice) == 3
    expect(is_triple, f'say ("TotalVariation", "Discrepancy", weight) for {name}: the prior, the rule and the weight')
    prior, rule, weight = choice
    expect(prior in _PRIORS, f"the prior of {name} is none of {', '.join(_PRIORS)}")
    expect(rule != "Oracle", f"the weight of {name} was chosen by the ground truth: choose another rule")
    expect(rule in _RULES, f"the rule of {name} is none of {', '.join(_RULES)}")
    expect(0 < float(weight) < float("inf"), f"the weight of {name} is not a positive number")
    around = _SPANS.get(rule, 2.0)
    bounds = float(weight) / around, float(weight) * around
    chosen = tune(problem, _PRIORS[prior], _RULES[rule](), weights=bounds, progress=False)
    expect(0.7 < float(weight) / chosen.weight < 1.4, f"{rule} chooses another weight for {name} than {float(weight):.3g}")
    near = (image.detach().float().flatten() - chosen.result.image.flatten()).norm() < 0.02 * chosen.result.image.norm()
    expect(near, f"what was compared as {name} is not the minimum at its weight")


def _scene(side: int) -> torch.Tensor:
    """A random mixture of two crops of photographs, (3, side, side), that can be looked up nowhere."""
    photograph = images.photograph()
    places = (random_image(2, 2, seed=11) * (min(photograph.shape[1:]) - side)).long().tolist()
    one, other = (photograph[:, row : row + side, column : column + side] for row, column in places)
    share = 0.6 + 0.2 * float(random_image(1, seed=12))
    return share * one + (1 - share) * other.flip(-1)


def explain(answer: Any) -> None:
    """How many numbers of an image a measurement does not tell: the dimension of the null space."""
    hidden_pixels = random_image(6, 10, seed=13) > 0.5
    rows, columns = (4 + (3 * random_image(2, seed=14)).long()).tolist()
    degradations: tuple[tuple[LinearOperator, int], ...] = (
        (Blur((1, 6, 5 + rows)), 0),
        (Mask(~hidden_pixels, 1), int(hidden_pixels.sum())),
        (LanczosDownsampler((1, 2 * rows, 2 * columns), 2), 3 * rows * columns),
    )
    for degradation, hidden in degradations:
        dimension = int(answer(degradation))
        expect(dimension >= 0, "a dimension is not negative")
        rank = math.prod(degradation.in_shape) - hidden
        expect(dimension == hidden or dimension != rank, "that is the rank: how many numbers it does tell")
        expect(dimension == hidden, f"for {degradation!r} it gives {dimension}")
