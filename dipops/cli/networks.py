"""preimage, maximise: what a frozen network knows of a picture, and what excites it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from dipops import images, recipes
from dipops._tools.files import environment, write_json, write_whole
from dipops.cli.options import DeviceOption, Output, Picture, Quiet, Seed, Steps, whole
from dipops.cli.runs import Device, digests, draw, figure_kind, foretell, place, record_of, require_writable, say
from dipops.errors import BadValue
from dipops.operators.features import Activation
from dipops.operators.networks.alexnet import AlexNet, AlexNetLayout
from dipops.operators.networks.imagenet import ImageNetwork
from dipops.operators.networks.squeezenet import SqueezeNet
from dipops.paper.preimages import TV_WEIGHT, Preimage, activation_maximisation, figure, preimages, record, table
from dipops.priors.interface import NoPrior, PixelPrior
from dipops.priors.total_variation import TotalVariation

ALL = "all"


class PriorName(StrEnum):
    """The priors for a network's features."""

    dip = "dip"
    tv = "tv"
    none = "none"


LABELS = {PriorName.dip: "DIP", PriorName.tv: "TV", PriorName.none: "none"}


class NetworkName(StrEnum):
    """The networks the command line knows."""

    caffe = "caffe"
    torchvision = "torchvision"
    squeezenet = "squeezenet"


Network = Annotated[NetworkName, typer.Option(help="AlexNet of Caffe or of torchvision, or SqueezeNet 1.0.")]
Weights = Annotated[
    Path | None,
    typer.Option(help="Weights as .npz, .pt, .pth or .safetensors; torchvision's are fetched where none are given."),
]
Weight = Annotated[float | None, typer.Option(help=f"Weight of TV beside the relative misfit; by default {TV_WEIGHT:g}.")]
PriorChoice = Annotated[PriorName | None, typer.Option("--prior", help="Deep image prior, total variation, or none.")]


def preimage(
    photo: Picture,
    output: Output,
    layer: Annotated[str, typer.Option(help="Name of a layer, or all: a figure of the important ones.")] = "conv3",
    network: Network = NetworkName.caffe,
    weights: Weights = None,
    prior: PriorChoice = None,
    weight: Weight = None,
    judge: Annotated[Path | None, typer.Option(help="Weights of SqueezeNet, which then says what it still recognises.")] = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    quiet: Quiet = False,
) -> None:
    """Make a picture of which a layer of a network gives the features that it gives for a photo.

    The photo is cut to a square and reduced to what the network takes. With --layer all, each pre-image is laid beside the
    figure as soon as it is there.
    """
    everything = layer == ALL
    _require_output(output, everything)
    names = [prior] if prior else list(LABELS) if everything else [PriorName.dip]
    weights_of = {name: weight if name is PriorName.tv or len(names) == 1 else None for name in names}
    contestants = {LABELS[name]: recipes.preimage(_pixels(name, given)) for name, given in weights_of.items()}
    inverted = _load(network, weights)
    target = _square(images.load(photo), inverted.side).to(place(device))
    scores = None if judge is None else SqueezeNet.load(judge).at("scores", target.shape).to(target)
    layers = inverted.landmarks if everything else (layer,)
    found: list[Preimage] = []
    for one in preimages(target, inverted, layers, contestants, scores, steps=steps, seed=seed, progress=not quiet):
        found.append(one)
        name = f"{output.stem}-{one.layer}-{one.prior.lower()}.png" if everything else output.name
        images.save(output.with_name(name), one.image)
    if everything:
        draw(output, figure(target, found))
        write_whole(output.with_suffix(".md"), lambda file: file.write(table(found).encode()))
    settings = {"command": "preimage", "network": repr(inverted), "weight": weight, "seed": seed}
    sources = {name: {"prior": repr(recipe.prior), "source": recipe.source} for name, recipe in contestants.items()}
    files = digests([photo, weights, judge])
    _record(output, {**settings, "files": files, "recipes": sources, "preimages": [record(one) for one in found]})
    say(quiet, table(found))


def maximise(
    output: Output,
    layer: Annotated[str, typer.Option(help="Name of a layer.")] = "conv5",
    unit: Annotated[str, typer.Option(help="A class, a channel, or CHANNEL,ROW,COLUMN.")] = "0",
    network: Network = NetworkName.caffe,
    weights: Weights = None,
    prior: PriorChoice = PriorName.dip,
    weight: Weight = None,
    target: Annotated[float | None, typer.Option(help="The answer to aim at; by default ten times a usual one.")] = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    quiet: Quiet = False,
) -> None:
    """Make a picture that excites one unit of a network."""
    _require_output(output, drawn=False)
    excited = _load(network, weights)
    indices = tuple(whole(index, "unit") for index in unit.split(","))
    problem = activation_maximisation(excited, layer, indices, target).to(place(device))
    picked = Activation(excited.at(layer).out_shape, indices)
    recipe = recipes.maximise(picked, _pixels(prior or PriorName.dip, weight))
    foretell(problem, recipe, steps, quiet)
    result = recipe.solve(problem, seed, steps, progress=not quiet)
    images.save(output, result.image)
    with torch.no_grad():
        answer = float(problem.operator(result.image.clamp(0, 1)))
    settings = {"command": "maximise", "network": repr(excited), "layer": layer, "unit": indices, "files": digests([weights])}
    of_target = {"prior": repr(recipe.prior), "source": recipe.source, "answer_of_target": answer}
    _record(output, {**settings, **of_target, **record_of(problem, result)})
    say(quiet, f"{output}: {result.steps} steps, {result.seconds:.0f} s; the unit answers {100 * answer:.0f}% of the target")


def _load(name: NetworkName, weights: Path | None) -> ImageNetwork:
    if weights is None:
        if name is not NetworkName.torchvision:
            raise BadValue(f"--network {name} without weights", "--weights FILE", "or --network torchvision, which is fetched")
        return AlexNet.download()
    if name is NetworkName.squeezenet:
        return SqueezeNet.load(weights)
    network = AlexNet.load(weights)
    if network.layout is not AlexNetLayout(name.value):
        raise BadValue(f"--network {name} with {weights}", f"--network {network.layout.value}", "it has that layout")
    return network


def _pixels(name: PriorName, weight: float | None) -> PixelPrior | None:
    """The prior on pixels of that name, or None for the deep image prior."""
    if weight is not None and name is not PriorName.tv:
        raise BadValue(f"--weight with --prior {name}", "--prior tv", "leave --weight out")
    if name is PriorName.tv:
        return TotalVariation(TV_WEIGHT if weight is None else weight)
    return NoPrior() if name is PriorName.none else None


def _square(photo: Tensor, side: int) -> Tensor:
    """The middle square of a photo in colour, as (3, side, side)."""
    middle = images.centre_crop(photo, [min(photo.shape[1:])] * 2).expand(3, -1, -1)
    return middle.contiguous() if middle.shape[1] == side else images.resize(middle, (side, side)).clamp(0, 1)


def _require_output(output: Path, drawn: bool) -> None:
    """Refuse, before hours of work, what could not be written after them."""
    if drawn:
        figure_kind(output)
    else:
        images.image_format(output)
    require_writable(output)


def _record(output: Path, values: dict[str, Any]) -> None:
    write_json(output.with_suffix(".json"), {**values, "output": str(output), "environment": environment()})
