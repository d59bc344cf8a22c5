"""preimage, maximise: what a layer of a frozen network knows of an image, and what activates one of its units."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor
from typer import Option

from dipops import images, recipes
from dipops.cli.interruption import interruptible
from dipops.cli.options import LABELS, InputImage, OutputImage, RunOptions, parse_int, torch_device
from dipops.cli.outputs import Outputs, require_inputs
from dipops.cli.records import input_files, recipe_record, result_record
from dipops.cli.solving import solve_recipe
from dipops.cli.writing import echo, figure_content, figure_format
from dipops.errors import BadValue, safe_repr
from dipops.images.writing import encode
from dipops.operators import Activation
from dipops.operators.networks import AlexNet, ImageNetwork, SqueezeNet
from dipops.paper.preimages import TV_WEIGHT, Preimage, activation_maximisation, figure, preimages, record, table
from dipops.priors import NoPrior, PixelPrior, TotalVariation

NetworkName = Literal["caffe", "torchvision", "squeezenet"]
PixelPriorName = Literal["dip", "tv", "none"]


@dataclass(frozen=True)
class NetworkOptions:
    """The network and the prior."""

    network: Annotated[NetworkName, Option(help="AlexNet of Caffe or of torchvision, or SqueezeNet 1.0.")] = "caffe"
    weights: Annotated[
        Path | None, Option(help="File of weights; only torchvision needs none: it is downloaded.", callback=require_inputs)
    ] = None
    prior: Annotated[PixelPriorName | None, Option(help="Deep image prior, total variation or none; by default dip.")] = None
    weight: Annotated[float | None, Option(help=f"Weight of TV; by default {TV_WEIGHT:g}.")] = None


def preimage(
    photo: InputImage,
    output: OutputImage,
    *,
    layer: Annotated[str, Option(help="Name of a layer, or all: a figure of the main layers.")] = "conv3",
    network: NetworkOptions,
    classifier: Annotated[
        Path | None, Option(help="Weights of SqueezeNet, which then classifies each pre-image.", callback=require_inputs)
    ] = None,
    run: RunOptions,
) -> None:
    """Make an image that has the features of a photo at one layer of a network.

    The photo is cropped to a square and resized to the size of the network's input.
    With --layer all, every prior is used unless --prior is given, and each pre-image is written next to the figure.
    """
    all_layers = layer == "all"
    (figure_format if all_layers else images.image_format)(output)
    priors = _pixel_priors(network, ("dip", "tv", "none") if all_layers else ("dip",))
    contestants = {label: recipes.preimage(prior) for label, prior in priors.items()}
    model = _load(network)
    target = _square(images.load(photo), model.side).to(torch_device(run.device))
    scores = None if classifier is None else SqueezeNet.load(classifier).at("scores", target.shape).to(target)
    layers = model.default_layers if all_layers else (layer,)
    single = {(name, label): _path_of(output, name, label) for name in layers for label in priors if all_layers}
    others = [*single.values(), output.with_suffix(".md") if all_layers else None]
    outputs = Outputs(output, others, [photo, network.weights, classifier], force=run.force)
    task = {"command": "preimage", "network": safe_repr(model), "weight": network.weight, "seed": run.seed}
    files = input_files(photo=photo, weights=network.weights, classifier=classifier)
    task |= {"files": files, "recipes": {label: recipe_record(recipe) for label, recipe in contestants.items()}}
    finished: list[Preimage] = []
    count = len(layers) * len(priors)
    with interruptible(lambda: f"{len(finished)} of {count} pre-images are saved; give the command again to start again"):
        made = preimages(target, model, layers, contestants, scores, steps=run.steps, seed=run.seed, progress=not run.quiet)
        for latest in made:
            finished.append(latest)
            path = single.get((latest.layer, latest.prior), output)
            outputs.write(
                {path: encode(path, latest.image)}, {**task, "preimages": list(map(record, finished))}, str(target.device)
            )
    if all_layers:
        last = {output: figure_content(output, figure(target, finished)), output.with_suffix(".md"): table(finished).encode()}
        outputs.write(last, {**task, "preimages": list(map(record, finished))}, str(target.device))
    echo(run.quiet, table(finished))


def maximise(
    output: OutputImage,
    *,
    layer: Annotated[str, Option(help="Name of a layer.")] = "conv5",
    unit: Annotated[str, Option(help="A class, a channel, or CHANNEL,ROW,COLUMN.")] = "0",
    target: Annotated[float | None, Option(help="Activation to reach; by default ten times a usual one.")] = None,
    network: NetworkOptions,
    run: RunOptions,
) -> None:
    """Make an image that maximises the activation of one unit of a network."""
    images.image_format(output)
    outputs = Outputs(output, inputs=[network.weights], force=run.force)
    (prior,) = _pixel_priors(network, ("dip",)).values()
    model = _load(network)
    indices = tuple(parse_int(index, "unit") for index in unit.split(","))
    problem = activation_maximisation(model, layer, indices, target).to(torch_device(run.device))
    recipe = recipes.maximise(Activation(model.at(layer).out_shape, indices), prior)
    result = solve_recipe(problem, recipe, run)
    with torch.no_grad():
        activation = float(problem.operator(result.image.clamp(0, 1)))
    task = {"command": "maximise", "network": safe_repr(model), "layer": layer, "unit": indices}
    task |= {"files": input_files(weights=network.weights), "activation_of_target": activation}
    written = {output: encode(output, result.image)}
    outputs.write(written, {**task, **recipe_record(recipe), **result_record(problem, result)}, str(problem.y.device))
    percent = f"{100 * activation:.0f}% of the target"
    echo(run.quiet, f"{output}: {result.steps} steps, {result.seconds:.0f} s; the activation is {percent}")


def _path_of(output: Path, layer: str, prior: str) -> Path:
    """The file of one pre-image among several."""
    return output.with_name(f"{output.stem}-{layer}-{prior.lower()}.png")


def _load(options: NetworkOptions) -> ImageNetwork:
    name, weights = options.network, options.weights
    if weights is None:
        if name != "torchvision":
            raise BadValue(f"--network {name} without weights", "--weights FILE", "or --network torchvision, which is fetched")
        return AlexNet.download()
    if name == "squeezenet":
        return SqueezeNet.load(weights)
    network = AlexNet.load(weights)
    if network.layout != name:
        raise BadValue(f"--network {name} with {weights}", f"--network {network.layout}", "it has that layout")
    return network


def _pixel_priors(options: NetworkOptions, default: tuple[PixelPriorName, ...]) -> dict[str, PixelPrior | None]:
    """The prior that was chosen, else the default ones, by label; None for the deep image prior."""
    names = (options.prior,) if options.prior else default
    if options.weight is not None and "tv" not in names:
        raise BadValue(f"--weight with --prior {names[0]}", "--prior tv", "leave --weight out")
    weight = TV_WEIGHT if options.weight is None else options.weight
    priors = {"dip": None, "tv": TotalVariation(weight), "none": NoPrior()}
    return {LABELS[name]: priors[name] for name in names}


def _square(photo: Tensor, side: int) -> Tensor:
    """The middle square of a photo in colour, as (3, side, side)."""
    middle = images.centre_crop(photo, [min(photo.shape[1:])] * 2).expand(3, -1, -1)
    return middle.contiguous() if middle.shape[1] == side else images.resize(middle, (side, side)).clamp(0, 1)
