"""The solver: its loop, checkpoints, costs and result."""

from dipops.solver.cost import Estimate, estimate
from dipops.solver.result import Ensemble, Result, Status

__all__ = [
    "Ensemble", "Estimate", "Result", "Status", "estimate",
]  # fmt: skip
