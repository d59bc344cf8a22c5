"""Contestants that see an image through a frozen network: pre-images of its layers, and images that activate its units."""

from pathlib import Path

import torch

from dipops import recipes
from dipops.operators import Activation
from dipops.operators.networks import AlexNet, ImageNetwork, SqueezeNet
from dipops.paper import preimages
from dipops.paper.config import RunConfig
from dipops.paper.contestants import ANSWER, Contestant, Outcome, Restore
from dipops.priors import NoPrior, PixelPrior, TotalVariation
from dipops.problem import Problem

Network = type[AlexNet] | type[SqueezeNet]
_WEIGHTS = {AlexNet: "alexnet_bvlc_conv_q7.npz", SqueezeNet: "squeezenet10_deepcompressed.npz"}
_LAYERS = {
    **dict.fromkeys(("conv1", "conv2", "conv3", "conv4", "conv5", "pool5"), AlexNet),
    **dict.fromkeys(("fire9", "conv_final"), SqueezeNet),
}
_UNITS = {
    "guenon": (SqueezeNet, "conv_final", 370),
    "goldfish": (SqueezeNet, "conv_final", 1),
    "conv3, channel 7": (AlexNet, "conv3", 7),
    "conv5, channel 40": (AlexNet, "conv5", 40),
}
_PRIORS: dict[str, PixelPrior | None] = {"DIP": None, "TV": TotalVariation(preimages.TV_WEIGHT), "none": NoPrior()}


def _load(network: Network, data: Path) -> ImageNetwork:
    return network.load(data / "weights" / _WEIGHTS[network])


def _inversion(network: Network, layer: str, prior: str) -> Contestant:
    """The pre-image of a layer: its relative error, and the probability that SqueezeNet gives to the photo's class."""
    recipe = recipes.preimage(_PRIORS[prior])

    def restore(problem: Problem, config: RunConfig, seed: int, data: Path, progress: bool) -> Outcome:
        photo, steps = problem.y[0], config.steps_of(recipe.steps)
        classifier = _load(SqueezeNet, data).at("scores", photo.shape).to(photo)
        (preimage,) = preimages.preimages(
            photo, _load(network, data), [layer], {prior: recipe}, classifier, steps=steps, seed=seed, progress=progress
        )
        assert preimage.probability is not None
        scores = {"error": preimage.error, "probability": preimage.probability}
        return Outcome({ANSWER: preimage.image[None]}, {"steps": preimage.steps}, scores)

    return _contestant(restore, network, f"{network.__name__}, {layer}, {recipe!r}")


def _maximisation(prior: str, network: Network, layer: str, unit: int) -> Contestant:
    """An image that activates a unit: the response as a share of the target, and what SqueezeNet sees in the image."""

    def recipe_of(activation: Activation) -> recipes.Recipe:
        return recipes.maximise(activation, _PRIORS[prior])

    def restore(problem: Problem, config: RunConfig, seed: int, data: Path, progress: bool) -> Outcome:
        loaded = _load(network, data)
        maximised = preimages.activation_maximisation(loaded, layer, unit).to(problem.y)
        recipe = recipe_of(Activation(loaded.at(layer).out_shape, unit))
        result = recipe.solve(maximised, seed, config.steps_of(recipe.steps), progress=progress)
        image = result.image.clamp(0, 1)
        classifier = _load(SqueezeNet, data).at("scores").to(image)
        with torch.no_grad():
            response, probabilities = float(maximised.operator(image)), classifier(image).softmax(1)[0]
        facts = {"steps": result.steps, "class": int(probabilities.argmax())}
        return Outcome({ANSWER: image}, facts, {"response": response, "probability": float(probabilities.max())})

    recipe = recipe_of(Activation((unit + 1, 1, 1), unit))
    return _contestant(restore, network, f"{network.__name__}, {layer}, {unit}, {recipe!r}")


def _contestant(restore: Restore, network: Network, settings: str) -> Contestant:
    weights = (_WEIGHTS[network], _WEIGHTS[SqueezeNet])
    return Contestant(restore, lambda _: settings, is_random=True, weights=weights)


INVERSIONS = {f"{layer}, {prior}": _inversion(network, layer, prior) for layer, network in _LAYERS.items() for prior in _PRIORS}
MAXIMISATIONS = {f"{name}, {prior}": _maximisation(prior, *unit) for name, unit in _UNITS.items() for prior in ("DIP", "TV")}
