"""What a visitor chooses from, as data: each choice makes something, and says the Python that makes the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dipops import images, masks, recipes
from dipops.errors import BadValue
from dipops.noise import ClippedGaussian, Gaussian, Noise, Poisson
from dipops.operators import Blur, Identity, LanczosDownsampler, LinearOperator, Mask, Radon, kernels
from dipops.recipes import Recipe

Values = Mapping[str, float]
SIDES = (64, 96, 128)


@dataclass(frozen=True)
class Parameter:
    """A number that a visitor sets.

    Attributes:
        name, label: in the code, and on the page.
        usual: what it is at first.
        least, most, step: where it may lie, and how far apart; a step of whole numbers makes it a whole number.
    """

    name: str
    label: str
    usual: float
    least: float
    most: float
    step: float

    def checked(self, value: object) -> float:
        """The value, an int where the steps are whole; BadValue where it is no number of the range."""
        expected = f"a number from {self.least:g} to {self.most:g}"
        if not isinstance(value, int | float) or not self.least <= value <= self.most:
            raise BadValue(f"{self.label} = {value!r:.40}", expected, f"{self.usual:g} is a good start")
        return round(value) if float(self.step).is_integer() else float(value)


@dataclass(frozen=True)
class ImageChoice:
    """A bundled image: what makes it at a side in pixels, and the same as Python."""

    label: str
    make: Callable[[int], Tensor]
    code: str


@dataclass(frozen=True)
class OperatorChoice:
    """A forward operator.

    Attributes:
        label: on the page.
        make: makes it from the shape of the image and the values of the parameters.
        code: the same as Python, to be formatted with the values.
        recipe, recipe_code: the deep image prior's settings for it.
        parameters: what a visitor sets.
        noises: the noise models that fit its measurements.
    """

    label: str
    make: Callable[[Sequence[int], Any], LinearOperator]
    code: str
    recipe: Callable[[Any], Recipe]
    recipe_code: str
    parameters: tuple[Parameter, ...] = ()
    noises: tuple[str, ...] = ("gaussian", "clipped", "poisson", "none")


@dataclass(frozen=True)
class NoiseChoice:
    """A noise model: what makes it, and the same as Python."""

    label: str
    make: Callable[[Any], Noise | float]
    code: str
    parameters: tuple[Parameter, ...] = ()


def square(image: Tensor, side: int) -> Tensor:
    """The middle square of an image (C, H, W), at a side in pixels."""
    least = min(image.shape[-2:])
    return images.resize(images.centre_crop(image, (least, least)), (side, side)).clamp(0, 1)


def _equal_angles(count: int) -> list[float]:
    return [180 * k / count for k in range(count)]


IMAGES = {
    "portrait": ImageChoice(
        "Portrait",
        lambda side: square(images.portrait(256), side),
        "images.resize(images.portrait(256), ({side}, {side})).clamp(0, 1)",
    ),
    "astronaut": ImageChoice(
        "Astronaut",
        lambda side: square(images.photograph(), side),
        "images.resize(images.photograph(), ({side}, {side})).clamp(0, 1)",
    ),
    "head": ImageChoice(
        "Shepp-Logan phantom", lambda side: images.phantom("shepp-logan", side), 'images.phantom("shepp-logan", {side})'
    ),
    "bars": ImageChoice("Bar target", lambda side: images.phantom("bars", side), 'images.phantom("bars", {side})'),
    "star": ImageChoice("Siemens star", lambda side: images.phantom("siemens", side), 'images.phantom("siemens", {side})'),
}
"""The bundled images."""

_BETWEEN = ("gaussian", "poisson", "none")  # clipped noise is a model of pixels themselves

OPERATORS: dict[str, OperatorChoice] = {
    "identity": OperatorChoice(
        "Noise only (identity)",
        lambda shape, v: Identity(shape),
        "Identity(x.shape)",
        lambda v: recipes.denoise(),
        "recipes.denoise()",
    ),
    "random": OperatorChoice(
        "Mask: random pixels",
        lambda shape, v: Mask(masks.random(shape[-2:], v["keep"]), shape[0]),
        "Mask(masks.random(x.shape[-2:], {keep}), x.shape[0])",
        lambda v: recipes.inpaint_random(),
        "recipes.inpaint_random()",
        (Parameter("keep", "share of known pixels", 0.5, 0.05, 0.95, 0.05),),
    ),
    "text": OperatorChoice(
        "Mask: text",
        lambda shape, v: Mask(masks.text(shape[-2:], font_size=v["font_size"]), shape[0]),
        "Mask(masks.text(x.shape[-2:], font_size={font_size}), x.shape[0])",
        lambda v: recipes.inpaint_text(),
        "recipes.inpaint_text()",
        (Parameter("font_size", "font size (pixels)", 10, 6, 24, 1),),
    ),
    "holes": OperatorChoice(
        "Mask: holes",
        lambda shape, v: Mask(masks.holes(shape[-2:], v["count"], v["radius"]), shape[0]),
        "Mask(masks.holes(x.shape[-2:], {count}, {radius}), x.shape[0])",
        lambda v: recipes.inpaint_hole(),
        "recipes.inpaint_hole()",
        (Parameter("count", "number of holes", 3, 1, 10, 1), Parameter("radius", "radius (pixels)", 7, 2, 16, 1)),
    ),
    "lanczos": OperatorChoice(
        "Downsampling (Lanczos)",
        lambda shape, v: LanczosDownsampler(shape, v["factor"]),
        "LanczosDownsampler(x.shape, {factor})",
        lambda v: recipes.upscale(v["factor"]),
        "recipes.upscale({factor})",
        (Parameter("factor", "factor (2 or 4)", 4, 2, 4, 2),),
        noises=("gaussian", "none"),
    ),
    "gaussian": OperatorChoice(
        "Blur: Gaussian",
        lambda shape, v: Blur(shape, kernels.gaussian(v["sigma"])),
        "Blur(x.shape, kernels.gaussian({sigma}))",
        lambda v: recipes.restore(),
        "recipes.restore()",
        (Parameter("sigma", "width of the kernel (pixels)", 1.5, 0.5, 5, 0.25),),
        noises=_BETWEEN,
    ),
    "motion": OperatorChoice(
        "Blur: motion",
        lambda shape, v: Blur(shape, kernels.motion(v["length"], v["angle"])),
        "Blur(x.shape, kernels.motion({length}, {angle}))",
        lambda v: recipes.restore(),
        "recipes.restore()",
        (
            Parameter("length", "length of the path (pixels)", 9, 2, 21, 1),
            Parameter("angle", "angle (degrees)", 30, 0, 180, 5),
        ),
        noises=_BETWEEN,
    ),
    "radon": OperatorChoice(
        "Tomography (Radon)",
        lambda shape, v: Radon(shape, _equal_angles(v["angles"])),
        "Radon(x.shape, [180 * k / {angles} for k in range({angles})])",
        lambda v: recipes.restore(),
        "recipes.restore()",
        (Parameter("angles", "number of angles", 20, 4, 180, 1),),
        noises=_BETWEEN,
    ),
}
"""The operators."""

_SIGMA = Parameter("sigma", "σ (of values 0 to 255)", 25, 1, 100, 1)
NOISES = {
    "gaussian": NoiseChoice("Gaussian", lambda v: Gaussian(v["sigma"] / 255), "Gaussian({sigma} / 255)", (_SIGMA,)),
    "clipped": NoiseChoice(
        "Gaussian, clipped to 8 bits", lambda v: ClippedGaussian(v["sigma"] / 255), "ClippedGaussian({sigma} / 255)", (_SIGMA,)
    ),
    "poisson": NoiseChoice(
        "Poisson (photons)",
        lambda v: Poisson(v["peak"]),
        "Poisson({peak})",
        (Parameter("peak", "photons at white", 50, 5, 2000, 5),),
    ),
    "none": NoiseChoice("none", lambda v: 0.0, "0"),
}
"""The noise models."""

PRIORS = {"dip": "Deep image prior", "tv": "Total variation", "tikhonov": "Tikhonov", "none": "No prior"}
"""The priors: the key, and the label."""


def usual_values(parameters: Sequence[Parameter]) -> dict[str, float]:
    """What parameters are at first."""
    return {parameter.name: parameter.usual for parameter in parameters}
