"""The paper's settings for each task, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from dipops.errors import BadValue
from dipops.methods.descent import Descent
from dipops.methods.interface import Method
from dipops.monitor import Average, Monitor
from dipops.priors.deep_image_prior import DeepImagePrior
from dipops.priors.generators.hourglass import Hourglass
from dipops.priors.generators.layers import Upsampling
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.result import Result
from dipops.solver import solve

_PAPER = "Ulyanov, Vedaldi and Lempitsky, Deep Image Prior"


@dataclass(frozen=True)
class Recipe:
    """What ``solve`` needs beside a problem.

    Attributes:
        prior, method, steps, monitors: as ``solve`` takes them.
        source: where the settings come from.
    """

    prior: Prior
    method: Method
    steps: int
    monitors: Sequence[Monitor]
    source: str

    def solve(self, problem: Problem, seed: int = 0, steps: int | None = None, progress: bool = True) -> Result:
        """Solve the problem by these settings; ``steps`` replaces the recipe's number."""
        return solve(
            problem,
            self.prior,
            self.method,
            steps=self.steps if steps is None else steps,
            seed=seed,
            monitors=self.monitors,
            progress=progress,
        )


def denoise(sigma: float) -> Recipe:
    """Denoising: 3000 steps of Adam at 0.01; the noise on z is 1/30 up to σ = 37.5/255, and 1/20 above.

    Args:
        sigma: standard deviation of the noise in image units; the paper has 25/255 (1/30) and 50/255 (1/20).

    Raises:
        BadValue: sigma is not positive.
    """
    if not 0 < sigma < float("inf"):
        raise BadValue(f"sigma = {sigma}", "a positive standard deviation in image units", "give 25 / 255, not 25")
    perturbation = 1 / 30 if sigma <= 37.5 / 255 else 1 / 20
    return _recipe(DeepImagePrior(perturbation=perturbation), 0.01, 3000, "section 3.1")


def upscale(factor: int) -> Recipe:
    """Super-resolution: 2000 steps with noise 0.03 on z up to a factor of 4, and 4000 with 0.05 above.

    Args:
        factor: of the sides; the paper has 4 and 8.

    Raises:
        BadValue: the factor is no integer from 2.
    """
    if not isinstance(factor, int) or factor < 2:
        raise BadValue(f"factor = {factor}", "an integer from 2", "the paper has 4 and 8")
    steps, perturbation = (2000, 0.03) if factor <= 4 else (4000, 0.05)
    return _recipe(DeepImagePrior(perturbation=perturbation), 0.01, steps, "section 3.2 (averaging is ours)")


def inpaint_text() -> Recipe:
    """Thin holes such as letters: 128 skip channels at every scale, nearest upsampling, 6001 steps."""
    generator = Hourglass(skips=128, upsampling=Upsampling.NEAREST)
    return _recipe(DeepImagePrior(generator, perturbation=0.03), 0.01, 6001, "section 3.3, text (averaging is ours)")


def inpaint_random() -> Recipe:
    """Pixels missing at random: 11000 steps of Adam at 0.001, noise 0.03 on z."""
    return _recipe(DeepImagePrior(perturbation=0.03), 0.001, 11000, "section 3.3, table 1 (averaging is ours)")


def flash() -> Recipe:
    """Flash / no-flash: the flash picture is the input of the generator, 601 steps of Adam at 0.1."""
    modes = (Upsampling.NEAREST, Upsampling.NEAREST, *(Upsampling.BILINEAR,) * 3)
    return _recipe(DeepImagePrior(Hourglass(upsampling=modes), perturbation=0.0), 0.1, 601, "section 3.7 (averaging is ours)")


def _recipe(prior: Prior, rate: float, steps: int, source: str) -> Recipe:
    """Averaging is the paper's for denoising; for the other tasks it is ours, and ``Result.last`` is the paper's."""
    method = Descent(partial(torch.optim.Adam, lr=rate))
    return Recipe(prior, method, steps, (Average(0.99),), f"{_PAPER}, {source}, and the authors' code")
