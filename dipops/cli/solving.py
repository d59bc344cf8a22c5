"""Solve a problem as a command asks."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import typer

from dipops import images, recipes
from dipops.cli.options import RunOptions
from dipops.methods import default_method
from dipops.operators import FiniteDifferences, Identity
from dipops.priors import NoPrior, Prior, Tikhonov, TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result, estimate
from dipops.tune import SURE, tune

ConvexName = Literal["tv", "tikhonov", "none"]
_LONG = 60.0


def solve_recipe(problem: Problem, recipe: Recipe, run: RunOptions, checkpoint: Path | None = None) -> Result:
    """The result by a recipe; unless the run is quiet or resumed, its cost is printed before where it is over a minute."""
    if not run.quiet and not (checkpoint and checkpoint.exists()):
        print_cost_estimate(problem, recipe, run.steps)
    return recipe.solve(problem, run.seed, run.steps, checkpoint, progress=not run.quiet)


def print_cost_estimate(problem: Problem, recipe: Recipe, steps: int | None) -> None:
    """Print time and memory of a solve that takes over a minute."""
    recipe = recipe.at(problem)
    cost = estimate(problem, recipe.prior, recipe.method, steps or recipe.steps)
    if cost.seconds > _LONG:
        typer.echo(f"{cost}{'; a stopping rule may end it sooner' if recipe.callbacks else ''}")


def solve_convex(
    problem: Problem, name: ConvexName, run: RunOptions, weight: float | None = None, checkpoint: Path | None = None
) -> tuple[Recipe, Result]:
    """Recipe and result at the given weight, else at SURE's where there is noise, else in the limit where Ax = y.

    Where σ is not known for a measurement that is an image, it is estimated from that image. What SURE has solved is not
    solved again, unless a number of steps or a checkpoint is given.
    """
    if problem.noise is None and isinstance(problem.operator, Identity):
        problem = replace(problem, noise=images.noise_level(problem.y))
    if name == "none" or weight is not None or not problem.is_noisy:
        recipe = convex_recipe(problem, name, weight)
    else:
        tuned = tune(problem, partial(_prior, problem, name), SURE(), seed=run.seed, progress=not run.quiet)
        recipe = tuned.recipe
        if run.steps is None and checkpoint is None:
            return recipe, tuned.result
    return recipe, recipe.solve(problem, run.seed, run.steps, checkpoint, progress=not run.quiet)


def convex_recipe(problem: Problem, name: ConvexName, weight: float | None = None) -> Recipe:
    """The prior of that name at the given weight, or in the limit of a vanishing one, where Ax = y."""
    if name != "none" and weight is None:
        return recipes.limit(partial(_prior, problem, name))
    prior = NoPrior() if weight is None else _prior(problem, name, weight)
    method = default_method(problem, prior)
    return Recipe(prior, method, method.steps, (), "no prior" if weight is None else "the weight that was given")


def _prior(problem: Problem, name: ConvexName, weight: float) -> Prior:
    if name == "tv":
        return TotalVariation(weight)
    return Tikhonov(weight, FiniteDifferences(problem.operator.in_shape).to(problem.y))
