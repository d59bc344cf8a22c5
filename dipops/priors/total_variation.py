"""Total variation: the prior of pictures that are flat between edges."""

from torch import Tensor

from dipops.errors import BadValue
from dipops.operators.differences import FiniteDifferences
from dipops.priors.interface import PixelPrior

_SMOOTHING = 1e-3


class TotalVariation(PixelPrior):
    """Pixels, and λ TV, a sum over pixels and channels: λ means the same at every image size.

    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992. Channels are
    penalised one by one. Descent sees the smoothed √(|Dx|² + ε²) - ε with ε = 0.001, whose gradient is finite on flat parts.

    Args:
        weight: λ, at least 0; near σ for denoising with noise of standard deviation σ.
        isotropic: the length √(down² + across²) of the gradient, or else |down| + |across|.
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.

    Raises:
        BadValue: the weight is negative or not finite.
    """

    def __init__(self, weight: float, isotropic: bool = True, initial: Tensor | None = None) -> None:
        super().__init__(initial)
        if not 0 <= weight < float("inf"):
            raise BadValue(f"weight = {weight}", "a finite weight of at least 0", "try the noise's standard deviation")
        self.weight, self.isotropic = float(weight), isotropic

    def value(self, x: Tensor) -> Tensor:
        """λ TV(x), exact: (N, C, H, W) to (N,)."""
        return self._measure(x, 0.0)

    def penalty(self, x: Tensor) -> Tensor:
        return self._measure(x, _SMOOTHING)

    def _measure(self, x: Tensor, smoothing: float) -> Tensor:
        squares = FiniteDifferences(x.shape[1:]).forward(x).square()
        if self.isotropic:
            squares = squares.sum(1, keepdim=True)
        lengths = (squares + smoothing**2).sqrt() - smoothing
        return self.weight * lengths.flatten(1).sum(1)

    def __repr__(self) -> str:
        return f"TotalVariation({self.weight!r}{'' if self.isotropic else ', isotropic=False'})"
