"""What layers know, measured: ``python -m benchmarks.features [PART ...]`` with DIPOPS_DATA naming pictures and weights.

Weights of TV are compared on the building; the monkey is inverted with the one that did best. Then, the figures and the table:
``python -m benchmarks.features_report``.
"""

import sys
from typing import Any

import torch

from benchmarks.core import DATA
from benchmarks.harness import RESULTS, Task, run
from dipops import Activation, AlexNet, NoPrior, SqueezeNet, TotalVariation, images, recipes
from dipops.operators.networks.imagenet import ImageNetwork
from dipops.paper import preimages
from dipops.paper.preimages import TV_WEIGHT
from dipops.priors.interface import PixelPrior

NETWORKS = {"AlexNet": (AlexNet, "alexnet_bvlc_conv_q7.npz"), "SqueezeNet": (SqueezeNet, "squeezenet10_deepcompressed.npz")}
LAYERS = {"AlexNet": ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5"), "SqueezeNet": ("fire9", "conv_final")}
PRIORS = ("DIP", "TV", "none")
WEIGHTS = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
TUNED_ON = ("conv2", "conv4", "pool5")
UNITS = {
    "guenon": ("SqueezeNet", "conv_final", 370),
    "conv3, channel 7": ("AlexNet", "conv3", 7),
    "conv5, channel 40": ("AlexNet", "conv5", 40),
}
TUNING_STEPS, EXCITING_STEPS = 1000, 300
DIP_STEPS = {"AlexNet": 1000, "SqueezeNet": 500}
PIXEL_STEPS = {"AlexNet": 3100, "SqueezeNet": 500}


def network(name: str) -> ImageNetwork:
    kind, file = NETWORKS[name]
    return kind.load(DATA / "weights" / file)


def inverted(settings: dict[str, Any]) -> dict[str, Any]:
    """One pre-image, classified by SqueezeNet; the image is saved next to the records."""
    photo = images.load(DATA / "feature_inversion" / f"{settings['photo']}.jpg")
    classifier = network("SqueezeNet").at("scores", photo.shape)
    contestants = {settings["prior"]: recipes.preimage(_pixels(settings))}
    layers, steps = [settings["layer"]], settings["steps"]
    (preimage,) = preimages.preimages(
        photo, network(settings["network"]), layers, contestants, classifier, steps=steps, progress=False
    )
    images.save(picture_of(settings), preimage.image)
    return preimages.record(preimage)


def excited(settings: dict[str, Any]) -> dict[str, Any]:
    """A picture that excites one unit."""
    found, layer, unit = network(settings["network"]), settings["layer"], settings["unit"]
    problem = preimages.activation_maximisation(found, layer, unit)
    recipe = recipes.maximise(Activation(found.at(layer).out_shape, unit), _pixels(settings))
    result = recipe.solve(problem, steps=settings["steps"], progress=False)
    image = result.image.clamp(0, 1)
    images.save(picture_of(settings), image)
    with torch.no_grad():
        answer = float(problem.operator(image))
        scores = network("SqueezeNet").at("scores")(image).softmax(1)
    return {"answer_of_target": answer, "class": int(scores.argmax()), "probability": float(scores.max())}


def picture_of(settings: dict[str, Any]) -> Any:
    folder = RESULTS / "pictures"
    folder.mkdir(exist_ok=True)
    return folder / ("features-" + "-".join(str(settings[key]) for key in sorted(settings)) + ".png")


def _pixels(settings: dict[str, Any]) -> PixelPrior | None:
    if settings["prior"] == "DIP":
        return None
    return NoPrior() if settings["prior"] == "none" else TotalVariation(settings["weight"])


def _seconds(network: str, prior: str) -> float:
    return (0.1 if network == "AlexNet" else 0.3) + (0.3 if prior == "DIP" else 0)


def preimage(photo: str, network: str, layer: str, prior: str, steps: int, weight: float | None = None) -> Task:
    settings = {"photo": photo, "network": network, "layer": layer, "prior": prior, "steps": steps}
    settings |= {} if weight is None else {"weight": weight}
    name = "-".join(["features", photo, layer, prior, *([f"{weight:g}"] if weight else [])])
    return Task(name, inverted, settings, steps, _seconds(network, prior), alone=False)


def excitation(name: str, prior: str) -> Task:
    network, layer, unit = UNITS[name]
    settings = {"network": network, "layer": layer, "unit": unit, "prior": prior, "steps": EXCITING_STEPS}
    settings |= {"weight": TV_WEIGHT} if prior == "TV" else {}
    key = f"features-unit-{layer}-{unit}-{prior}"
    return Task(key, excited, settings, EXCITING_STEPS, _seconds(network, prior), alone=False)


def of_monkey(network: str, layer: str, prior: str) -> Task:
    steps = (DIP_STEPS if prior == "DIP" else PIXEL_STEPS)[network]
    return preimage("monkey", network, layer, prior, steps, TV_WEIGHT if prior == "TV" else None)


TUNING = {
    (layer, weight): preimage("building", "AlexNet", layer, "TV", TUNING_STEPS, weight)
    for layer in TUNED_ON
    for weight in WEIGHTS
}
MONKEY = {
    (network, layer, prior): of_monkey(network, layer, prior)
    for network, layers in LAYERS.items()
    for layer in layers
    for prior in PRIORS
}
EXCITED = {(name, prior): excitation(name, prior) for name in UNITS for prior in ("DIP", "TV")}


def main(parts: list[str]) -> None:
    torch.set_num_threads(1)
    tasks = [*TUNING.values(), *MONKEY.values(), *EXCITED.values()]
    run([task for task in tasks if not parts or any(task.name.startswith(f"features-{part}") for part in parts)])


if __name__ == "__main__":
    main(sys.argv[1:])
