"""Stopping rules that need no ground truth, the oracle that they are compared with, and averages of the outputs."""

from dipops.stopping.averages import ExponentialMean, Mean, PosteriorMean
from dipops.stopping.discrepancy import Discrepancy
from dipops.stopping.held_out import HeldOut
from dipops.stopping.interface import Callback, Observe, Observed, Step, StopRule
from dipops.stopping.oracle import Oracle
from dipops.stopping.variance import ExponentialVariance, WindowedVariance

__all__ = [
    "Callback", "Discrepancy", "ExponentialMean", "ExponentialVariance", "HeldOut", "Mean", "Observe", "Observed",
    "Oracle", "PosteriorMean", "Step", "StopRule", "WindowedVariance",
]  # fmt: skip
