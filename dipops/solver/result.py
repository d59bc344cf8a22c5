"""What a solve gives."""

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from dipops.errors import BadValue, require_integer


@dataclass(frozen=True)
class Result:
    """What a solve gives.

    Attributes:
        image: the answer, (N, *in_shape); which one it is, ``answer`` says.
        answer: "stopped" for what a stop rule kept that was done, "kept" for what one held that was not done yet, "average"
            for the average of the outputs, "last" for the last output; of a batch whose members differ in that, how many are
            which. A recipe may add ", projected".
        last: the last output.
        average: the average at the end, or None where there was none.
        kept: of each member what the stop rule kept that was done first, else the average or last; None without a rule.
        at: the steps that the members of ``image`` are from, (N,).
        spread: standard deviation of the outputs, pixel by pixel, where a Posterior kept it, as with Langevin; else None.
        consistency: PSNR in dB between A(image) and y, (N,).
        trace: curves of shape (steps, N): "objective" (NaN in steps where a method did not compute it), and with a known
            truth "psnr" of the output and "psnr_average".
        steps: how many steps were made.
        undone: how often a fault sent the solve back to an earlier step.
        stopped: why the solve ended.
        ran: how the steps were computed, such as "mixed precision".
        seconds: how long it took, in all if it was taken up again.
        seed: where it started from; member k of the batch from seed + k.
    """

    image: Tensor = field(repr=False)
    answer: str
    last: Tensor = field(repr=False)
    average: Tensor | None = field(repr=False)
    kept: Tensor | None = field(repr=False)
    at: Tensor = field(repr=False)
    spread: Tensor | None = field(repr=False)
    consistency: Tensor
    trace: dict[str, Tensor] = field(repr=False)
    steps: int
    undone: int
    stopped: str
    ran: str
    seconds: float
    seed: int

    def pooled(self, runs: int | None = None) -> "Pooled":
        """The runs of ``problem.repeat(runs)`` taken together; by default all members are runs of one image.

        Raises:
            BadType: runs is no integer.
            BadValue: fewer than two runs, or the batch is no multiple of them.
        """
        runs = len(self.image) if runs is None else require_integer("runs", runs, 2, "solve problem.repeat(4), then pooled(4)")
        if len(self.image) < 2 or len(self.image) % runs:
            came = f"{runs} runs in a batch of {len(self.image)}"
            raise BadValue(came, "at least two, and a divisor of the batch", "solve problem.repeat(4), then pooled(4)")
        members = self.image.unflatten(0, (-1, runs))
        return Pooled(members.mean(1), members.std(1))


class Pooled(NamedTuple):
    """Several runs of one image: their mean, which is better than each, and their spread, which shows where to doubt it.

    Attributes:
        mean: (N, *in_shape).
        spread: standard deviation over the runs, pixel by pixel.
    """

    mean: Tensor
    spread: Tensor
