"""The method that fits a prior, where the user names none."""

from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.descent import Descent
from dipops.methods.interface import Method
from dipops.methods.primal_dual import PrimalDual
from dipops.operators import LinearOperator
from dipops.priors import Prior, ProximalPrior, Tikhonov
from dipops.problem import Problem


def default_method(problem: Problem, prior: Prior) -> Method:
    """ConjugateGradient for Tikhonov and PrimalDual for other priors with a prox on a linear operator; else Descent."""
    if isinstance(problem.operator, LinearOperator):
        if isinstance(prior, Tikhonov):
            return ConjugateGradient()
        if isinstance(prior, ProximalPrior):
            return PrimalDual()
    return Descent()
