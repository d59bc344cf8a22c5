"""Contestants that see a picture through a frozen network: pre-images of its layers, and pictures that excite its units."""

from dataclasses import dataclass
from pathlib import Path

import torch

from dipops import recipes
from dipops.errors import BadFile
from dipops.operators.features import Activation
from dipops.operators.networks.alexnet import AlexNet
from dipops.operators.networks.imagenet import ImageNetwork
from dipops.operators.networks.squeezenet import SqueezeNet
from dipops.paper import preimages
from dipops.paper.contestants import ANSWER, Contestant, Effort, Outcome
from dipops.priors.interface import NoPrior, PixelPrior
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Variant

_FILES = {AlexNet: "alexnet_bvlc_conv_q7.npz", SqueezeNet: "squeezenet10_deepcompressed.npz"}
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


def _load(kind: type[AlexNet] | type[SqueezeNet], data: Path) -> ImageNetwork:
    return kind.load(data / "weights" / _FILES[kind])


def _require_weights(data: Path, *kinds: type[AlexNet] | type[SqueezeNet]) -> None:
    for path in (data / "weights" / _FILES[kind] for kind in kinds):
        if not path.is_file():
            raise BadFile(f"no file {path}", f"the weights of {path.name}", "put it there, or leave the experiment out")


@dataclass(frozen=True)
class Inversion:
    """The pre-image of a layer, judged by SqueezeNet: the relative error, and the probability of the photo's class."""

    network: type[AlexNet] | type[SqueezeNet]
    layer: str
    prior: str
    random = True

    def settings(self, variant: Variant) -> str:
        return f"{self.network.__name__}, {self.layer}, {recipes.preimage(_PRIORS[self.prior])!r}"

    def require(self, data: Path) -> None:
        _require_weights(data, self.network, SqueezeNet)

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        photo = problem.y[0]
        recipe = recipes.preimage(_PRIORS[self.prior])
        judge = _load(SqueezeNet, effort.data).at("scores", photo.shape).to(photo)
        network = _load(self.network, effort.data)
        settings = {"steps": effort.of(recipe.steps), "seed": effort.seed, "progress": effort.progress}
        (one,) = preimages.preimages(photo, network, [self.layer], {self.prior: recipe}, judge, **settings)
        assert one.probability is not None
        return Outcome({ANSWER: one.image[None]}, {"steps": one.steps}, {"error": one.error, "probability": one.probability})


@dataclass(frozen=True)
class Excitation:
    """A picture that excites a unit: what it answers in parts of the target, and what SqueezeNet sees in the picture."""

    network: type[AlexNet] | type[SqueezeNet]
    layer: str
    unit: int
    prior: str
    random = True

    def settings(self, variant: Variant) -> str:
        unit = Activation((self.unit + 1, 1, 1), self.unit)
        recipe = recipes.maximise(unit, _PRIORS[self.prior])
        return f"{self.network.__name__}, {self.layer}, {self.unit}, {recipe!r}"

    def require(self, data: Path) -> None:
        _require_weights(data, self.network, SqueezeNet)

    def restore(self, problem: Problem, effort: Effort) -> Outcome:
        network = _load(self.network, effort.data)
        exciting = preimages.excitation(network, self.layer, self.unit).to(problem.y)
        picked = Activation(network.at(self.layer).out_shape, self.unit)
        recipe = recipes.maximise(picked, _PRIORS[self.prior])
        result = recipe.solve(exciting, effort.seed, effort.of(recipe.steps), progress=effort.progress)
        picture = result.image.clamp(0, 1)
        judge = _load(SqueezeNet, effort.data).at("scores").to(picture)
        with torch.no_grad():
            answer, seen = float(exciting.operator(picture)), judge(picture).softmax(1)[0]
        facts = {"steps": result.steps, "class": int(seen.argmax())}
        return Outcome({ANSWER: picture}, facts, {"response": answer, "probability": float(seen.max())})


INVERSIONS: dict[str, Contestant] = {
    f"{layer}, {prior}": Inversion(network, layer, prior) for layer, network in _LAYERS.items() for prior in _PRIORS
}
EXCITATIONS: dict[str, Contestant] = {
    f"{name}, {prior}": Excitation(network, layer, unit, prior)
    for name, (network, layer, unit) in _UNITS.items()
    for prior in ("DIP", "TV")
}
