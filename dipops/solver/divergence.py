"""When a descent has diverged, and how often it may."""

from enum import Enum

import torch
from torch import Tensor

from dipops._tools.state import Stateful

MOST_FAILURES = 5
LOOK_BACK = 25
SLOWER = 0.5
_JUMP = 10**0.5  # 5 dB
_NEGLIGIBLE = 1e-6


class Health(Enum):
    """Whether a solve converges, as far as its last objectives show."""

    OK = "ok"
    SUSPECT = "suspect"
    DIVERGED = "diverged"


class DivergenceGuard(Stateful):
    """Judges the last objectives by the lowest level that a solve has had: the first value, or the median between two checks.

    A solve has diverged where a value is not finite, or where the last 25 values of any member all lie 5 dB above the level. A
    rise that has just begun is suspect: the next check shows whether it was a spike; if there is none, the solve has diverged.

    Args:
        reference_level: the level is taken to be no lower.

    Attributes:
        failures: divergences in a row, without a step beyond the furthest of them.
        rollbacks: divergences in all.
    """

    state = ("failures", "rollbacks", "_furthest", "_lowest", "_floor")

    def __init__(self, reference_level: float = 0.0) -> None:
        self.failures, self.rollbacks = 0, 0
        self._reference_level = reference_level
        self._furthest = 0
        self._lowest: Tensor | None = None
        self._floor: Tensor | None = None

    def judge(self, objectives: Tensor, index: int, last: bool = False) -> Health:
        """Judge the objectives (steps, N) up to step ``index``; ``last`` says that this is the final check."""
        if self._lowest is None and objectives.isfinite().all():
            self._floor = (_NEGLIGIBLE * objectives[0]).clamp(min=self._reference_level)
            level = torch.minimum(objectives[0], objectives.median(0).values)
            self._lowest = torch.maximum(level, self._floor)
        health = self._health(objectives)
        if last and health is Health.SUSPECT:
            health = Health.DIVERGED
        if health is Health.DIVERGED:
            self.failures, self.rollbacks = self.failures + 1, self.rollbacks + 1
            self._furthest = max(self._furthest, index)
        if health is Health.OK:
            assert self._lowest is not None
            assert self._floor is not None
            self.failures = 0 if index > self._furthest else self.failures
            level = torch.maximum(objectives[-LOOK_BACK:].median(0).values, self._floor)
            self._lowest = torch.minimum(self._lowest, level)
        return health

    def _health(self, objectives: Tensor) -> Health:
        if self._lowest is None or not objectives.isfinite().all():
            return Health.DIVERGED
        high = objectives[-LOOK_BACK:] > _JUMP * self._lowest
        if high.all(0).any():
            return Health.DIVERGED
        return Health.SUSPECT if high[-1].any() else Health.OK
