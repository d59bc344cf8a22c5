"""The method that fits a prior, where the user names none."""

from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.descent import Descent
from dipops.methods.interface import Method
from dipops.methods.primal_dual import PrimalDual
from dipops.operators.interface import LinearOperator
from dipops.priors.interface import Prior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem


def default_method(problem: Problem, prior: Prior) -> Method:
    """PrimalDual for TotalVariation and ConjugateGradient for Tikhonov on a linear operator; else Descent with Adam at 0.01."""
    if isinstance(problem.operator, LinearOperator):
        if isinstance(prior, TotalVariation):
            return PrimalDual()
        if isinstance(prior, Tikhonov):
            return ConjugateGradient()
    return Descent()
