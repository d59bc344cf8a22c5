"""The curves of a solve."""

from torch import Tensor

from dipops.metrics import psnr_of_error_
from dipops.problem import Problem


class Trace:
    """The curves of a solve, on the device: objective, and PSNR where the ground truth is known, of shape (steps, N)."""

    def __init__(self, problem: Problem, steps: int, averages: bool) -> None:
        names = ["objective"]
        if problem.truth is not None:
            names += ["psnr", "psnr_average"] if averages else ["psnr"]
        self._truth, self._image_dims = problem.truth, tuple(range(-len(problem.operator.in_shape), 0))
        self._table = problem.y.new_full((len(names), steps, len(problem.y)), float("nan"))
        self._curves = dict(zip(names, self._table, strict=True))

    def record(self, index: int, objective: Tensor | None, image: Tensor, average: Tensor | None) -> None:
        """Add step ``index``, counted from 1. What was not measured stays NaN."""
        if objective is not None:
            self._curves["objective"][index - 1] = objective
        if self._truth is not None:
            self._curves["psnr"][index - 1] = psnr_of_error_(image - self._truth, self._image_dims)
            if average is not None:
                self._curves["psnr_average"][index - 1] = psnr_of_error_(average - self._truth, self._image_dims)

    def load(self, curves: dict[str, Tensor]) -> None:
        """Set the first entries of every curve to what ``window(0, steps)`` gave."""
        for name, values in curves.items():
            self._curves[name][: len(values)] = values

    def window(self, start: int, stop: int) -> dict[str, Tensor]:
        """Entries ``start`` to ``stop`` of every curve, on the CPU; all are copied at once."""
        table = self._table[:, max(start, 0) : stop].cpu()
        return {name: curve.clone() for name, curve in zip(self._curves, table, strict=True)}
