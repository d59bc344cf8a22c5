"""The record of a run: what was read, what was solved, and what came out, as plain values for JSON."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dipops.cli.outputs import sha256
from dipops.errors import BadFile, safe_repr
from dipops.metrics import psnr
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result

_AS_THEY_ARE = ("seed", "steps", "seconds", "message", "source", "rollbacks", "precision")


def input_files(**paths: Path | None) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of each file, by its role."""
    return {role: {"path": str(path), "sha256": _sha256(path)} for role, path in paths.items() if path is not None}


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
    return {**solve_record(problem, result), **answer_record(problem, mean_and_std(result.image)[0], result.image)}


def solve_record(problem: Problem, result: Result) -> dict[str, Any]:
    """How a solve went."""
    record: dict[str, Any] = {name: getattr(result, name) for name in _AS_THEY_ARE}
    mean, _ = mean_and_std(result.image)
    return record | {
        "status": result.status.name,
        "image_steps": result.image_steps.tolist(),
        "objective": float(result.objective.mean()),
        "data_psnr_db": float(result.data_psnr.mean() if result.debiased.all() else problem.data_psnr(mean)[0]),
        "projected": bool(result.projected.all()),
        "debiased": bool(result.debiased.all()),
    }


def answer_record(problem: Problem, image: Tensor, runs: Tensor) -> dict[str, Any]:
    """What was solved, and how good the answer is: an image (1, C, H, W), from the images (N, C, H, W) of N runs."""
    _, std = mean_and_std(runs)
    record: dict[str, Any] = {
        "operator": safe_repr(problem.operator),
        "noise": safe_repr(problem.noise),
        "clipped": all(problem.is_clipped),
        "runs": len(runs),
        "device": str(problem.y.device),
    }
    if std is not None:
        record["std_of_white"] = float(std.max())
    if problem.truth is not None:
        record["psnr"] = float(psnr(image.to(problem.truth).clamp(0, 1), problem.truth[:1]))
    if problem.truth is not None and std is not None:
        record["psnr_of_runs"] = psnr(runs.clamp(0, 1), problem.truth[:1].expand_as(runs)).tolist()
    return record


def mean_and_std(images: Tensor) -> tuple[Tensor, Tensor | None]:
    """The answer, (1, C, H, W); of several runs their mean, and their standard deviation as one channel."""
    if len(images) == 1:
        return images, None
    std, mean = torch.std_mean(images, 0, keepdim=True)
    return mean, std.mean(1, keepdim=True)


def _sha256(path: Path) -> str:
    try:
        return sha256(path.read_bytes())
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}", "a file", "check the path") from error
