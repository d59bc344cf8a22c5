"""Solve a problem as a command asks."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Literal

import torch

from dipops import recipes
from dipops.cli.memory import SMALLER, fits, require_memory
from dipops.cli.options import RunOptions
from dipops.cli.writing import echo
from dipops.contestants import BestWeight
from dipops.errors import BadValue
from dipops.methods import ConjugateGradient, default_method
from dipops.noise import is_least_squares
from dipops.operators import FiniteDifferences, Identity, LinearOperator
from dipops.priors import NoPrior, Prior, Tikhonov, TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Ensemble, Result, estimate
from dipops.solver.cost import Estimate, duration
from dipops.tiling import can_tile, part_of, tiles
from dipops.tune import Tuned

ConvexName = Literal["tv", "tikhonov", "none"]
_LONG = 60.0
_PROBED = 256


def solve_recipe(problem: Problem, recipe: Recipe, run: RunOptions, checkpoint: Path | None = None) -> Result:
    """The result by a recipe; what cannot fit in memory is refused, and time and memory are printed where it takes a minute."""
    if _is_costed(problem, run, checkpoint):
        announce_cost(problem, recipe, run)
    return recipe.solve(problem, run.seed, run.steps, checkpoint, progress=not run.quiet)


def solve_runs(problem: Problem, recipe: Recipe, runs: int, run: RunOptions, checkpoint: Path | None = None) -> Ensemble:
    """Several runs of one image by a recipe: in one pass where they fit in memory, or into a checkpoint; else one by one."""
    together = True
    if _is_costed(problem, run, checkpoint):
        cost = announce_cost(problem, recipe, run, runs, "runs")
        together = checkpoint is not None or fits(runs * cost.bytes)
        if together:
            require_memory(runs * cost.bytes, f"{runs} runs in one checkpoint", "leave --checkpoint out, or make fewer runs")
    return recipe.ensemble(problem, runs, run.seed, run.steps, checkpoint, not run.quiet, together)


def announce_long(problem: Problem, recipe: Recipe, run: RunOptions, times: int, what: str) -> None:
    """As ``announce_cost``, without a look at a small problem of a quiet command."""
    if _is_costed(problem, run, None):
        announce_cost(problem, recipe, run, times, what)


def _is_costed(problem: Problem, run: RunOptions, checkpoint: Path | None) -> bool:
    """Whether to look at the cost of a solve before it begins."""
    return not (checkpoint and checkpoint.exists()) and (not run.quiet or _is_large(problem))


def announce_cost(problem: Problem, recipe: Recipe, run: RunOptions, times: int = 1, what: str = "solves") -> Estimate:
    """Refuse what cannot fit in memory; print time and memory of so many solves that take over a minute: the cost of one."""
    recipe = recipe.at(problem)
    cost = _cost(problem, recipe, run.steps or recipe.steps)
    height, width = problem.operator.in_shape[-2:]
    require_memory(cost.bytes, f"the deep image prior on {width} x {height} pixels", SMALLER)
    seconds = times * cost.seconds
    if run.quiet or seconds <= _LONG:
        return cost
    usual = recipe.usual_steps if recipe.callbacks else None
    often = f", usually under {duration(seconds * usual / cost.steps)}" if usual and usual < cost.steps else ""
    solves_and_steps = f"{f'{times} {what} of ' if times > 1 else ''}{cost.steps} steps"
    each = " each" if what == "runs" and times > 1 else ""
    echo(run.quiet, f"at most {duration(seconds)} ({solves_and_steps}){often}; memory about {cost.memory}{each}")
    return cost


def _cost(problem: Problem, recipe: Recipe, steps: int) -> Estimate:
    """What a solve will cost; of a large image, from a smaller one, by the number of pixels."""
    part = _smaller(problem) if _is_large(problem) and can_tile(problem.operator) else problem
    cost = estimate(part, recipe.prior, recipe.method, steps)
    ratio = prod(problem.operator.in_shape[-2:]) / prod(part.operator.in_shape[-2:])
    return replace(cost, seconds=ratio * cost.seconds, bytes=round(ratio * cost.bytes))


def _smaller(problem: Problem) -> Problem:
    """A tile of a problem; where the image has more pixels than y, of which a tile may be large too, grey of its own size."""
    operator = problem.operator
    if operator.in_shape != operator.out_shape:
        shape = (operator.in_shape[0], _PROBED, _PROBED)
        return Problem(Identity(shape), torch.full(shape, 0.5, device=problem.y.device))
    for tile in tiles(operator.out_shape[-2:], _PROBED, 1):
        with suppress(BadValue):  # a tile without a known pixel
            return part_of(problem, tile)
    return problem


def _is_large(problem: Problem) -> bool:
    """Whether a step takes so long, or so much memory, that a smaller one tells the cost."""
    return prod(problem.operator.in_shape[-2:]) > 4 * _PROBED**2


def solve_convex(
    problem: Problem, name: ConvexName, run: RunOptions, weight: float | None = None, checkpoint: Path | None = None
) -> tuple[Recipe, Result]:
    """Recipe and result at the given weight, else at SURE's where there is noise, else in the limit where Ax = y.

    What SURE has solved is not solved again, unless a number of steps or a checkpoint is given.
    """
    if name == "none" or weight is not None or not problem.is_noisy:
        recipe = convex_recipe(problem, name, weight)
    else:
        best = BestWeight(partial(prior_of_name, problem, name)).at(problem, run.seed, progress=not run.quiet)
        recipe = best.recipe if isinstance(best, Tuned) else best
        if isinstance(best, Tuned) and run.steps is None and checkpoint is None:
            return recipe, best.result
    return recipe, recipe.solve(problem, run.seed, run.steps, checkpoint, progress=not run.quiet)


def convex_recipe(problem: Problem, name: ConvexName, weight: float | None = None) -> Recipe:
    """The prior of that name at the given weight, or in the limit of a vanishing one, where Ax = y."""
    if name != "none" and weight is None:
        return recipes.limit(partial(prior_of_name, problem, name))
    prior = NoPrior() if weight is None else prior_of_name(problem, name, weight)
    solvable = weight is None and isinstance(problem.operator, LinearOperator) and is_least_squares(problem.noise)
    method = ConjugateGradient() if solvable else default_method(problem, prior)
    return Recipe(prior, method, method.steps, (), "no prior" if weight is None else "the weight that was given")


def prior_of_name(problem: Problem, name: ConvexName, weight: float) -> Prior:
    """TV, or Tikhonov of differences, of a weight."""
    if name == "tv":
        return TotalVariation(weight)
    return Tikhonov(weight, FiniteDifferences(problem.operator.in_shape).to(problem.y))
