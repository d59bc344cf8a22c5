"""What watches a solve: averages, stop rules, callbacks, the trace and the progress bar."""

from dipops.stopping.averages import Average, Posterior
from dipops.stopping.discrepancy import Residual
from dipops.stopping.held_out import HeldOut
from dipops.stopping.interface import Callback, Monitor, Step, StopRule, Watch
from dipops.stopping.oracle import Observed, Oracle
from dipops.stopping.tolerance import Tolerance
from dipops.stopping.variance import ExponentialVariance, WindowedVariance

__all__ = [
    "Average", "Callback", "ExponentialVariance", "HeldOut", "Monitor", "Observed", "Oracle", "Posterior",
    "Residual", "Step", "StopRule", "Tolerance", "Watch", "WindowedVariance",
]  # fmt: skip
