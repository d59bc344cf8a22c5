"""How well a picture explains its measurement."""

from torch import Tensor

from dipops.operators.checks import require_batch
from dipops.operators.interface import LinearOrDifferentiableOperator


def consistency(operator: LinearOrDifferentiableOperator, x: Tensor, y: Tensor) -> Tensor:
    """PSNR in dB between A(x) and the measurement y, for a range of 1: (N, *in_shape) and (N, *out_shape) give (N,).

    Infinite where x explains y exactly. With noise of standard deviation σ the truth itself reaches -20 log10 σ.

    Raises:
        BadType, BadValue: x or y is not what the operator takes and gives.
    """
    require_batch(y, operator.out_shape, x, "y", repr(operator))
    return -10 * (operator(x) - y).square().flatten(1).mean(1).log10()
