"""The method that fits a prior, where the user names none."""

from dipops.methods.descent import Descent
from dipops.methods.interface import Method
from dipops.priors.interface import Prior
from dipops.problem import Problem


def default_method(problem: Problem, prior: Prior) -> Method:
    """Descent by Adam with learning rate 0.01, for every prior."""
    return Descent()
