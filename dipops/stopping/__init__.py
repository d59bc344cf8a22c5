"""Stopping rules that need no ground truth, the oracle that they are compared with, and what a callback is told."""

from dipops.stopping.discrepancy import Discrepancy
from dipops.stopping.held_out import HeldOut
from dipops.stopping.interface import Callback, Observe, Observed, Step, StopRule
from dipops.stopping.oracle import Oracle
from dipops.stopping.variance import ExponentialVariance, WindowedVariance

__all__ = [
    "Callback", "Discrepancy", "ExponentialVariance", "HeldOut", "Observe", "Observed", "Oracle", "Step", "StopRule",
    "WindowedVariance",
]  # fmt: skip
