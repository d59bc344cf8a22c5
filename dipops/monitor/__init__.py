"""What watches a solve: averages, stop rules, callbacks, the trace and the progress bar."""

from dipops.monitor.averages import Average, Posterior
from dipops.monitor.held_out import HeldOut
from dipops.monitor.interface import Callback, Monitor, Step, StopRule, Watch
from dipops.monitor.observed import Observed, Oracle
from dipops.monitor.residual import Residual
from dipops.monitor.tolerance import Tolerance
from dipops.monitor.variance import ExponentialVariance, WindowedVariance

__all__ = [
    "Average", "Callback", "ExponentialVariance", "HeldOut", "Monitor", "Observed", "Oracle", "Posterior",
    "Residual", "Step", "StopRule", "Tolerance", "Watch", "WindowedVariance",
]  # fmt: skip
