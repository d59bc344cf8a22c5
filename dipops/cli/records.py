"""The record of a run: what was read, what was solved, and what came out, as plain values for JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dipops.cli.outputs import sha256
from dipops.errors import BadFile, safe_repr
from dipops.metrics import psnr
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Ensemble, Result

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
    """The numbers of one solve of one image."""
    return {**solve_record(problem, result), **answer_record(problem, result.image, result.image)}


def solve_record(problem: Problem, result: Result) -> dict[str, Any]:
    """How a solve went."""
    record: dict[str, Any] = {name: getattr(result, name) for name in _AS_THEY_ARE}
    mean = result.image.mean(0, keepdim=True)
    return record | {
        "status": result.status.name,
        "image_steps": result.image_steps.tolist(),
        "objective": float(result.objective.mean()),
        "data_psnr_db": float(result.data_psnr.mean() if result.debiased.all() else problem.data_psnr(mean)[0]),
        "projected": bool(result.projected.all()),
        "debiased": bool(result.debiased.all()),
    }


def ensemble_record(problem: Problem, ensemble: Ensemble) -> dict[str, Any]:
    """How the solves of an ensemble went: in one pass, or one after another."""
    solves = [solve_record(problem.repeat(len(result.image)), result) for result in ensemble.solves]
    record = solves[0]
    if len(solves) > 1:
        record = {**several_record(solves, "runs one after another"), "seed": record["seed"], "runs_one_by_one": solves}
    return {**record, "projected": bool(ensemble.projected.all()), "debiased": bool(ensemble.debiased.all())}


def several_record(solves: Sequence[dict[str, Any]], what: str) -> dict[str, Any]:
    """What several solves took in all."""
    steps, seconds = (sum(solve[name] for solve in solves) for name in ("steps", "seconds"))
    source = [image for solve in solves for image in solve["source"]]
    return {"steps": steps, "seconds": seconds, "source": source, "message": f"solved {len(solves)} {what} in {steps} steps"}


def answer_record(problem: Problem, image: Tensor, runs: Tensor) -> dict[str, Any]:
    """What was solved, and how good the answer is: an image (1, C, H, W), from the images (N, C, H, W) of N runs."""
    record: dict[str, Any] = {
        "operator": safe_repr(problem.operator),
        "noise": safe_repr(problem.noise),
        "clipped": all(problem.is_clipped),
        "runs": len(runs),
        "device": str(problem.y.device),
    }
    if problem.truth is not None:
        record["psnr"] = psnr_of(image, problem)
    if problem.truth is not None and len(runs) > 1:
        record["psnr_of_runs"] = [psnr_of(run[None], problem) for run in runs]
    return record


def psnr_of(image: Tensor, problem: Problem) -> float:
    """PSNR in dB of an image (1, C, H, W) for the ground truth of the problem."""
    assert problem.truth is not None
    return float(psnr(image.to(problem.truth).clamp(0, 1), problem.truth))


def _sha256(path: Path) -> str:
    try:
        return sha256(path.read_bytes())
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}", "a file", "check the path") from error
