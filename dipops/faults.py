"""When a descent has gone wrong, and how often it may."""

from enum import Enum

import torch
from torch import Tensor

from dipops.monitor.interface import Stateful

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
    """Judges the last objectives by the lowest level that a solve has had.

    A value that is not finite is a fault, and so are values of any member that lie 5 dB above the level without a break. A rise
    that has just begun is doubtful: the next look will tell whether it was a spike, or, if there is none, it is a fault.

    Attributes:
        failures: faults since the solve was last well.
        undone: faults in all.
    """

    state = ("failures", "undone", "_lowest", "_floor")

    def __init__(self) -> None:
        self.failures, self.undone = 0, 0
        self._lowest: Tensor | None = None
        self._floor: Tensor | None = None

    def judge(self, objectives: Tensor, last: bool = False) -> Health:
        """Take in the objectives (steps, N) of the last steps; ``last`` says that there will be no other look."""
        health = self._health(objectives)
        if last and health is Health.DOUBTFUL:
            health = Health.FAULTY
        if health is Health.FAULTY:
            self.failures, self.undone = self.failures + 1, self.undone + 1
        if health is Health.WELL:
            self.failures = 0
            self._floor = _NEGLIGIBLE * objectives[0] if self._floor is None else self._floor
            level = torch.maximum(objectives.median(0).values, self._floor)
            self._lowest = level if self._lowest is None else torch.minimum(self._lowest, level)
        return health

    def _health(self, objectives: Tensor) -> Health:
        if not objectives.isfinite().all():
            return Health.FAULTY
        if self._lowest is None:
            return Health.WELL
        high = objectives > _JUMP * self._lowest
        if high.all(0).any():
            return Health.FAULTY
        return Health.DOUBTFUL if high[-1].any() else Health.WELL
