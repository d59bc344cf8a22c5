"""How well a picture explains its measurement, and the nearest picture that explains it wholly."""

import torch
from torch import Tensor

from dipops.errors import BadValue, NotLinear
from dipops.methods.conjugate_gradient import ConjugateGradientIteration
from dipops.operators.checks import require_batch
from dipops.operators.elementary import is_identity, is_mask
from dipops.operators.interface import LinearOperator, LinearOrDifferentiableOperator
from dipops.priors.interface import NoPrior
from dipops.problem import Problem, mean_measured, require_operator

_STEPS = 200


def consistency(operator: LinearOrDifferentiableOperator, x: Tensor, y: Tensor) -> Tensor:
    """PSNR in dB between A(x) and the measurement y, for a range of 1: (N, *in_shape) and (N, *out_shape) give (N,).

    Of a masked measurement only the known pixels count.

    Infinite where x explains y exactly. With noise of standard deviation σ the truth itself reaches -20 log10 σ.

    Raises:
        BadType, BadValue: x or y is not what the operator takes and gives.
    """
    _require_pair(operator, x, y)
    with torch.no_grad():
        return -10 * mean_measured(operator, (operator(x) - y).square()).log10()


def project(operator: LinearOrDifferentiableOperator, x: Tensor, y: Tensor) -> Tensor:
    """The pictures nearest to x that explain y: min over z of ‖z - x‖² subject to ‖A(z) - y‖² being least.

    For a mask the known pixels are pasted; for another linear operator it is x + A⁺(y - A(x)), by conjugate gradients that
    start at x and so never leave x + range(Aᵀ) (Björck, "Numerical Methods for Least Squares Problems", section 7.4). Only for
    measurements without noise: it brings all of y's noise back.

    Args:
        operator: a linear A.
        x: (N, *in_shape).
        y: (N, *out_shape).

    Returns:
        (N, *in_shape); values may leave [0, 1].

    Raises:
        NotLinear: the operator is not linear.
        BadType, BadValue: x or y is not what the operator takes and gives.
    """
    if isinstance(operator, LinearOrDifferentiableOperator) and not isinstance(operator, LinearOperator):
        raise NotLinear(f"project on {operator!r}", "a LinearOperator", "leave the fit of a nonlinear operator to solve")
    _require_pair(operator, x, y)
    with torch.no_grad():
        if is_identity(operator):
            return y.clone()
        if is_mask(operator):
            return torch.where(operator.mask > 0, y, x)
        return _by_conjugate_gradients(Problem(operator, y), x)


def _require_pair(operator: LinearOrDifferentiableOperator, x: Tensor, y: Tensor) -> None:
    require_operator(operator)
    require_batch(x, operator.in_shape, operator._like, "x", repr(operator))
    require_batch(y, operator.out_shape, operator._like, "y", repr(operator))
    if len(x) != len(y):
        raise BadValue(f"{len(x)} pictures and {len(y)} measurements", "one each", "repeat the one")


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
