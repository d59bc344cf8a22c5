"""What layers know, measured: ``python -m benchmarks.features [PART ...]`` with DIPOPS_DATA naming images and weights.

Weights of TV are compared on the building; the monkey is inverted with the best of them. Then
``python -m benchmarks.features_report`` makes the tables and figures.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.crops import DATA
from benchmarks.harness import RESULTS, Task, chosen, run
from dipops import NoPrior, TotalVariation, images, recipes
from dipops.operators import Activation
from dipops.operators.networks import AlexNet, ImageNetwork, SqueezeNet
from dipops.paper import preimages
from dipops.paper.preimages import TV_WEIGHT
from dipops.priors.interface import PixelPrior

NETWORKS = {"AlexNet": (AlexNet, "alexnet_bvlc_conv_q7.npz"), "SqueezeNet": (SqueezeNet, "squeezenet10_deepcompressed.npz")}
LAYERS = {"AlexNet": ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5"), "SqueezeNet": ("fire9", "conv_final")}
IMAGES = RESULTS / "images"
PRIORS = ("DIP", "TV", "none")
WEIGHTS = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
TUNED_ON = ("conv2", "conv4", "pool5")
UNITS = {
    "guenon": ("SqueezeNet", "conv_final", 370),
    "conv3, channel 7": ("AlexNet", "conv3", 7),
    "conv5, channel 40": ("AlexNet", "conv5", 40),
}
TUNING_STEPS, MAXIMISING_STEPS = 1000, 300
DIP_STEPS = {"AlexNet": 1000, "SqueezeNet": 500}
PIXEL_STEPS = {"AlexNet": 3100, "SqueezeNet": 500}


def network(name: str) -> ImageNetwork:
    network_class, file = NETWORKS[name]
    return network_class.load(DATA / "weights" / file)


def inverted(settings: dict[str, Any]) -> dict[str, Any]:
    """One pre-image, classified by SqueezeNet; the image is saved next to the records."""
    photo = images.load(DATA / "feature_inversion" / f"{settings['photo']}.jpg")
    classifier = network("SqueezeNet").at("scores", photo.shape)
    contestants = {settings["prior"]: recipes.preimage(_pixels(settings))}
    layers, steps = [settings["layer"]], settings["steps"]
    inverted = network(settings["network"])
    (preimage,) = preimages.preimages(photo, inverted, layers, contestants, classifier, steps=steps, progress=False)
    _save(settings, preimage.image)
    return preimages.record(preimage)


def maximised(settings: dict[str, Any]) -> dict[str, Any]:
    """An image that maximises the activation of one unit."""
    inspected, layer, unit = network(settings["network"]), settings["layer"], settings["unit"]
    problem = preimages.activation_maximisation(inspected, layer, unit)
    recipe = recipes.maximise(Activation(inspected.at(layer).out_shape, unit), _pixels(settings))
    result = recipe.solve(problem, steps=settings["steps"], progress=False)
    image = result.image.clamp(0, 1)
    _save(settings, image)
    with torch.no_grad():
        activation = float(problem.operator(image))
        scores = network("SqueezeNet").at("scores")(image).softmax(1)
    return {"activation_of_target": activation, "class": int(scores.argmax()), "probability": float(scores.max())}


def image_file(settings: dict[str, Any]) -> Path:
    return IMAGES / ("features-" + "-".join(str(settings[key]) for key in sorted(settings)) + ".png")


def _save(settings: dict[str, Any], image: Tensor) -> None:
    IMAGES.mkdir(exist_ok=True)
    images.save(image_file(settings), image)


def _pixels(settings: dict[str, Any]) -> PixelPrior | None:
    if settings["prior"] == "DIP":
        return None
    return NoPrior() if settings["prior"] == "none" else TotalVariation(settings["weight"])


def _seconds(network: str, prior: str) -> float:
    return (0.1 if network == "AlexNet" else 0.3) + (0.3 if prior == "DIP" else 0)


def inverted_task(photo: str, network: str, layer: str, prior: str, steps: int, weight: float | None = None) -> Task:
    settings = {"photo": photo, "network": network, "layer": layer, "prior": prior, "steps": steps}
    settings |= {} if weight is None else {"weight": weight}
    name = "-".join(["features", photo, layer, prior, *([f"{weight:g}"] if weight else [])])
    return Task(name, inverted, settings, steps, _seconds(network, prior), alone=False)


def maximised_task(name: str, prior: str) -> Task:
    network, layer, unit = UNITS[name]
    settings = {"network": network, "layer": layer, "unit": unit, "prior": prior, "steps": MAXIMISING_STEPS}
    settings |= {"weight": TV_WEIGHT} if prior == "TV" else {}
    key = f"features-unit-{layer}-{unit}-{prior}"
    return Task(key, maximised, settings, MAXIMISING_STEPS, _seconds(network, prior), alone=False)


def monkey_task(network: str, layer: str, prior: str) -> Task:
    steps = (DIP_STEPS if prior == "DIP" else PIXEL_STEPS)[network]
    return inverted_task("monkey", network, layer, prior, steps, TV_WEIGHT if prior == "TV" else None)


TUNING = {
    (layer, weight): inverted_task("building", "AlexNet", layer, "TV", TUNING_STEPS, weight)
    for layer in TUNED_ON
    for weight in WEIGHTS
}
MONKEY = {
    (network, layer, prior): monkey_task(network, layer, prior)
    for network, layers in LAYERS.items()
    for layer in layers
    for prior in PRIORS
}
MAXIMISED = {(name, prior): maximised_task(name, prior) for name in UNITS for prior in ("DIP", "TV")}
TASKS = [*TUNING.values(), *MONKEY.values(), *MAXIMISED.values()]


def main(parts: list[str]) -> None:
    torch.set_num_threads(1)
    run(chosen(TASKS, parts))


if __name__ == "__main__":
    main(sys.argv[1:])
