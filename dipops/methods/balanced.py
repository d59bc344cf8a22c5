"""Chambolle and Pock's method for any linear operator, noise and weights, with steps that each image balances by itself."""

from typing import Any

import torch
from torch import Tensor

from dipops._tools.batches import per_image, power
from dipops._tools.seeds import stream
from dipops._tools.state import Stateful
from dipops.methods.accelerated import NORM_MARGIN
from dipops.methods.convergence import GAP, Convergence
from dipops.noise import LEAST_SQUARES
from dipops.operators import LinearOperator
from dipops.priors import ProximalPrior
from dipops.problem import Problem

_BALANCED = frozenset((*range(10, 100, 10), *range(100, 3001, 50)))
_FASTER = 1.5
_RATIO = (2.0, 8.0)
_LEAST_SIZE = 1e-3
_LEAST_WIDTH = 1e-3
_MULTIPLIER = 2.0


class BalancedIteration(Stateful):
    """min over x of D(Ax, y) + h(Kx), or with ``exact`` of h(Kx) where Ax = y: algorithm 1, p is the dual of h.

    The steps begin at the curvatures of D and h, so that neither the unit of y nor the size of the weights matters. Every few
    steps the dual ones are made longer and the primal one shorter, or the other way, by the residuals of each image (Goldstein
    et al. 2013).

    Args:
        problem: with a linear operator.
        prior: R(x) = h(Kx).
        start: where x starts, (N, *in_shape).
        exact: whether Ax = y where something was measured.
        tolerance: of the relative primal-dual gap.

    Attributes:
        x: the images.
        steps: σ_u, σ_p and τ of each member, with τ (σ_u ‖A‖² + σ_p ‖K‖²) ≤ 1.
    """

    state = ("x", "bar", "p", "steps", "_largest", "_index")
    mean = None
    precision = "full"

    def __init__(self, problem: Problem, prior: ProximalPrior, start: Tensor, exact: bool, tolerance: float = GAP) -> None:
        assert isinstance(problem.operator, LinearOperator)
        self._operator, self._problem, self._prior, self._exact = problem.operator, problem, prior, exact
        self._noise = problem.noise or LEAST_SQUARES
        self._analysis = prior.analysis_like(start)
        self.x, self.bar, self._old = start.clone(), start.clone(), torch.empty_like(start)
        self.p = start.new_zeros(len(start), *self._analysis.out_shape)
        self._index, self._largest = 0, start.new_zeros(2, len(start))
        smallest = torch.finfo(start.dtype).eps
        self._norms = [max(NORM_MARGIN * operator.norm(), smallest) for operator in (problem.operator, self._analysis)]
        data, penalty, of_data, of_penalty = self._scales()
        self._least_primal = smallest**0.5 * (penalty if exact else data)
        of_penalty = torch.maximum(of_penalty, smallest * of_data)
        self.steps = list(map(self._first_steps, of_data.tolist(), of_penalty.tolist()))
        self._prepare()
        self.convergence = Convergence(self.gap, tolerance, "primal-dual gap", costly=True)

    def _scales(self) -> tuple[Tensor, ...]:
        """D and h where A(x) and x are off by as much as y is large, and the curvatures there, of each member (N,)."""
        problem, y = self._problem, self._problem.y
        measured = torch.ones_like(y) if problem.weights is None else (problem.weights > 0).expand_as(y).to(y)
        count = measured.flatten(1).sum(1)
        size = (power(y) / count).sqrt()
        size = torch.where(size > 0, size, 1)
        data = self._noise.data_term(y + per_image(size, y), y, problem.weights)
        noise = torch.randn(self.x.shape[1:], generator=stream(0, "PrimalDual"), dtype=torch.float32).to(self.x)
        image = per_image(size, self.x) / self._norms[0] * noise
        penalty = self._prior.value(image)
        bent = power(self._analysis(image)).clamp(min=torch.finfo(y.dtype).tiny)
        return data, penalty, 2 * data / (count * size**2), 2 * penalty / bent

    def _first_steps(self, of_data: float, of_penalty: float) -> tuple[float, float, float]:
        """σ_u, σ_p and τ from the curvatures of D and h."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Compute what the steps of x and u need of the step sizes."""
        self._sizes = self.x.new_tensor(self.steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._prepare()

    @torch.no_grad()
    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        """One ascent of p, and of the dual of D where there is one, and one descent of x."""
        self._index += 1
        old_p = self.p.clone() if self._index in _BALANCED else None
        for member, (_, sigma, _) in enumerate(self.steps):
            self._prior.dual_step_(self.p[member : member + 1], self.bar[member : member + 1], sigma)
        self._ascend()
        new = self._descend(self._old)
        if self._prior.box:
            new.clamp_(0, 1)
        torch.lerp(self.x, new, 2.0, out=self.bar)
        self.x, self._old = new, self.x
        if old_p is not None:
            self._balance(self.x - self._old, self.p - old_p)
        return self.x, self._primal() if measure else None

    def _ascend(self) -> None:
        """Move the dual of D."""

    def _descend(self, out: Tensor) -> Tensor:
        """x after its step without the box, in the memory of ``out``."""
        raise NotImplementedError

    def _descended(self, out: Tensor) -> Tensor:
        """x - τ Kᵀp, in the memory of ``out``."""
        out.copy_(self.x)
        for member, (_, _, tau) in enumerate(self.steps):
            self._prior.add_adjoint_(out[member : member + 1], self.p[member : member + 1], -tau)
        return out

    def _primal(self) -> Tensor:
        """The primal objective of each image (N,), with ``exact`` without the constraint."""
        penalty = self._prior.value(self.x)
        return penalty if self._exact else penalty + self._problem.data_term(self.x)

    @torch.no_grad()
    def gap(self) -> Tensor:
        """The primal-dual gap over the primal objective, of each image (N,).

        The dual objective is that of images whose values lie in the range of x or not far from it: without this it is minus
        infinity until Aᵀu + Kᵀp = 0 to the last bit (Chambolle and Pock 2011, section 3.1).
        """
        pulled = torch.zeros_like(self.x)
        self._prior.add_adjoint_(pulled, self.p, 1.0)
        low, high = self._range()
        primal = self._primal()
        gap = primal + self._prior.conjugate_of_prox(self.p) + self._data_gap(pulled, low, high)
        gap = (gap - self._rounding(high - low)).clamp(min=0)
        return gap / torch.maximum(primal, self._least_primal).clamp(min=torch.finfo(gap.dtype).tiny)

    def _rounding(self, width: Tensor) -> Tensor:
        """The gap of images that no step changes any more, since a change is lost in the rounding of x: (N,)."""
        lost = 0.5 * torch.finfo(self.x.dtype).eps * self.x.abs() / self._spread(2, self.x)
        return (0.5 * width * lost).flatten(1).sum(1)

    def _data_gap(self, pulled: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Minus the least of D(Az, y) + ⟨pulled, z⟩ over z with values from ``low`` to ``high``, of each image (N,)."""
        raise NotImplementedError

    def _range(self) -> tuple[Tensor, Tensor]:
        """The range of values of each image, half as wide again on both sides."""
        if self._prior.box:
            return self.x.new_zeros(()), self.x.new_ones(())
        low, high = self.x.flatten(1).aminmax(dim=1)
        margin = 0.5 * (high - low) + _LEAST_WIDTH * torch.maximum(high.abs(), low.abs())
        return per_image(low - margin, self.x), per_image(high + margin, self.x)

    def _balance(self, dx: Tensor, dp: Tensor) -> None:
        """Lengthen the dual or the primal steps where one kind of residual lags behind."""
        low, high = _RATIO
        residuals = torch.stack([self._primal_residual(dx, dp), self._dual_residual(dx, dp)], 1)
        for member, (primal, dual) in enumerate(residuals.tolist()):
            factor = _FASTER if primal < low * dual else 1 / _FASTER if primal > high * dual else 1.0
            sigma_u, sigma_p, tau = self.steps[member]
            self.steps[member] = (sigma_u * factor, sigma_p * factor, tau / factor)
        self._prepare()

    def _primal_residual(self, dx: Tensor, dp: Tensor) -> Tensor:
        """The residual of the last step in x, relative to Kᵀp, of each image (N,)."""
        residual = dx / self._spread(2, dx) - self._analysis.adjoint(dp)
        return self._relative(0, residual, _size(self._analysis.adjoint(self.p)))

    def _dual_residual(self, dx: Tensor, dp: Tensor) -> Tensor:
        """The residual of the last step in p, relative to Kx, of each image (N,)."""
        residual = dp / self._spread(1, dp) - self._analysis(dx)
        return self._relative(1, residual, _size(self._analysis(self.x)))

    def _relative(self, index: int, residual: Tensor, size: Tensor) -> Tensor:
        """‖residual‖ / size, with a divisor of at least a thousandth of the largest so far."""
        self._largest[index] = torch.maximum(self._largest[index], size)
        least = (_LEAST_SIZE * self._largest[index]).clamp(min=torch.finfo(size.dtype).tiny)
        return _size(residual) / torch.maximum(size, least)

    def _spread(self, index: int, like: Tensor) -> Tensor:
        """σ_u, σ_p or τ of each member, in a shape that spreads over ``like``."""
        return per_image(self._sizes[:, index], like)


class PixelIteration(BalancedIteration):
    """Weighted least squares on pixels: the prox of the data term is part of the primal step, and A plays no part."""

    @property
    def _weights(self) -> Tensor:
        weights, y = self._problem.weights, self._problem.y
        return y.new_ones(1, *y.shape[1:]) if weights is None else weights

    def _first_steps(self, of_data: float, of_penalty: float) -> tuple[float, float, float]:
        sigma = of_penalty if self._exact else min(of_penalty, of_data)
        return 0.0, sigma, 1 / (sigma * self._norms[1] ** 2)

    def _prepare(self) -> None:
        """The prox of the data term moves x to ``part`` x + ``rest``."""
        super()._prepare()
        weights, y = self._weights, self._problem.y
        if self._exact:
            self._part = (weights == 0).to(y).expand_as(y)
            self._rest = (1 - self._part) * y
        else:
            weighted = self._spread(2, y) * weights
            self._part, self._rest = 1 / (1 + weighted), weighted * y / (1 + weighted)

    def _descend(self, out: Tensor) -> Tensor:
        return torch.addcmul(self._rest, self._descended(out), self._part, out=out)

    def _data_gap(self, pulled: Tensor, low: Tensor, high: Tensor) -> Tensor:
        w, y = self._weights, self._problem.y
        nearest = y if self._exact else torch.clamp(y - pulled / w, low, high)
        least = torch.where(w > 0, nearest, torch.where(pulled > 0, low, high))
        return -(0.5 * w * (least - y).square() + pulled * least).flatten(1).sum(1)


class DualisedIteration(BalancedIteration):
    """Any linear A and noise: u is the dual of the data term."""

    state = (*BalancedIteration.state, "u", "_point", "_pulled")

    def __init__(self, problem: Problem, prior: ProximalPrior, start: Tensor, exact: bool, tolerance: float = GAP) -> None:
        super().__init__(problem, prior, start, exact, tolerance)
        self.u = self._old_u = self._point = torch.zeros_like(problem.y)
        self._pulled = torch.zeros_like(start)
        self._size_of_y = torch.maximum(_size(problem.y), _LEAST_SIZE * _size(self._operator(start)))

    def _first_steps(self, of_data: float, of_penalty: float) -> tuple[float, float, float]:
        data, penalty = self._norms
        sigma = of_penalty * penalty**2 / data**2 if self._exact else of_data
        return sigma, sigma * data**2 / penalty**2, 0.5 / (sigma * data**2)

    def _prepare(self) -> None:
        super()._prepare()
        self._sigma, self._tau = self._spread(0, self._problem.y), self._spread(2, self.x)

    def _ascend(self) -> None:
        problem, sigma = self._problem, self._sigma
        moved = self.u + sigma * self._operator(self.bar)
        self._old_u = self.u
        if self._exact:
            self.u = problem.where_measured(moved - sigma * problem.y)
        else:
            self.u = self._noise.prox_conjugate(moved, sigma, problem.y, problem.weights)
        self._point = (moved - self.u) / sigma
        self._pulled = self._operator.adjoint(self.u)

    def _descend(self, out: Tensor) -> Tensor:
        return self._descended(out).addcmul_(self._tau, self._pulled, value=-1)

    def _data_gap(self, pulled: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """D*(u) is ⟨u, v⟩ - D(v, y) for the v in whose subdifferential u is, which its prox gives.

        With ``exact`` the multipliers of the constraint are taken to be at most twice as large as u.
        """
        problem, residual = self._problem, pulled + self._pulled
        least = (residual * torch.where(residual > 0, low, high)).flatten(1).sum(1)
        if not self._exact:
            conjugate = (self.u * self._point).flatten(1).sum(1)
            return conjugate - self._noise.data_term(self._point, problem.y, problem.weights) - least
        misfit = problem.where_measured(self._operator(self.x) - problem.y)
        return (self.u * problem.y).flatten(1).sum(1) + _MULTIPLIER * _size(self.u) * _size(misfit) - least

    def _primal_residual(self, dx: Tensor, dp: Tensor) -> Tensor:
        residual = dx / self._spread(2, dx) - self._analysis.adjoint(dp) - self._operator.adjoint(self.u - self._old_u)
        return self._relative(0, residual, torch.maximum(_size(self._pulled), _size(self._analysis.adjoint(self.p))))

    def _dual_residual(self, dx: Tensor, dp: Tensor) -> Tensor:
        du = self.u - self._old_u
        of_u = _size(du / self._spread(0, du) - self._operator(dx)) / self._size_of_y.clamp(min=torch.finfo(du.dtype).tiny)
        return torch.maximum(of_u, super()._dual_residual(dx, dp))


def _size(t: Tensor) -> Tensor:
    """The norm of each member (N,)."""
    return t.flatten(1).norm(dim=1)
