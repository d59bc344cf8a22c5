"""When a descent has gone wrong, and how often it may."""

from enum import Enum

import torch
from torch import Tensor

from dipops.monitor.interface import Stateful

MOST_FAILURES = 5
SLOWER = 0.5
_JUMP = 10**0.5  # 5 dB
_NEGLIGIBLE = 1e-6


class Health(Enum):
    """How a solve stands."""

    WELL = "well"
    DOUBTFUL = "doubtful"
    FAULTY = "faulty"


class Faults(Stateful):
    """Judges each stretch of objectives by the one before it.

    A value that is not finite is a fault, and so is a jump of any member that lasts for the whole stretch. A jump that has just
    begun is doubtful: the next stretch will tell whether it was a spike, or, if there is none, it is a fault.

    Attributes:
        failures: faults since the solve was last well.
        undone: faults in all.
    """

    state = ("failures", "undone", "_level", "_floor")

    def __init__(self) -> None:
        self.failures, self.undone = 0, 0
        self._level: Tensor | None = None
        self._floor: Tensor | None = None

    def judge(self, objectives: Tensor, last: bool = False) -> Health:
        """Take in the objectives (steps, N) since the last look; ``last`` says that there will be no other."""
        health = self._health(objectives)
        if last and health is Health.DOUBTFUL:
            health = Health.FAULTY
        if health is Health.FAULTY:
            self.failures, self.undone = self.failures + 1, self.undone + 1
        if health is Health.WELL:
            self.failures = 0
            self._floor = _NEGLIGIBLE * objectives[0] if self._floor is None else self._floor
            self._level = torch.maximum(objectives.median(0).values, self._floor)
        return health

    def _health(self, objectives: Tensor) -> Health:
        if not objectives.isfinite().all():
            return Health.FAULTY
        if self._level is None:
            return Health.WELL
        limit = _JUMP * self._level
        if (objectives > limit).all(0).any():
            return Health.FAULTY
        return Health.DOUBTFUL if (objectives[-1] > limit).any() else Health.WELL
