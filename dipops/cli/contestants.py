"""The priors, operators and images that compare takes, by the words of its options."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from dipops import classical, images, masks, recipes
from dipops._tools.fingerprints import contents
from dipops.cli.operators import Make, Shape, load_make, require_forward
from dipops.cli.options import LABELS, parse_int
from dipops.cli.solving import ConvexName, convex_recipe, prior_of_name
from dipops.contestants import BestWeight, Contestant
from dipops.errors import BadValue, nearest, safe_repr
from dipops.operators import Identity, LanczosDownsampler, LinearOrDifferentiableOperator, Mask, is_identity, is_mask
from dipops.priors import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe, Settings
from dipops.tune import Tuned

TV_SHARE = 0.5
"""The weight of TV next to a deep image prior, over what SURE chooses for TV alone: two priors share the work of one."""

_WITH_TV = "dip+tv"
_EXAMPLES = ("identity", "mask:0.5", "lanczos:4", "mine.py:make")
NETWORKS = frozenset({"dip", _WITH_TV})
"""The words of --priors that fit a network."""
_DENOISERS: dict[str, tuple[Callable[[Problem], Tensor], str]] = {
    "wavelet": (classical.wavelet, "pywt"),
    "nlm": (classical.non_local_means, "skimage.restoration"),
    "bm3d": (classical.bm3d, "bm3d"),
}
CONTESTANTS: dict[str, str] = {**LABELS, _WITH_TV: "DIP + TV", "wavelet": "wavelet", "nlm": "NLM", "bm3d": "BM3D"}
"""What tables call each word of --priors."""


def parse_priors(text: str, is_noisy: bool, settings: Settings, steps: int | None) -> dict[str, Contestant]:
    """The contestants by the words of --priors; ``steps`` is for the deep image prior."""
    words = [word.strip() for word in text.split(",")]
    if unknown := [word for word in words if word not in CONTESTANTS]:
        advice = f"write {nearest(unknown[0].lower(), CONTESTANTS, 1)}, and a comma between two"
        raise BadValue(f"priors {', '.join(unknown)}", f"some of {', '.join(CONTESTANTS)}", advice)
    if twice := [word for word, count in Counter(words).items() if count > 1]:
        raise BadValue(f"the prior {twice[0]} twice", "each once", "leave one out")
    if _WITH_TV in words and not is_noisy:
        raise BadValue(f"{_WITH_TV} without noise", "a --sigma above 0, by which SURE chooses the weight of TV", "leave it out")
    classical.require_packages(*(package for word, (_, package) in _DENOISERS.items() if word in words))
    dip = replace(recipes.restore(settings), adapt=partial(_at_steps, settings, steps))
    known: dict[str, Contestant] = {
        **{word: function for word, (function, _) in _DENOISERS.items()},
        **{"dip": dip, _WITH_TV: DipWithTV(dip), "none": _without_prior},
        **{"tv": partial(_at_best_weight, "tv"), "tikhonov": partial(_at_best_weight, "tikhonov")},
    }
    return {word: known[word] for word in words}


@dataclass(frozen=True)
class DipWithTV:
    """A deep image prior with total variation, at half of the weight that SURE chooses for total variation alone."""

    recipe: Recipe

    def __call__(self, problem: Problem, seed: int) -> Recipe:
        """The recipe for a problem."""
        recipe, tuned = self.recipe.at(problem), BestWeight(TotalVariation)(problem)
        if not isinstance(tuned, Tuned):
            raise BadValue("DIP + TV without noise", "noise, by which SURE chooses the weight of TV", "leave it out")
        source = f"{recipe.source}; TV at {TV_SHARE:g} of SURE's weight for it alone"
        return replace(recipe, prior=recipe.prior + TotalVariation(TV_SHARE * tuned.weight), source=source, adapt=None)


def parse_operator(text: str) -> Make:
    """The function of an image's shape that ``text`` names."""
    name, _, argument = text.rpartition(":")
    if text == "identity":
        return Identity
    if name == "mask":
        return partial(_mask, _parse_float(argument, "mask"))
    if name == "lanczos":
        return partial(_lanczos, parse_int(argument, "lanczos"))
    if name.endswith(".py"):
        return partial(_own, load_make(text))
    known = "identity, mask:KEEP, lanczos:FACTOR or FILE.py:NAME"
    advice = f"write {text}:make, say" if text.endswith(".py") else f"write {nearest(text, _EXAMPLES, 1)}, say"
    raise BadValue(f"operator {text!r}", known, advice)


def operator_names(texts: Sequence[str]) -> dict[str, str]:
    """The text of each operator by its name in tables: that of its file without folders."""
    return _distinct({text: Path(text).name for text in texts}, texts, "operator")


def load_images(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Images by the names of their files without suffix, or by their paths where two have one name."""
    names = _distinct({str(path): path.stem for path in paths}, [str(path.resolve()) for path in paths], "image")
    return {name.encode(errors="backslashreplace").decode(): images.load(path) for name, path in names.items()}


def dip_recipe(problem: Problem, settings: Settings) -> Recipe:
    """The deep image prior's recipe for a problem: of its task where there is no noise, else one that stops."""
    operator = problem.operator
    if is_identity(operator):
        return recipes.denoise(settings)
    if problem.is_noise_free and is_mask(operator):
        return recipes.inpaint_random(settings)
    if problem.is_noise_free and isinstance(operator, LanczosDownsampler):
        return recipes.upscale(operator.factor, settings)
    return recipes.restore(settings)


def _at_steps(settings: Settings, steps: int | None, _: Recipe, problem: Problem) -> Recipe:
    recipe = dip_recipe(problem, settings).at(problem)
    return recipe if steps is None else replace(recipe, steps=steps)


def _without_prior(problem: Problem, seed: int) -> Recipe:
    """Least squares, where what y says nothing about stays as it is drawn."""
    return convex_recipe(problem, "none")


def _at_best_weight(name: ConvexName, problem: Problem) -> Tuned | Recipe:
    return BestWeight(partial(prior_of_name, problem, name))(problem)


def _mask(keep: float, shape: Shape) -> Mask:
    return Mask(masks.random(shape[1:], keep=keep), channels=shape[0])


def _lanczos(factor: int, shape: Shape) -> LanczosDownsampler:
    return LanczosDownsampler(shape, factor)


def _own(make: Make, shape: Shape) -> LinearOrDifferentiableOperator:
    operator = make(shape)
    require_forward(operator)
    if contents(operator) != contents(make(shape)):
        came = f"{safe_repr(operator)}, which differs from one call of its function to the next"
        raise BadValue(came, "the same operator for the same shape", "seed what it draws: torch.Generator().manual_seed(0)")
    return operator


def _distinct(names: Mapping[str, str], given: Sequence[str], kind: str) -> dict[str, str]:
    """What was given by short names, or by itself where two short names are the same; the same twice is refused."""
    if twice := [text for text, count in Counter(given).items() if count > 1]:
        raise BadValue(f"the {kind} {twice[0]} twice", "each once", "leave one out")
    counts = Counter(names.values())
    named = {name if counts[name] == 1 else text: text for text, name in names.items()}
    return named if len(named) == len(names) else {text: text for text in names}  # a path may be another's short name


def _parse_float(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a number", "write for example 0.5") from None
