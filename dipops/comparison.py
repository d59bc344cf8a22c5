"""Several contestants on one problem."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dipops import plot
from dipops._tools.tables import markdown
from dipops.contestants import Contestant, require_contestants, scores, solve_by
from dipops.problem import Problem, require_problem
from dipops.solver import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """Results of several contestants on one problem.

    Attributes:
        problem: what was solved.
        results: by name.
    """

    problem: Problem
    results: dict[str, Result]

    def rows(self) -> list[dict[str, Any]]:
        """One row per prior; for a batch, means.

        PSNR and SSIM are of values clipped to [0, 1], and None without a ground truth, SSIM also for signals and for images
        under 11 pixels; the data PSNR is that between A(x) and y; the seconds do not include ``tune``; then the steps, and
        why the solve ended.
        """
        return [{"prior": name, **self._row(result)} for name, result in self.results.items()]

    def table(self) -> str:
        """The rows as Markdown."""
        heads = ("prior", "PSNR (dB)", "SSIM", "data PSNR (dB)", "seconds", "steps", "ended")
        digits = {"psnr": 2, "ssim": 3, "data_psnr": 1, "seconds": 1}
        rows = self.rows()
        lines = [
            [row["prior"], *(_format(row[name], places) for name, places in digits.items()), str(row["steps"]), row["message"]]
            for row in rows
        ]
        return markdown(heads, lines)

    def figure(self) -> "Figure":
        """The first member of every result, with its data PSNR and, where the ground truth is known, its PSNR below.

        Raises:
            BadValue: the images are no (H, W) or (1 or 3, H, W).
        """
        scores = {row["prior"]: row for row in self.rows()}
        images = {
            f"{name}\ndata PSNR {_format(scores[name]['data_psnr'], 1)} dB": _planes(result.image[0])
            for name, result in self.results.items()
        }
        if self.problem.y.shape[1:] == self.problem.operator.in_shape:
            images = {"measurement": _planes(self.problem.y[0]), **images}
        truth = None if self.problem.truth is None else _planes(self.problem.truth[0])
        return plot.compare(images if truth is None else {**images, "ground truth": truth}, truth)

    def _row(self, result: Result) -> dict[str, Any]:
        return {
            "psnr": None,
            "ssim": None,
            **({} if self.problem.truth is None else scores(self.problem, result.image)),
            "data_psnr": float(result.data_psnr.mean()),
            "seconds": result.seconds,
            "steps": result.steps,
            "message": result.message,
        }


def compare(problem: Problem, priors: Mapping[str, Contestant], seed: int = 0, progress: bool = True) -> Comparison:
    """Solve one problem with several priors. :func:`dipops.study.study` does so for many problems and seeds.

    Every answer is corrected for clipped noise where ``recipes.debiased`` applies, also that of a plain prior, but not the
    image of a function, which is taken as it is.

    Args:
        problem: what to solve.
        priors: contestants by name. A prior is solved by its default method. A recipe is ``recipes.denoise()``, for example, or
            the ``recipe`` that ``tune`` found. A function takes a problem, and ``seed`` where it draws at random; it returns an
            image (N, *in_shape), a Result, a prior or a recipe, as ``classical.wavelet`` and ``BestWeight(TotalVariation)`` do.
        seed: the same for all.
        progress: whether to show bars.

    Raises:
        BadType: something is not what it is called, such as the class of a prior instead of its instance.
        BadValue: there is no prior.
    """
    require_problem(problem)
    named = require_contestants(priors, "prior")
    return Comparison(problem, {name: _named(name, contestant, problem, seed, progress) for name, contestant in named.items()})


def _named(name: str, contestant: Contestant, problem: Problem, seed: int, progress: bool) -> Result:
    """The result of a contestant, which gets a copy of the problem; an error says whose it is."""
    try:
        return solve_by(contestant, problem.repeat(1), seed, progress)
    except Exception as error:
        error.add_note(f"raised by the contestant {name!r}")
        raise


def _planes(image: Tensor) -> Tensor:
    """An image to draw: (H, W) gets its one channel."""
    return image[None] if image.ndim == 2 else image


def _format(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
