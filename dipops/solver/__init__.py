"""The one loop, what it keeps, and what it gives."""

from dipops.solver.cost import Estimate, estimate
from dipops.solver.result import Ensemble, Result, Status

__all__ = [
    "Ensemble", "Estimate", "Result", "Status", "estimate",
]  # fmt: skip
