"""Total variation: the prior of images that are flat between edges."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dipops.operators import FiniteDifferences
from dipops.operators.differences import add_adjoint_differences, add_differences
from dipops.priors.proximal import ProximalPrior, require_weight

_SMOOTHING = 1e-4
_EDGE = 1e-4
_SMALLEST_WEIGHT = 1e-15  # its square is still a float32


class TotalVariation(ProximalPrior):
    """Pixels, and λ TV, a sum over pixels and channels: λ means the same at every image size.

    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992. Channels are
    penalised one by one. PrimalDual minimises it exactly; Descent sees √(|Dx|² + ε²) - ε with ε = 0.0001, whose gradient
    is finite on flat parts.

    Args:
        weight: λ, at least 0. With noise, ``tune`` finds it.
        isotropic: the length √(down² + across²) of the gradient, or else |down| + |across|.
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.
        box: hold values in [0, 1]; PrimalDual only.

    Raises:
        BadValue: the weight is negative or not finite.
    """

    def __init__(self, weight: float, isotropic: bool = True, initial: Tensor | None = None, box: bool = False) -> None:
        super().__init__(initial, box)
        self.weight, self.isotropic = require_weight(weight), isotropic

    def analysis(self, in_shape: Sequence[int]) -> FiniteDifferences:
        return FiniteDifferences(in_shape)

    def value(self, x: Tensor) -> Tensor:
        """λ TV(x), exact: (N, C, H, W) to (N,)."""
        return self.weight * self._lengths(FiniteDifferences(x.shape[1:]).forward(x)).flatten(1).sum(1)

    def penalty(self, x: Tensor) -> Tensor:
        """λ TV(x), smoothed by ε: (N, C, H, W) to (N,)."""
        squares = FiniteDifferences(x.shape[1:]).forward(x).square()
        if self.isotropic:
            squares = squares.sum(1, keepdim=True)
        lengths = (squares + _SMOOTHING**2).sqrt() - _SMOOTHING
        return self.weight * lengths.flatten(1).sum(1)

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        """Projection of p on the ball of radius λ, pixel by pixel, whatever the step."""
        projected = p.clone()
        self._project(projected)
        return projected

    def conjugate(self, p: Tensor) -> Tensor:
        """0 inside the ball of radius λ, infinite outside: (N, 2, C, H, W) to (N,)."""
        outside = (self._lengths(p) > self.weight * (1 + _EDGE)).flatten(1).any(1)
        return torch.where(outside, float("inf"), 0.0).to(p)

    def conjugate_of_prox(self, p: Tensor) -> Tensor:
        return p.new_zeros(len(p))

    def dual_step_(self, p: Tensor, x: Tensor, step: float) -> None:
        add_differences(p, x, step)
        self._project(p)

    def add_adjoint_(self, image: Tensor, p: Tensor, step: float) -> None:
        add_adjoint_differences(image, p, step)

    def _project(self, p: Tensor) -> None:
        if not self.isotropic or self.weight == 0:
            p.clamp_(-self.weight, self.weight)
            return
        down, across = p[:, 0], p[:, 1]
        radius = max(self.weight, _SMALLEST_WEIGHT)
        shrink = (down * down).addcmul_(across, across).clamp_(min=radius**2).rsqrt_().mul_(radius)
        down.mul_(shrink)
        across.mul_(shrink)

    def _lengths(self, field: Tensor) -> Tensor:
        if not self.isotropic:
            return field.abs()
        down, across = field[:, 0], field[:, 1]
        return (down * down).addcmul_(across, across).sqrt_()

    def __repr__(self) -> str:
        options = ("" if self.isotropic else ", isotropic=False") + (", box=True" if self.box else "")
        return f"TotalVariation({self.weight!r}{options})"
