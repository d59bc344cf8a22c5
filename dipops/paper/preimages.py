"""What each layer of a network still knows of an image, with several priors: as images, and as numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dipops import images
from dipops._tools.tables import markdown
from dipops.errors import BadValue, require_positive
from dipops.metrics import recognition
from dipops.operators import Activation, LinearOrDifferentiableOperator
from dipops.operators.networks import ImageNetwork
from dipops.paper.grid import image_grid
from dipops.problem import Problem
from dipops.recipes import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TV_WEIGHT = 3e-4
"""Weight of TV for a data term relative to ‖Φ(photo)‖²."""


@dataclass(frozen=True)
class Preimage:
    """An image made from the features of another.

    Attributes:
        layer: name of the layer.
        prior: name of the prior.
        image: (3, H, W), values in [0, 1].
        error: ‖Φ(image) - Φ(photo)‖ / ‖Φ(photo)‖ at that layer.
        probability: that a classifier gives, for this image, to the class it sees in the photo; or None.
        steps: number of steps.
        seconds: duration.
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
    classifier: LinearOrDifferentiableOperator | None = None,
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
        contestants: name to recipe, such as ``recipes.preimage()`` and ``recipes.preimage(TotalVariation(weight))``. The data
            term is relative to ‖Φ(photo)‖², so that one weight serves all layers.
        classifier: images to scores of classes, by another network than the one inverted.
        steps: replaces the recipes' numbers.
        seed: the same for all.
        progress: whether to show bars.

    Raises:
        BadValue: a layer does not exist, or cannot be reached from an image of that size; before anything is solved.
    """
    for layer in layers:
        network.at(layer, photo.shape)

    def solved() -> Iterator[Preimage]:
        for layer in layers:
            operator = network.at(layer, photo.shape).to(photo)
            problem = Problem.simulate(operator, photo, 0).normalised()
            for name, recipe in contestants.items():
                result = recipe.solve(problem, seed, steps, progress=progress)
                image = result.image.clamp(0, 1)
                with torch.no_grad():
                    error = float((2 * problem.data_term(image)).sqrt())
                probability = None if classifier is None else float(recognition(classifier, image, photo[None]).image)
                yield Preimage(layer, name, image[0].cpu(), error, probability, result.steps, result.seconds)

    return solved()


def activation_maximisation(
    network: ImageNetwork, layer: str, unit: int | tuple[int, ...], target: float | None = None
) -> Problem:
    """The problem whose solution activates a unit: the response is to be ``target``, and both are divided by it.

    Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", IJCV 2020, activation maximisation. Solve it with
    ``recipes.maximise(Activation(shape, unit))``.

    Args:
        network: the network.
        layer: name of one of its layers.
        unit: a class score, a channel, or with (channel, row, column) one neuron.
        target: the response; by default ten times the root mean square of the responses of the units of its kind to the
            bundled photograph.

    Raises:
        BadType, BadValue: the layer or the unit does not exist, or the target is not above zero.
    """
    features = network.at(layer)
    activation = Activation(features.out_shape, unit)
    if target is None:
        photo = images.resize(images.photograph(), features.in_shape[1:])
        with torch.no_grad():
            responses = features(photo[None])[0]
        of_units = responses.flatten(1).mean(1) if responses.ndim > len(activation.unit) else responses
        target = 10 * float(of_units.square().mean().sqrt())
    require_positive("target", target, "a number above zero", "leave it out for ten times a usual response")
    return Problem(activation @ features, torch.full((1, 1), target)).normalised()


def table(results: Sequence[Preimage]) -> str:
    """Error and probability of each pre-image as Markdown: a row a layer, two columns a prior."""
    priors, layers = (dict.fromkeys(getattr(preimage, name) for preimage in results) for name in ("prior", "layer"))
    cells = {(preimage.layer, preimage.prior): preimage for preimage in results}
    columns = ["error"] if all(preimage.probability is None for preimage in results) else ["error", "probability"]
    rows = [
        [layer, *(_number(getattr(cells.get((layer, prior)), column, None)) for prior in priors for column in columns)]
        for layer in layers
    ]
    return markdown(["layer", *(f"{prior}: {column}" for prior in priors for column in columns)], rows)


def figure(photo: Tensor, results: Sequence[Preimage]) -> "Figure":
    """The photo, then its pre-images: a column a layer, a row a prior, each over its error and its probability.

    Raises:
        BadValue: there is no pre-image.
    """
    if not results:
        raise BadValue("no pre-images", "at least one", "give what preimages() yields, as a list")
    cells = {(preimage.prior, preimage.layer): (preimage.image, _note(preimage)) for preimage in results}
    return image_grid({(results[0].prior, "photo"): (photo, ""), **cells})


def record(preimage: Preimage) -> dict[str, Any]:
    """All but the image, as plain values."""
    return {name: getattr(preimage, name) for name in ("layer", "prior", "error", "probability", "steps", "seconds")}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _note(preimage: Preimage) -> str:
    recognised = "" if preimage.probability is None else f", p = {preimage.probability:.2f}"
    return f"error {preimage.error:.3f}{recognised}"
