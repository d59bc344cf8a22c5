"""The method that fits a prior, where the user names none."""

from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.descent import Descent
from dipops.methods.interface import Method
from dipops.methods.primal_dual import PrimalDual
from dipops.noise import is_least_squares
from dipops.operators import LinearOperator
from dipops.priors import Prior, ProximalPrior, Tikhonov
from dipops.problem import Problem


def default_method(problem: Problem, prior: Prior) -> Method:
    """On linear operators ConjugateGradient for Tikhonov in least squares, PrimalDual for others with a prox; else Descent."""
    if isinstance(problem.operator, LinearOperator):
        if isinstance(prior, Tikhonov) and is_least_squares(problem.noise):
            return ConjugateGradient()
        if isinstance(prior, ProximalPrior):
            return PrimalDual()
    return Descent()
