"""No prior, Tikhonov on the gradient and total variation, with the weight chosen by rule where none is given."""

from functools import partial
from typing import Literal

from dipops import images
from dipops.methods.default import default_method
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import Identity
from dipops.priors.interface import NoPrior, Prior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.result import Result
from dipops.tune import SURE, Limit, tune

ConvexName = Literal["tv", "tikhonov", "none"]


def solve_convex(
    problem: Problem,
    name: ConvexName,
    weight: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Recipe, Result]:
    """Solve at the given weight, else at the one that SURE chooses where there is noise, else in the limit Ax = y.

    Where σ is not known for a measurement that is an image, it is estimated from that image.
    """
    sigma = problem.sigma
    if sigma is None and isinstance(problem.operator, Identity):
        sigma = images.noise_level(problem.y)
    if name == "none" or weight is not None or not sigma:
        recipe = convex_recipe(problem, name, weight)
        return recipe, recipe.solve(problem, seed, steps, progress=progress)
    tuned = tune(problem, partial(_prior, problem, name), SURE(sigma), seed=seed, progress=progress)
    return tuned.recipe, tuned.result


def convex_recipe(problem: Problem, name: ConvexName, weight: float | None = None) -> Recipe:
    """The prior of that name at the given weight, or in the limit of a vanishing one, where Ax = y."""
    if name != "none" and weight is None:
        return Limit().recipe(partial(_prior, problem, name))
    prior = NoPrior() if weight is None else _prior(problem, name, weight)
    method = default_method(problem, prior)
    return Recipe(prior, method, method.steps, (), "no prior" if weight is None else "the weight that was given")


def _prior(problem: Problem, name: ConvexName, weight: float) -> Prior:
    if name == "tv":
        return TotalVariation(weight)
    return Tikhonov(weight, FiniteDifferences(problem.operator.in_shape).to(problem.y))
