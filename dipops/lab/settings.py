"""What a visitor has set, checked: the problem and the contestants that it stands for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from dipops import images
from dipops.contestants import BestWeight
from dipops.errors import BadValue
from dipops.lab.choices import IMAGES, NOISES, OPERATORS, PRIORS, SIDES, Parameter, square, usual_values
from dipops.methods import default_method
from dipops.noise import Poisson
from dipops.priors import NoPrior, Prior, Tikhonov, TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.tune import SURE, Discrepancy

UPLOAD = "upload"
MAX_BYTES = 10 * 2**20
MAX_PIXELS = 16 * 2**20
_LEAST_SIDE = 16
STEPS = Parameter("steps", "steps of the deep image prior", 800, 20, 3000, 20)
WEIGHT = Parameter("weight", "weight of total variation", 0.1, 0.001, 10, 0.001)
_MOST_PRIORS = 3


@dataclass(frozen=True)
class Photo:
    """An image that a visitor has uploaded: its name, of a file that is nowhere here, and its pixels (C, H, W)."""

    name: str
    image: Tensor


@dataclass(frozen=True)
class Choice:
    """One of several things by its key, and the values of its parameters."""

    key: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What is solved.

    Attributes:
        image: a key of IMAGES, or "upload".
        side: of the image, in pixels.
        operator, noise: choices of OPERATORS and NOISES; parameters that are not given are as usual.
        priors: one to three keys of PRIORS.
        weight: of total variation, or None for the one that a rule of ``tune`` chooses.
        steps: of the deep image prior, at most.
        stops: whether a stopping rule ends the deep image prior, as its recipe has it, or all steps are made.

    Raises:
        BadValue: one is none of what there is, or out of range, or the noise does not fit the operator.
    """

    image: str = "portrait"
    side: int = 64
    operator: Choice = Choice("identity")
    noise: Choice = Choice("clipped")
    priors: Sequence[str] = ("tv", "dip")
    weight: float | None = None
    steps: int = 800
    stops: bool = False

    def __post_init__(self) -> None:
        _require_key("image", self.image, [*IMAGES, UPLOAD])
        _require_key("side", self.side, SIDES)
        _require_key("operator", self.operator.key, OPERATORS)
        _require_key("noise", self.noise.key, NOISES)
        operator, noise = OPERATORS[self.operator.key], NOISES[self.noise.key]
        if self.noise.key not in operator.noises:
            fitting = ", ".join(NOISES[key].label for key in operator.noises)
            raise BadValue(f"{noise.label} noise with {operator.label}", fitting, "choose one of them")
        chosen = [key for key in PRIORS if key in self.priors]
        if not 1 <= len(chosen) <= _MOST_PRIORS or len(chosen) < len(self.priors):
            raise BadValue(f"{len(self.priors)} priors", f"one to {_MOST_PRIORS} of {', '.join(PRIORS)}", "choose again")
        object.__setattr__(self, "operator", _checked(self.operator, operator.parameters))
        object.__setattr__(self, "noise", _checked(self.noise, noise.parameters))
        object.__setattr__(self, "steps", STEPS.checked(self.steps))
        object.__setattr__(self, "weight", None if self.weight is None else WEIGHT.checked(self.weight))

    def plain(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self) | {"priors": list(self.priors)}

    def ground_truth(self, photo: Photo | None) -> Tensor:
        """The image (C, side, side); BadValue where one is to be uploaded and none was."""
        if self.image != UPLOAD:
            return IMAGES[self.image].make(self.side)
        if photo is None:
            raise BadValue("no upload yet", "an image file", "upload one, or choose a bundled image")
        return square(photo.image, self.side)

    def problem(self, photo: Photo | None) -> Problem:
        """The problem of measuring the image."""
        x = self.ground_truth(photo)
        operator = OPERATORS[self.operator.key].make(x.shape, self.operator.values)
        return Problem.simulate(operator, x, NOISES[self.noise.key].make(self.noise.values))

    def recipe(self, prior: str, problem: Problem, watched: Callable[[Prior], Prior]) -> Recipe:
        """The settings of a prior; ``watched`` is given each prior whose weight is tried, and gives it back or ends it all."""
        if prior == "dip":
            recipe = OPERATORS[self.operator.key].recipe(self.operator.values)
            return replace(recipe, steps=self.steps, callbacks=recipe.callbacks if self.stops else ())
        if prior == "none" or (prior == "tv" and self.weight is not None):
            pixels = NoPrior() if self.weight is None or prior == "none" else TotalVariation(self.weight)
            method = default_method(problem, pixels)
            return Recipe(pixels, method, method.steps, (), "set on the page", debiases=True)
        kind = TotalVariation if prior == "tv" else Tikhonov
        best = BestWeight(lambda weight: watched(kind(weight)), self.rule(problem)).at(problem)
        return best if isinstance(best, Recipe) else best.recipe

    @staticmethod
    def rule(problem: Problem) -> SURE | Discrepancy:
        """The rule that chooses a weight: SURE, which needs normal noise, or else the discrepancy principle."""
        return Discrepancy() if isinstance(problem.noise, Poisson) else SURE()


def uploaded(name: str, content: bytes) -> Photo:
    """An uploaded image.

    Raises:
        BadValue: it has too many bytes, or less than 16 pixels a side.
        BadFile: it is no image, cannot be read, or has too many pixels.
    """
    require_small(name, len(content))
    image = images.from_bytes(content, name, MAX_PIXELS)
    if min(image.shape[-2:]) < _LEAST_SIDE:
        came = f"{name} of {image.shape[-1]} x {image.shape[-2]} pixels"
        raise BadValue(came, f"at least {_LEAST_SIDE} a side", "choose a larger image")
    return Photo(name, image)


def require_small(name: str, size: int) -> None:
    """Refuse a file of too many bytes with BadValue."""
    if size > MAX_BYTES:
        came, most = f"{name} of {size / 2**20:.0f} MB", f"at most {MAX_BYTES // 2**20} MB"
        raise BadValue(came, most, "reduce the image, or save it as JPEG")


def _require_key(name: str, key: object, keys: Any) -> None:
    if key not in keys:
        raise BadValue(f"{name} = {key!r:.40}", f"one of {', '.join(map(str, keys))}", "choose one of them")


def _checked(choice: Choice, parameters: Sequence[Parameter]) -> Choice:
    """The choice with all values of its parameters, and no others."""
    values = {**usual_values(parameters), **choice.values}
    return Choice(choice.key, {parameter.name: parameter.checked(values[parameter.name]) for parameter in parameters})
