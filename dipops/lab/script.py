"""The Python that repeats a run of the lab."""

import re

from dipops.lab.choices import IMAGES, NOISES, OPERATORS, PRIORS
from dipops.lab.settings import UPLOAD, Settings

_UPLOADED = """x = images.load({name!r})  # the image that was uploaded
least = min(x.shape[-2:])
x = images.resize(images.centre_crop(x, (least, least)), ({side}, {side})).clamp(0, 1)"""
_TEXT = """{imports}

{image}
problem = Problem.simulate({operator}, x, {noise})
priors = {{
{priors}
}}
compared = compare(problem, priors)
print(compared.table())
compared.figure().savefig("lab.png")
"""
_TOP = (
    *("ClippedGaussian", "Gaussian", "Identity", "LanczosDownsampler", "Mask", "NoPrior", "Poisson", "Problem"),
    *("Tikhonov", "TotalVariation", "compare", "images", "masks", "recipes", "tune"),
)
_OPERATORS = ("Blur", "Radon", "kernels")


def python_of(settings: Settings, photo_name: str = "photo.png") -> str:
    """A program that makes the same problem, solves it with the same priors and prints their scores.

    Args:
        settings: what is solved.
        photo_name: the file that was uploaded, in the folder where the program is run.
    """
    image, side = settings.image, settings.side
    parts = {
        "image": _UPLOADED.format(name=photo_name, side=side)
        if image == UPLOAD
        else f"x = {IMAGES[image].code}".format(side=side),
        "operator": OPERATORS[settings.operator.key].code.format(**settings.operator.values),
        "noise": NOISES[settings.noise.key].code.format(**settings.noise.values),
        "priors": "\n".join(f'    "{PRIORS[prior]}": {_prior(settings, prior)},' for prior in settings.priors),
    }
    return _TEXT.format(imports=_imports("".join(parts.values())), **parts)


def _prior(settings: Settings, prior: str) -> str:
    if prior == "dip":
        recipe = OPERATORS[settings.operator.key].recipe_code.format(**settings.operator.values)
        return f"replace({recipe}, steps={settings.steps}{'' if settings.stops else ', callbacks=()'})"
    if prior == "none":
        return "NoPrior()"
    if prior == "tv" and settings.weight is not None:
        return f"TotalVariation({settings.weight})"
    rule = ", tune.Discrepancy()" if settings.noise.key == "poisson" else ""
    return f"BestWeight({'TotalVariation' if prior == 'tv' else 'Tikhonov'}{rule})"


def _imports(code: str) -> str:
    """The imports of the names that the code uses."""
    used = code + "Problem compare"
    lines = ["from dataclasses import replace", ""] if "replace(" in used else []
    lines.append(f"from dipops import {', '.join(name for name in _TOP if _uses(used, name))}")
    if "BestWeight" in used:
        lines.append("from dipops.contestants import BestWeight")
    if operators := [name for name in _OPERATORS if _uses(used, name)]:
        lines.append(f"from dipops.operators import {', '.join(operators)}")
    return "\n".join(lines)


def _uses(code: str, name: str) -> bool:
    """Whether a name stands in code as a word."""
    return re.search(rf"\b{name}\b", code) is not None
