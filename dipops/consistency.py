"""How well a picture explains its measurement."""

from torch import Tensor

from dipops.operators.interface import LinearOrDifferentiableOperator


def consistency(operator: LinearOrDifferentiableOperator, x: Tensor, y: Tensor) -> Tensor:
    """PSNR in dB between A(x) and the measurement y, for a range of 1: (N, *in_shape) and (N, *out_shape) give (N,).

    Infinite where x explains y exactly. With noise of standard deviation σ the truth itself reaches -20 log10 σ.
    """
    return -10 * (operator(x) - y).square().flatten(1).mean(1).log10()
