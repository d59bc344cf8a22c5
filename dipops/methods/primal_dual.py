"""The primal-dual method of Chambolle and Pock: the exact minimum of convex problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dipops.errors import BadType
from dipops.methods.interface import require_steps
from dipops.operators.elementary import is_identity, is_mask
from dipops.operators.interface import LinearOperator
from dipops.priors.interface import NoPrior, Prior
from dipops.priors.proximal import NORM_MARGIN, Denoising, ProximalPrior, relative_change
from dipops.problem import Problem
from dipops.stopping.interface import Monitor
from dipops.stopping.tolerance import Tolerance

_BALANCE = 0.1


@dataclass(frozen=True)
class PrimalDual:
    """min over x of ½ ‖Ax - y‖² + R(x) for a linear A and a proximal R such as TotalVariation or Tikhonov.

    Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with applications to imaging", JMIV 2011.
    For Identity and Mask the data term is handled by its own prox, accelerated for Identity; for any other operator both
    terms are dualised. There is no inner loop. It stops by Tolerance() unless it is given another stop rule.

    Attributes:
        exact: replace the data term by the constraint Ax = y: the limit of a vanishing weight, for noise-free problems.
        steps: how many steps ``solve`` makes at most where it is not told.
        every: how many steps lie between two moments when values are read from the device.

    Raises:
        BadType: one is no integer.
        BadValue: one is not positive.
    """

    exact: bool = False
    steps: int = 5000
    every: int = 25

    def __post_init__(self) -> None:
        require_steps(self)

    @property
    def monitors(self) -> Sequence[Monitor]:
        return (Tolerance(),)

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> "PrimalDualIteration":
        """See :class:`dipops.methods.interface.Method`.

        Raises:
            BadType: the operator is not linear, or the prior has no prox.
        """
        if not isinstance(problem.operator, LinearOperator):
            raise BadType(f"PrimalDual on {problem.operator!r}", "a LinearOperator", "use Descent for a nonlinear one")
        if not isinstance(prior, ProximalPrior):
            advice = "use ConjugateGradient" if isinstance(prior, NoPrior) else "use Descent"
            raise BadType(f"PrimalDual with {prior!r}", "a prior with a prox, such as TotalVariation or Tikhonov", advice)
        if is_identity(problem.operator) or is_mask(problem.operator):
            return SeparableIteration(self, problem, prior)
        return DualisedIteration(self, problem, prior)


class SeparableIteration:
    """Identity and Mask: the data term by its own prox, K of the prior dualised."""

    ran = "full precision"

    def __init__(self, method: PrimalDual, problem: Problem, prior: ProximalPrior) -> None:
        known = problem.operator.mask if is_mask(problem.operator) else None
        start = None if known is None and prior.initial is None else prior().detach()
        self._work = Denoising(prior, problem.y, known, start, method.exact)
        self.has_gap = self._work.has_gap
        self.gap, self.change = self._work.gap, self._work.change

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        self._work.step()
        return self._work.x, self._work.objective() if measure else None

    def state_dict(self) -> dict[str, Any]:
        work = self._work
        tensors = {"x": work.x, "bar": work._bar, "p": work.p}
        return {name: tensor.clone() for name, tensor in tensors.items()} | {"tau": work.tau, "sigma": work.sigma}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        work = self._work
        work.tau, work.sigma = state["tau"], state["sigma"]
        for tensor, name in ((work.x, "x"), (work._bar, "bar"), (work.p, "p")):
            tensor.copy_(state[name])


class DualisedIteration:
    """Any linear A: u is the dual of the data term and p that of the prior; τ (σ_u ‖A‖² + σ_p ‖K‖²) ≤ 1."""

    has_gap = False
    ran = "full precision"

    def __init__(self, method: PrimalDual, problem: Problem, prior: ProximalPrior) -> None:
        assert isinstance(problem.operator, LinearOperator)
        self._operator, self._problem, self._prior, self._exact = problem.operator, problem, prior, method.exact
        analysis = prior.analysis(problem.operator.in_shape)
        self.norms = [
            max(NORM_MARGIN * operator.norm(), torch.finfo(problem.y.dtype).eps) for operator in (self._operator, analysis)
        ]
        data, penalty = self.norms
        self.sigmas = [_BALANCE, _BALANCE * data**2 / penalty**2]
        self.tau = 1 / (2 * _BALANCE * data**2)
        self.x = prior().detach()
        self._bar, self._old = self.x.clone(), self.x.clone()
        self.u = torch.zeros_like(problem.y)
        self.p = problem.y.new_zeros(len(problem.y), *analysis.out_shape)

    def step(self, measure: bool) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            sigma = self.sigmas[0]
            self.u.add_(self._operator(self._bar), alpha=sigma).sub_(self._problem.y, alpha=sigma)
            if not self._exact:
                self.u.div_(1 + sigma)
            self._prior.ascend(self.p, self._bar, self.sigmas[1])
            x = torch.add(self.x, self._operator.adjoint(self.u), alpha=-self.tau, out=self._old)
            self._prior.pull(x, self.p, -self.tau)
            if self._prior.box:
                x.clamp_(0, 1)
            torch.lerp(self.x, x, 2.0, out=self._bar)
            self.x, self._old = x, self.x
            return x, self._problem.misfit(x) + self._prior.value(x) if measure else None

    def change(self) -> Tensor:
        return relative_change(self.x, self._old)

    def state_dict(self) -> dict[str, Any]:
        return {name: tensor.clone() for name, tensor in (("x", self.x), ("bar", self._bar), ("u", self.u), ("p", self.p))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for tensor, name in ((self.x, "x"), (self._bar, "bar"), (self.u, "u"), (self.p, "p")):
            tensor.copy_(state[name])


PrimalDualIteration = SeparableIteration | DualisedIteration
