"""The curves of a solve, and the bar that shows how far it is."""

import sys
from typing import Any

from torch import Tensor

from dipops.metrics import psnr
from dipops.problem import Problem


class Trace:
    """The curves of a solve, kept on the device: objective, and PSNR where the truth is known, of shape (steps, N)."""

    def __init__(self, problem: Problem, steps: int, averages: bool) -> None:
        names = ["objective"]
        if problem.truth is not None:
            names += ["psnr", "psnr_average"] if averages else ["psnr"]
        self._truth = problem.truth
        self._curves = {name: problem.y.new_full((steps, len(problem.y)), float("nan")) for name in names}

    def record(self, index: int, objective: Tensor | None, image: Tensor, average: Tensor | None) -> None:
        """Take in step ``index``, counted from 1. What was not measured stays NaN."""
        if objective is not None:
            self._curves["objective"][index - 1] = objective
        if self._truth is not None:
            self._curves["psnr"][index - 1] = psnr(image, self._truth)
            if average is not None:
                self._curves["psnr_average"][index - 1] = psnr(average, self._truth)

    def load(self, curves: dict[str, Tensor]) -> None:
        """Take in the first entries of every curve, as ``window(0, steps)`` gave them."""
        for name, values in curves.items():
            self._curves[name][: len(values)] = values.to(self._curves[name].device)

    def window(self, start: int, stop: int) -> dict[str, Tensor]:
        """Entries ``start`` to ``stop`` of every curve, on the CPU."""
        return {name: curve[start:stop].cpu().clone() for name, curve in self._curves.items()}


def progress_bar(steps: int, shown: bool, unit: str = "step", done: int = 0) -> Any:
    """A tqdm bar for a terminal or a notebook, or a silent one; into a file it writes a line every half minute at most.

    Beneath another bar it goes when it is full.
    """
    from tqdm.auto import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    looks = {"dynamic_ncols": True, "mininterval": 0.1 if watched else 30, "leave": None}
    return tqdm(total=steps, initial=done, disable=not shown, unit=unit, **looks)
