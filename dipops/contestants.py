"""What competes in a comparison or a study: a prior, a recipe, or a function of the problem."""

import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, require_instance, safe_repr
from dipops.methods import ConjugateGradient, PrimalDual, default_method
from dipops.metrics import psnr, ssim
from dipops.priors import Prior, ProximalPrior
from dipops.problem import Problem
from dipops.recipes import VARIANCE, Recipe, debiased, limit
from dipops.solver import Result
from dipops.solver.result import computed
from dipops.solver.solve import default_callbacks, require_solvable
from dipops.stopping import Discrepancy, Observe, Oracle, StopRule
from dipops.tune import SURE, Rule, Tuned, tune

__all__ = ["ANSWER", "AVERAGE", "LAST", "ORACLE", "STOPPED", "BestWeight", "Contestant"]

Contestant = Prior | Recipe | Callable[..., Any]
"""A prior, solved by its default method; a recipe; or a function of a problem, and of ``seed`` where it draws at random, which
gives an image (N, *in_shape), a Result, what ``tune`` gives, or a prior or a recipe for that problem."""

ANSWER, LAST, AVERAGE, STOPPED, ORACLE = "answer", "last", "average", "stopped", "oracle"
_SSIM_SIDE = 11
_SURE = SURE()
_ADVICE = 'write {"TV": TotalVariation(0.1)}'


@dataclass(frozen=True)
class BestWeight:
    """A contestant: a convex prior at the weight that a rule chooses; if the noise is unknown or zero, in the limit Ax = y.

    Args:
        prior_of_weight: makes the prior of a weight, such as ``TotalVariation`` itself.
        rule: chooses the weight; SURE needs normal noise of known σ.
    """

    prior_of_weight: Callable[[float], Prior]
    rule: Rule = _SURE

    def __call__(self, problem: Problem) -> Tuned | Recipe:
        """What ``tune`` gives; where the noise is not known or zero the recipe of the limit."""
        return self.at(problem)

    def at(self, problem: Problem, seed: int = 0, progress: bool = False) -> Tuned | Recipe:
        """The same with a seed and a progress bar for ``tune``."""
        if not problem.is_noisy:
            return limit(self.prior_of_weight)
        return tune(problem, self.prior_of_weight, self.rule, seed=seed, progress=progress)


@dataclass(frozen=True)
class Outcome:
    """What a contestant made of a problem of one image.

    Attributes:
        result: the solve, or the image of a function as a Result.
        settings: what it was solved with, in words.
        columns: by column of a table an image (1, *in_shape) and the step that it is from. The first is the answer. A solve
            with a generator has the last output, the average, what a stop without the ground truth kept, and the best step too.
            That stop is the recipe's own, else the discrepancy where there is noise, else the variance; where it has kept
            nothing it is the answer.
    """

    result: Result
    settings: str
    columns: Mapping[str, tuple[Tensor, int]]


def require_contestants(contestants: object, role: str) -> dict[str, Contestant]:
    """The contestants by name, or BadType or BadValue where something is not what it is called."""
    if not isinstance(contestants, Mapping):
        raise BadType(f"a {type(contestants).__name__} for the {role}s", "a dict of names", _ADVICE)
    for name, contestant in contestants.items():
        require_name(name)
        if isinstance(contestant, type) or not callable(contestant):
            expected = "a prior, a recipe or a function of a problem"
            require_instance(contestant, (Prior, Recipe), f"{role} {name!r}", expected, f"{_ADVICE}, say")
    if not contestants:
        raise BadValue(f"no {role}s", "at least one", _ADVICE)
    return dict(contestants)


def require_name(name: object) -> None:
    """Refuse what cannot stand in a table with BadValue."""
    if not isinstance(name, str) or "|" in name or len(name.splitlines()) != 1:
        raise BadValue(f"the name {name!r}", "one line without |, for the table", "choose such a name")


def require_fitting(contestant: Contestant, problem: Problem) -> None:
    """Refuse a problem that a prior or a recipe cannot start on, such as one of too few pixels; a function is not called."""
    if isinstance(contestant, Prior | Recipe):
        recipe = _recipe_at(problem, contestant)
        require_solvable(problem, recipe.prior, recipe.method, recipe.callbacks, recipe.steps)
        deepcopy(recipe.prior).start(problem, range(len(problem.y)))


def draws(contestant: Contestant, problem: Problem) -> bool:
    """Whether a contestant depends on the seed: a function that takes ``seed``, and a solve unless a convex penalty decides."""
    if not isinstance(contestant, Prior | Recipe):
        with suppress(ValueError):  # a function that is not written in Python may have no signature
            return "seed" in inspect.signature(contestant).parameters
        return False
    recipe = contestant if isinstance(contestant, Recipe) else _recipe_at(problem, contestant)
    return not (isinstance(recipe.prior, ProximalPrior) and isinstance(recipe.method, PrimalDual | ConjugateGradient))


def solve_by(contestant: Contestant, problem: Problem, seed: int | None = 0, progress: bool = True) -> Result:
    """The result of a contestant.

    What was solved is corrected for clipped noise where ``recipes.debiased`` applies; an image of a function is taken as it is.

    Args:
        contestant: a prior, a recipe or a function.
        problem: what to solve.
        seed: of all that is random; None for what does not draw.
        progress: whether to show bars.

    Raises:
        BadType: a function gives something else.
        BadValue: its image is not finite or has another shape, or it gives a prior that draws, and does not take ``seed``.
    """
    recipe, result = _called(contestant, problem, seed)
    return result or _solved(problem, recipe, seed, progress)


def outcome_of(contestant: Contestant, problem: Problem, seed: int | None = 0, progress: bool = True) -> Outcome:
    """What a contestant makes of a batch of one, followed by a stop and the oracle where it fits a generator.

    Raises as ``solve_by``; the ground truth must be known.
    """
    recipe, result = _called(contestant, problem, seed)
    settings = safe_repr(recipe or contestant)
    if result is None and recipe is not None and not recipe.prior.on_pixels:
        result, columns = followed(problem, recipe, seed or 0, progress=progress)
        result, answer = debiased(problem, result), columns[ANSWER]
        corrected = {
            name: (result.image if column is answer else _corrected(problem, result, column[0]), column[1])
            for name, column in columns.items()
        }
        return Outcome(result, settings, corrected)
    result = result or _solved(problem, recipe, seed, progress)
    return Outcome(result, settings, {ANSWER: (result.image, int(result.image_steps[0]))})


def followed(
    problem: Problem, recipe: Recipe, seed: int = 0, steps: int | None = None, progress: bool = True
) -> tuple[Result, dict[str, tuple[Tensor, int]]]:
    """The solve of a batch of one by a recipe, followed by a stop and, with a ground truth, the oracle; and its columns.

    A column is an image (1, *in_shape) and the step that it is from, as in ``Outcome``. All but the answer are as they come,
    neither projected nor corrected for clipped noise.
    """
    stops = any(isinstance(callback, StopRule) for callback in recipe.callbacks)
    followers: list[Any] = [] if stops else [Observe(Discrepancy() if problem.is_noisy else VARIANCE)]
    followers += [] if problem.truth is None else [Oracle()]
    result = replace(recipe, callbacks=(*recipe.callbacks, *followers)).solve(problem, seed, steps, progress=progress)
    observed = result.observed[len(result.observed) - len(followers) :]
    answer = (result.image, int(result.image_steps[0]))
    columns = {ANSWER: answer, LAST: (result.last, result.steps)}
    if result.average is not None:
        columns[AVERAGE] = (result.average, result.steps)
    kept = [(rule.image, int(rule.image_steps[0])) for rule in observed]
    columns[STOPPED] = answer if stops or not kept[0][1] else kept[0]
    if problem.truth is not None:
        columns[ORACLE] = kept[-1]
    return result, columns


def scores(problem: Problem, image: Tensor) -> dict[str, float]:
    """PSNR and SSIM of values clipped to [0, 1], means over a batch, without SSIM where images are signals or under 11 pixels.

    The ground truth must be known.
    """
    assert problem.truth is not None
    shape, clipped = problem.operator.in_shape, image.clamp(0, 1)
    values = {"psnr": float(psnr(clipped, problem.truth, image_dims=len(shape)).mean())}
    if len(shape) > 1 and min(shape[-2:]) >= _SSIM_SIDE:
        values["ssim"] = float(ssim(clipped, problem.truth, image_dims=len(shape)).mean())
    return values


def _called(contestant: Contestant, problem: Problem, seed: int | None) -> tuple[Recipe | None, Result | None]:
    """The recipe of a contestant for a problem, None for a function that solves nothing, and the result where it is there."""
    given: Any = contestant
    started = time.perf_counter()
    if not isinstance(contestant, Prior | Recipe):
        given = contestant(problem, seed=seed or 0) if draws(contestant, problem) else contestant(problem)
    if isinstance(given, Tensor):
        _require_image(problem, given)
        return None, computed(problem, given.to(problem.y), time.perf_counter() - started)
    expected = "a Result, an image, what tune gives, a prior or a recipe"
    require_instance(given, (Result, Tuned, Prior, Recipe), "contestant", expected, "return one")
    if isinstance(given, Result | Tuned):
        result = given if isinstance(given, Result) else given.result
        _require_image(problem, result.image)
        return None if isinstance(given, Result) else given.recipe, debiased(problem, result)
    if seed is None and draws(given, problem):
        raise BadValue("a function that gives a prior that draws", "one that takes seed", "write lambda problem, seed: ...")
    return _recipe_at(problem, given), None


def _solved(problem: Problem, recipe: Recipe | None, seed: int | None, progress: bool) -> Result:
    assert recipe is not None
    return debiased(problem, recipe.solve(problem, seed or 0, progress=progress))


def _recipe_at(problem: Problem, contestant: Prior | Recipe) -> Recipe:
    """The settings for one problem; of a prior those that ``solve`` takes by default."""
    if isinstance(contestant, Recipe):
        return replace(contestant.at(problem), adapt=None)
    method = default_method(problem, contestant)
    callbacks = default_callbacks(problem, contestant, method)
    return Recipe(contestant, method, method.steps, callbacks, "the defaults of solve", debiases=True)


def _corrected(problem: Problem, result: Result, image: Tensor) -> Tensor:
    """Another image of a solve, corrected for clipped noise as its answer is."""
    return debiased(problem, replace(result, image=image, debiased=torch.zeros_like(result.debiased))).image


def _require_image(problem: Problem, image: Tensor) -> None:
    expected = (len(problem.y), *problem.operator.in_shape)
    if tuple(image.shape) != expected:
        raise BadValue(f"an image of shape {tuple(image.shape)} from a function", f"shape {expected}", "return a batch")
    if not bool(image.isfinite().all()):
        raise BadValue("an image with NaN or infinity from a function", "finite values", "look at the function")
