"""Tests of operators and priors: the laws, their diagnoses, and what they are tried on."""

from dipops.testing.examples import EXAMPLES
from dipops.testing.laws import Report, Verdict, check

__all__ = [
    "EXAMPLES", "Report", "Verdict", "check",
]  # fmt: skip
