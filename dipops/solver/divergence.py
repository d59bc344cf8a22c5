"""When a descent has gone wrong, and how often it may."""

from enum import Enum

import torch
from torch import Tensor

from dipops.stopping.interface import Stateful

MOST_FAILURES = 5
LOOK_BACK = 25
SLOWER = 0.5
_JUMP = 10**0.5  # 5 dB
_NEGLIGIBLE = 1e-6


class Health(Enum):
    """How a solve stands."""

    WELL = "well"
    DOUBTFUL = "doubtful"
    FAULTY = "faulty"


class Faults(Stateful):
    """Judges the last objectives by the lowest level that a solve has had: the first value, or the median between two looks.

    A value that is not finite is a fault, and so are the last 25 values of any member if all lie 5 dB above the level. A rise
    that has just begun is doubtful: the next look will tell whether it was a spike, or, if there is none, it is a fault.

    Args:
        usual: the level is taken to be no lower.

    Attributes:
        failures: faults in a row, of which none was passed in between.
        undone: faults in all.
    """

    state = ("failures", "undone", "_furthest", "_lowest", "_floor")

    def __init__(self, usual: float = 0.0) -> None:
        self.failures, self.undone = 0, 0
        self._usual = usual
        self._furthest = 0
        self._lowest: Tensor | None = None
        self._floor: Tensor | None = None

    def judge(self, objectives: Tensor, index: int, last: bool = False) -> Health:
        """Take in the objectives (steps, N) up to step ``index``; ``last`` says that there will be no other look."""
        if self._lowest is None and objectives.isfinite().all():
            self._floor = (_NEGLIGIBLE * objectives[0]).clamp(min=self._usual)
            level = torch.minimum(objectives[0], objectives.median(0).values)
            self._lowest = torch.maximum(level, self._floor)
        health = self._health(objectives)
        if last and health is Health.DOUBTFUL:
            health = Health.FAULTY
        if health is Health.FAULTY:
            self.failures, self.undone = self.failures + 1, self.undone + 1
            self._furthest = max(self._furthest, index)
        if health is Health.WELL:
            assert self._lowest is not None
            assert self._floor is not None
            self.failures = 0 if index > self._furthest else self.failures
            level = torch.maximum(objectives[-LOOK_BACK:].median(0).values, self._floor)
            self._lowest = torch.minimum(self._lowest, level)
        return health

    def _health(self, objectives: Tensor) -> Health:
        if self._lowest is None or not objectives.isfinite().all():
            return Health.FAULTY
        high = objectives[-LOOK_BACK:] > _JUMP * self._lowest
        if high.all(0).any():
            return Health.FAULTY
        return Health.DOUBTFUL if high[-1].any() else Health.WELL
