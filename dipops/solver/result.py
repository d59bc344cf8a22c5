"""What a solve gives."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import torch
from torch import Tensor

from dipops.errors import BadValue, require_integer
from dipops.operators import LinearOrDifferentiableOperator
from dipops.problem import Problem
from dipops.stopping import Observed

Source = Literal["stopped", "kept", "average", "last"]


class Status(Enum):
    """Why a solve ended."""

    CONVERGED = "a convex method reached its tolerance"
    STOPPED = "stopping rules or a callback ended it"
    MAX_STEPS = "all steps were made"
    COMPUTED = "nothing was solved: a function gave the image"
    ROLLED_BACK = "it diverged at ever lower learning rates, and went back to its last good step"


@dataclass(frozen=True)
class Result:
    """What a solve gives.

    Attributes:
        image: the answer, (N, *in_shape).
        status: why the solve ended.
        message: why the solve ended, in words.
        source: which image the answer of each member is: "stopped" for the image of a rule that stopped, "kept" for the image
            that a rule keeps so far, "average" for the average of the outputs, "last" for the last output.
        projected: whether the answer was then moved to the nearest image that satisfies Ax = y, (N,).
        debiased: whether the answer was then corrected for clipped noise, (N,); objective and data_psnr are those before.
        image_steps: the steps that the members of ``image`` are from, (N,).
        last: the last output.
        average: the average at the end, or None where there was none.
        std: standard deviation of the outputs, pixel by pixel, where Langevin computed it; else None.
        objective: data term + R of the answer, (N,).
        data_psnr: PSNR in dB between A(image) and y, (N,).
        observed: what each observed rule kept, in the order of the callbacks.
        operator: that of the problem, or with ``Descent(fit_operator=True)`` the fitted copy.
        trace: curves of shape (steps, N): "objective" (NaN in steps where a method did not compute it), and with a known
            ground truth "psnr" of the output and "psnr_average".
        steps: number of steps.
        rollbacks: how often the solve diverged and went back to an earlier step.
        precision: of the networks in the prior, "full" or "mixed"; on CUDA with ", captured" where a step was recorded and
            replayed, or ", eager: " and why not.
        seconds: duration, in all if the solve was resumed.
        seed: where it started from; member k of the batch from seed + k.
    """

    image: Tensor = field(repr=False)
    status: Status
    message: str
    source: tuple[Source, ...]
    projected: Tensor
    debiased: Tensor
    image_steps: Tensor = field(repr=False)
    last: Tensor = field(repr=False)
    average: Tensor | None = field(repr=False)
    std: Tensor | None = field(repr=False)
    objective: Tensor
    data_psnr: Tensor
    observed: tuple[Observed, ...] = field(repr=False)
    operator: LinearOrDifferentiableOperator = field(repr=False)
    trace: dict[str, Tensor] = field(repr=False)
    steps: int
    rollbacks: int
    precision: str
    seconds: float
    seed: int

    def ensemble(self, runs: int | None = None) -> "Ensemble":
        """The runs of ``problem.repeat(runs)`` as ensembles; by default all members are runs of one image.

        The image is the mean of the answers as they are. Where they were corrected for clipped noise,
        ``recipe.ensemble(problem, runs)`` is better: it takes the mean first.

        Raises:
            BadValue: fewer than two runs, or the batch is no multiple of them.
        """
        advice = "solve problem.repeat(4), then ensemble(4)"
        runs = len(self.image) if runs is None else require_integer("runs", runs, 2, advice)
        if len(self.image) < 2 or len(self.image) % runs:
            raise BadValue(f"{runs} runs in a batch of {len(self.image)}", "at least two, and a divisor of the batch", advice)
        members, projected, debiased = (
            values.unflatten(0, (-1, runs)) for values in (self.image, self.projected, self.debiased)
        )
        return Ensemble(members.mean(1), members.std(1), members, projected.all(1), debiased.all(1), (self,))


@dataclass(frozen=True)
class Ensemble:
    """Several runs of one image: their mean, usually better than each, and their standard deviation.

    Attributes:
        image: the answer, the mean of the runs, (N, *in_shape).
        std: standard deviation over the runs, pixel by pixel, (N, *in_shape); 0 for one run.
        runs: the answer of each run, (N, K, *in_shape).
        projected, debiased: of ``image``, as in ``Result``, (N,).
        solves: what made them: one of all runs, or one for each; empty where only images were given.
    """

    image: Tensor = field(repr=False)
    std: Tensor = field(repr=False)
    runs: Tensor = field(repr=False)
    projected: Tensor
    debiased: Tensor
    solves: tuple[Result, ...] = field(default=(), repr=False)


def computed(problem: Problem, image: Tensor, seconds: float) -> Result:
    """An image (N, *in_shape) that a function made of a problem as a Result; the objective is the data term."""
    none = torch.zeros(len(image), dtype=torch.bool)
    with torch.no_grad():
        objective, data_psnr = problem.data_term(image).cpu(), problem.data_psnr(image).cpu()
    return Result(
        image=image,
        status=Status.COMPUTED,
        message="computed by a function",
        source=("last",) * len(image),
        projected=none,
        debiased=none,
        image_steps=torch.zeros(len(image), dtype=torch.int64),
        last=image,
        average=None,
        std=None,
        objective=objective,
        data_psnr=data_psnr,
        observed=(),
        operator=problem.operator,
        trace={},
        steps=0,
        rollbacks=0,
        precision="full",
        seconds=seconds,
        seed=0,
    )
