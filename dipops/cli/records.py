"""The record of a run: what was read, what was solved, and what came out, as plain values for JSON."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from dipops.errors import safe_repr
from dipops.metrics import psnr
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result

_AS_THEY_ARE = ("seed", "steps", "seconds", "message", "source", "rollbacks", "precision")


def digests(paths: Iterable[Path | None]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None}


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """What a recipe solves with, and where its settings come from."""
    return {
        "prior": safe_repr(recipe.prior),
        "method": safe_repr(recipe.method),
        "callbacks": list(map(safe_repr, recipe.callbacks)),
        "recipe_source": recipe.source,
    }


def result_record(problem: Problem, result: Result) -> dict[str, Any]:
    """The numbers of one solve, or of several runs of one image, whose answer is their mean."""
    image, std = mean_and_std(result)
    record: dict[str, Any] = {name: getattr(result, name) for name in _AS_THEY_ARE}
    record |= {
        "operator": safe_repr(problem.operator),
        "status": result.status.name,
        "runs": len(result.image),
        "image_steps": result.image_steps.tolist(),
        "objective": float(result.objective.mean()),
        "data_psnr_db": float(result.data_psnr.mean() if result.debiased.all() else problem.data_psnr(image)[0]),
        "noise": safe_repr(problem.noise),
        "projected": bool(result.projected.all()),
        "debiased": bool(result.debiased.all()),
        "device": str(problem.y.device),
    }
    if std is not None:
        record["std_of_white"] = float(std.max())
    if problem.truth is not None:
        record["psnr"] = float(psnr(image.clamp(0, 1), problem.truth[:1]))
    if problem.truth is not None and std is not None:
        record["psnr_of_runs"] = psnr(result.image.clamp(0, 1), problem.truth).tolist()
    return record


def mean_and_std(result: Result) -> tuple[Tensor, Tensor | None]:
    """The answer, (1, C, H, W); of several runs their mean, and their standard deviation as one channel."""
    if len(result.image) == 1:
        return result.image, None
    mean, std = result.ensemble()
    return mean, std.mean(1, keepdim=True)
