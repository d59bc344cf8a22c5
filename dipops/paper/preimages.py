"""What each layer of a network still knows of a picture, with several priors: as pictures, and as numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dipops import images
from dipops.errors import BadValue, require_positive
from dipops.metrics import recognition
from dipops.operators.features import Activation
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.operators.networks.imagenet import ImageNetwork
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TV_WEIGHT = 3e-4
"""Weight of TV beside the relative misfit."""
_TILE = 1.7


@dataclass(frozen=True)
class Preimage:
    """A picture made from the features of another.

    Attributes:
        layer: whose features.
        prior: name of the prior.
        image: (3, H, W), values in [0, 1].
        error: ‖Φ(image) - Φ(photo)‖ / ‖Φ(photo)‖ at that layer.
        probability: that an independent classifier gives, for this picture, to the class it sees in the photo; or None.
        steps: how many were made.
        seconds: how long they took.
    """

    layer: str
    prior: str
    image: Tensor = field(repr=False)
    error: float
    probability: float | None
    steps: int
    seconds: float


def preimages(
    photo: Tensor,
    network: ImageNetwork,
    layers: Sequence[str],
    contestants: Mapping[str, Recipe],
    judge: LinearOrDifferentiableOperator | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Iterator[Preimage]:
    """Invert layers of a network with several priors, one after the other.

    Mahendran and Vedaldi, "Understanding deep image representations by inverting them", CVPR 2015; with the deep image prior
    Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", section 3.4 and figure 9.

    Args:
        photo: (3, H, W), values in [0, 1].
        network: the network; it is moved to where the photo is.
        layers: names of its layers.
        contestants: name to recipe, such as ``recipes.preimage()`` and ``recipes.preimage(TotalVariation(weight))``. Misfits
            are relative to ‖Φ(photo)‖, so that one weight serves all layers.
        judge: pictures to scores of classes, by another network than the one inverted.
        steps: replaces the recipes' numbers.
        seed: the same for all.
        progress: whether to show bars.

    Raises:
        BadValue: a layer does not exist, or cannot be reached from a picture of that size; before anything is solved.
    """
    for layer in layers:
        network.at(layer, photo.shape)

    def found() -> Iterator[Preimage]:
        for layer in layers:
            operator = network.at(layer, photo.shape).to(photo)
            problem = Problem.simulate(operator, photo).relative()
            for name, recipe in contestants.items():
                result = recipe.solve(problem, seed, steps, progress=progress)
                yield _preimage(layer, name, problem, result, judge)

    return found()


def excitation(network: ImageNetwork, layer: str, unit: int | tuple[int, ...], target: float | None = None) -> Problem:
    """The problem whose solution excites a unit: an answer of ``target`` is asked for, in units of which the misfit is.

    Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", IJCV 2020, activation maximisation. Solve it with
    ``recipes.maximise(Activation(shape, unit))``.

    Args:
        network: the network.
        layer: name of one of its layers.
        unit: a class score, a channel, or with (channel, row, column) one neuron.
        target: what it is to answer; by default ten times the root mean square of what the units of its kind answer to the
            bundled photograph.

    Raises:
        BadType, BadValue: the layer or the unit does not exist, or the target is not above zero.
    """
    features = network.at(layer)
    picked = Activation(features.out_shape, unit)
    if target is None:
        photo = images.resize(images.photograph(), features.in_shape[1:])
        with torch.no_grad():
            answers = features(photo[None])[0]
        like_it = answers.flatten(1).mean(1) if answers.ndim > len(picked.unit) else answers
        target = 10 * float(like_it.square().mean().sqrt())
    require_positive("target", target, "a number above zero", "leave it out for ten times a usual answer")
    return Problem(picked @ features, torch.full((1, 1), target)).relative()


def _preimage(
    layer: str, prior: str, problem: Problem, result: Result, judge: LinearOrDifferentiableOperator | None
) -> Preimage:
    image = result.image.clamp(0, 1)
    with torch.no_grad():
        error = float((2 * problem.misfit(image)).sqrt())
    assert problem.truth is not None
    probability = None if judge is None else float(recognition(judge, image, problem.truth).image)
    return Preimage(layer, prior, image[0].cpu(), error, probability, result.steps, result.seconds)


def table(found: Sequence[Preimage]) -> str:
    """Error and probability of each pre-image as Markdown: a line a layer, two columns a prior."""
    priors, layers = (list(dict.fromkeys(getattr(one, name) for one in found)) for name in ("prior", "layer"))
    cells = {(one.layer, one.prior): one for one in found}
    judged = any(one.probability is not None for one in found)
    columns = ["error", "probability"] if judged else ["error"]
    lines = [["layer", *(f"{prior}: {column}" for prior in priors for column in columns)]]
    lines.append(["---"] * len(lines[0]))
    for layer in layers:
        row = [cells.get((layer, prior)) for prior in priors]
        lines.append([layer, *(_shown(one, column) for one in row for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(photo: Tensor, found: Sequence[Preimage]) -> "Figure":
    """The photo, then its pre-images: a column a layer, a row a prior, each over its error and its probability.

    Raises:
        BadValue: there is no pre-image.
    """
    import matplotlib.pyplot as plt

    if not found:
        raise BadValue("no pre-images", "at least one", "give what preimages() yields, as a list")
    priors, layers = (list(dict.fromkeys(getattr(one, name) for one in found)) for name in ("prior", "layer"))
    size = (_TILE * (len(layers) + 1), (_TILE + 0.28) * len(priors) + 0.25)
    drawing, grid = plt.subplots(len(priors), len(layers) + 1, figsize=size, squeeze=False, layout="compressed")
    for axes in grid.flat:
        axes.set_axis_off()
    for row, prior in zip(grid, priors, strict=True):
        row[0].imshow(images.to_pil(photo))
        row[0].text(-0.06, 0.5, prior, transform=row[0].transAxes, rotation=90, ha="right", va="center", fontsize=11)
    for axes, title in zip(grid[0], ["photo", *layers], strict=True):
        axes.set_title(title, fontsize=11)
    for one in found:
        axes = grid[priors.index(one.prior)][layers.index(one.layer) + 1]
        axes.imshow(images.to_pil(one.image))
        axes.text(0.5, -0.03, _note(one), transform=axes.transAxes, ha="center", va="top", fontsize=8)
    return drawing


def record(one: Preimage) -> dict[str, Any]:
    """All but the picture, as plain values."""
    return {name: getattr(one, name) for name in ("layer", "prior", "error", "probability", "steps", "seconds")}


def _shown(one: Preimage | None, column: str) -> str:
    value = None if one is None else getattr(one, column)
    return "–" if value is None else f"{value:.3f}"


def _note(one: Preimage) -> str:
    recognised = "" if one.probability is None else f", p = {one.probability:.2f}"
    return f"error {one.error:.3f}{recognised}"
