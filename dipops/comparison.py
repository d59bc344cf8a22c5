"""Several priors on one problem, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dipops import plot
from dipops.errors import BadType, BadValue
from dipops.methods.projection import consistency
from dipops.metrics import psnr, ssim
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.result import Result
from dipops.solver.solve import solve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SSIM_SIDE = 11


@dataclass(frozen=True)
class Comparison:
    """Results of several priors on one problem.

    Attributes:
        problem: what was solved.
        results: by name.
    """

    problem: Problem
    results: dict[str, Result]

    def rows(self) -> list[dict[str, Any]]:
        """One row a prior; for a batch, means.

        PSNR and SSIM are of values clipped to [0, 1], and None without a truth; consistency is in dB; what ``tune`` took
        before is not in the seconds; then the steps, and why it stopped.
        """
        return [{"prior": name, **self._row(result)} for name, result in self.results.items()]

    def table(self) -> str:
        """The rows as Markdown."""
        heads = ("prior", "PSNR (dB)", "SSIM", "consistency (dB)", "seconds", "steps", "stopped")
        lines = [heads, ["---"] * len(heads)]
        for row in self.rows():
            numbers = (_shown(row["psnr"], 2), _shown(row["ssim"], 3), _shown(row["consistency"], 1), _shown(row["seconds"], 1))
            lines.append((row["prior"], *numbers, str(row["steps"]), row["stopped"]))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def figure(self) -> "Figure":
        """The first member of every result, over its consistency and, where the truth is known, its PSNR."""
        scores = {row["prior"]: row for row in self.rows()}
        pictures = {
            f"{name}\nconsistency {_shown(scores[name]['consistency'], 1)} dB": result.image[0]
            for name, result in self.results.items()
        }
        if self.problem.y.shape[1:] == self.problem.operator.in_shape:
            pictures = {"measurement": self.problem.y[0], **pictures}
        truth = None if self.problem.truth is None else self.problem.truth[0]
        return plot.compare(pictures if truth is None else {**pictures, "truth": truth}, truth)

    def _row(self, result: Result) -> dict[str, Any]:
        truth, shown = self.problem.truth, result.image.clamp(0, 1)
        large = min(shown.shape[-2:]) >= _SSIM_SIDE
        with torch.no_grad():
            fit = consistency(self.problem.operator, result.image, self.problem.y)
        return {
            "psnr": None if truth is None else float(psnr(shown, truth).mean()),
            "ssim": float(ssim(shown, truth).mean()) if truth is not None and large else None,
            "consistency": float(fit.mean()),
            "seconds": result.seconds,
            "steps": result.steps,
            "stopped": result.stopped,
        }


def compare(problem: Problem, priors: Mapping[str, Prior | Recipe], seed: int = 0, progress: bool = True) -> Comparison:
    """Solve one problem with several priors.

    Args:
        problem: what to solve.
        priors: name to a prior, solved by its default method, or to a recipe: ``recipes.denoise(sigma)``, say, or the
            ``recipe`` that ``tune`` found.
        seed: the same for all.
        progress: whether to show bars.

    Raises:
        BadValue: there is no prior.
        BadType: one is neither prior nor recipe.
    """
    if not isinstance(priors, Mapping):
        raise BadType(f"priors = {priors!r}", "a mapping of names", 'pass {"TV": TotalVariation(0.1)}')
    if not priors:
        raise BadValue("no priors", "at least one", 'pass {"TV": TotalVariation(0.1)}')
    for name, prior in priors.items():
        if not isinstance(prior, Prior | Recipe):
            raise BadType(f"{name}: a {type(prior).__name__}", "a prior or a recipe", "pass tune(...).recipe for a tuned one")
    results = {
        name: solve(problem, prior, seed=seed, progress=progress)
        if isinstance(prior, Prior)
        else prior.solve(problem, seed, progress=progress)
        for name, prior in priors.items()
    }
    return Comparison(problem, results)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
