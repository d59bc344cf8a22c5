"""The nearest image that satisfies Ax = y."""

import torch
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops.errors import BadValue, NotLinear, safe_repr
from dipops.methods.conjugate_gradient import ConjugateGradientIteration
from dipops.noise import require_least_squares
from dipops.operators import LinearOperator, measures_pixels
from dipops.operators.checks import require_batch
from dipops.priors import NoPrior
from dipops.problem import Problem, require_problem

_STEPS = 200


@usual_defaults()
@full_float32()
def project(problem: Problem, x: Tensor) -> Tensor:
    """The images nearest to x that satisfy Ax = y: min over z of ‖z - x‖² subject to Σ w (A(z) - y)² being least.

    For a mask the known pixels are pasted; where the weights are 0, y does not count. For another linear operator it is
    x + A⁺(y - A(x)), by conjugate gradients that start at x and so never leave x + range(Aᵀ) (Björck, "Numerical Methods for
    Least Squares Problems", section 7.4). Only for measurements without noise: it brings all of y's noise back.

    Args:
        problem: with a linear operator.
        x: (N, *in_shape).

    Returns:
        (N, *in_shape); values may leave [0, 1].

    Raises:
        NotLinear: the operator is not linear.
        BadType, BadValue: x is not what the operator takes, there are not as many images as measurements, or the noise is
            not Gaussian.
    """
    require_problem(problem)
    operator = problem.operator
    require_least_squares(problem.noise, "project", "leave the answer as it is")
    if not isinstance(operator, LinearOperator):
        raise NotLinear(
            f"project on {safe_repr(operator)}", "a LinearOperator", "leave the fit of a nonlinear operator to solve"
        )
    require_batch(x, operator.in_shape, operator._like, "x", operator)
    if len(x) != len(problem.y):
        raise BadValue(f"{len(x)} images for {len(problem.y)} measurements", "one each", "repeat the one")
    with torch.no_grad():
        if measures_pixels(operator):
            return problem.y.clone() if problem.weights is None else torch.where(problem.weights > 0, problem.y, x)
        return _by_conjugate_gradients(problem, x)


def _by_conjugate_gradients(problem: Problem, x: Tensor) -> Tensor:
    start = NoPrior(initial=x)
    start.start(problem, range(len(x)))
    iteration = ConjugateGradientIteration(problem, start)
    negligible = torch.finfo(x.dtype).eps ** 2 * iteration.power
    for _ in range(_STEPS):
        if bool((iteration.power <= negligible).all()):
            break
        iteration.step(measure=False)
    return iteration.x
