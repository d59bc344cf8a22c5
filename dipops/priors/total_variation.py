"""Total variation: the prior of images that are flat between edges."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dipops.errors import BadValue
from dipops.operators import FiniteDifferences
from dipops.operators.differences import add_adjoint_differences, add_differences, has_channels
from dipops.priors.proximal import ProximalPrior, require_weight

_SMOOTHING = 1e-4
_EDGE = 1e-4
_SMALLEST_WEIGHT = 1e-15  # its square is still a float32


class TotalVariation(ProximalPrior):
    """Pixels, and λ TV, a sum over pixels and channels: λ means the same at every image size.

    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 1992. PrimalDual minimises
    it exactly; Descent sees √(|Dx|² + ε²) - ε with ε = 0.0001, whose gradient is finite on flat parts.

    D takes differences along the axes of space: the one of a signal (n,), both of an image (H, W), and all but the first, the
    channels, of (C, H, W), (C, D, H, W) and more.

    Args:
        weight: λ, at least 0. With noise, ``tune`` finds it.
        isotropic: the length √(down² + across²) of the gradient, or else |down| + |across|; of a volume all three axes.
        coupled: one length over channels and axes, so that the edges of all channels are in one place: vectorial total
            variation, Bresson and Chan, "Fast dual minimization of the vectorial total variation norm", Inverse Problems and
            Imaging 2008. By default channels are penalised one by one.
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed.
        box: hold values in [0, 1], by PrimalDual or Descent.

    Raises:
        BadValue: the weight is negative or not finite, or ``coupled`` is not isotropic.
    """

    def __init__(
        self,
        weight: float,
        isotropic: bool = True,
        coupled: bool = False,
        initial: Tensor | None = None,
        box: bool = False,
    ) -> None:
        super().__init__(initial, box)
        if coupled and not isotropic:
            raise BadValue("coupled=True with isotropic=False", "one length over channels and axes", "leave isotropic out")
        self.weight, self.isotropic, self.coupled = require_weight(weight), isotropic, coupled

    def analysis(self, in_shape: Sequence[int]) -> FiniteDifferences:
        return FiniteDifferences(in_shape)

    def value(self, x: Tensor) -> Tensor:
        """λ TV(x), exact: (N, *in_shape) to (N,)."""
        return self.weight * self._lengths(FiniteDifferences(x.shape[1:]).forward(x)).flatten(1).sum(1)

    def penalty(self, x: Tensor) -> Tensor:
        """λ TV(x), smoothed by ε: (N, *in_shape) to (N,)."""
        squares = FiniteDifferences(x.shape[1:]).forward(x).square()
        if self.isotropic:
            squares = squares.sum((1, 2) if self._couples(x) else 1, keepdim=True)
        lengths = (squares + _SMOOTHING**2).sqrt() - _SMOOTHING
        return self.weight * lengths.flatten(1).sum(1)

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        """Each length of p shortened to λ where it is longer, whatever the step."""
        if self._clamps:
            return p.clamp(-self.weight, self.weight)
        return p * self._shrink(p.unbind(1))[:, None]

    def conjugate(self, p: Tensor) -> Tensor:
        """0 inside the ball of radius λ, infinite outside: (N, axes, *in_shape) to (N,)."""
        outside = (self._lengths(p) > self.weight * (1 + _EDGE)).flatten(1).any(1)
        return p.new_zeros(len(p)).masked_fill(outside, torch.inf)

    def conjugate_of_prox(self, p: Tensor) -> Tensor:
        return p.new_zeros(len(p))

    def dual_step_(self, p: Tensor, x: Tensor, step: float) -> None:
        add_differences(p, x, step)
        self._project(p)

    def add_adjoint_(self, image: Tensor, p: Tensor, step: float) -> None:
        add_adjoint_differences(image, p, step)

    def _project(self, p: Tensor) -> None:
        if self._clamps:
            p.clamp_(-self.weight, self.weight)
            return
        parts = p.unbind(1)
        shrink = self._shrink(parts)
        for part in parts:
            part.mul_(shrink)

    @property
    def _clamps(self) -> bool:
        return not self.isotropic or self.weight == 0

    def _shrink(self, parts: Sequence[Tensor]) -> Tensor:
        """What shortens each length to λ."""
        radius = max(self.weight, _SMALLEST_WEIGHT)
        return self._squares(parts).clamp_(min=radius**2).rsqrt_().mul_(radius)

    def _lengths(self, field: Tensor) -> Tensor:
        return self._squares(field.unbind(1)).sqrt_() if self.isotropic else field.abs()

    def _squares(self, parts: Sequence[Tensor]) -> Tensor:
        """Squared lengths, (N, *in_shape), or (N, 1, *space) where channels are coupled."""
        squares = parts[0] * parts[0]
        for part in parts[1:]:
            squares.addcmul_(part, part)
        return squares.sum(1, keepdim=True) if self._couples(squares) else squares

    def _couples(self, x: Tensor) -> bool:
        return self.coupled and has_channels(x.shape[1:])

    def __repr__(self) -> str:
        options = {"isotropic=False": not self.isotropic, "coupled=True": self.coupled, "box=True": self.box}
        return f"TotalVariation({', '.join([repr(self.weight), *(name for name, said in options.items() if said)])})"
