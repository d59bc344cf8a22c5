"""Samples from the posterior by noisy descent."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from dipops.errors import BadValue, require_integer, require_positive, safe_repr
from dipops.methods.descent import Descent, DescentIteration
from dipops.methods.interface import require_steps
from dipops.noise import require_noise
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.stopping import PosteriorMean

_MEMORY = 0.99
_FLOOR = 1.0


@dataclass(frozen=True)
class Langevin:
    """Stochastic gradient Langevin dynamics: samples θ from the posterior, exp(-(D(A(g(θ)), y) + R(g(θ))) / T).

    T is the temperature of the noise: σ² for normal noise, 1 / peak for Poisson and the scale for Laplace noise.

    Welling and Teh, "Bayesian Learning via Stochastic Gradient Langevin Dynamics", ICML 2011; with the preconditioner of Li
    et al., "Preconditioned Stochastic Gradient Langevin Dynamics", AAAI 2016, equations 4 to 6 without Γ, one gain a layer;
    on the deep image prior Cheng et al., "A Bayesian Perspective on the Deep Image Prior", CVPR 2019. After ``burn_in`` steps
    the mean of the outputs is ``Result.average`` and their standard deviation ``Result.std``.

    Attributes:
        rate: ε of a step; the gradient alone moves a weight by about half of it.
        burn_in: number of steps that are left out of mean and standard deviation.
        steps: number of steps where ``solve`` is not given one.
        every: number of steps between two reads of values from the device.

    Raises:
        BadValue: the rate is not positive, or burn_in negative; on start, no two steps after burn_in, a problem whose noise is
            not known or zero, or a prior with a box.
    """

    rate: float = 0.02
    burn_in: int = 1000
    steps: int = 4000
    every: int = 25

    def __post_init__(self) -> None:
        require_positive("rate", self.rate, "a positive number", "leave it out for 0.02")
        require_steps(self)
        require_integer("burn_in", self.burn_in, 0, "leave out the steps before the fit is good")

    def start(self, problem: Problem, prior: Prior, generators: Sequence[torch.Generator]) -> DescentIteration:
        """See :class:`dipops.methods.interface.Method`."""
        if prior.box:
            raise BadValue(f"Langevin with {safe_repr(prior)}", "no box, which its samples leave", "leave the box out")
        noise = require_noise(problem.noise, "Langevin")
        sampler = partial(_Sampler, rate=self.rate, temperature=noise.temperature, generators=generators)
        descent = Descent(sampler, steps=self.steps, every=self.every, precision="full")
        iteration = DescentIteration(descent, problem, prior, generators, PosteriorMean(self.burn_in))
        _, expected = problem.data_terms(problem.y)
        iteration.reference_level = float(expected.max())
        return iteration


class _Sampler(Optimizer):
    """θ ← θ - ε/2 G ∇U + √(εG) n with U = objective / temperature, G = 1 / (λ + √V) and λ = 1.

    V is the running mean of (∇U)² over a whole tensor of weights of one member: a V of each weight would follow that weight and
    bend the distribution. λ bounds the steps where there is no slope, as at a start that satisfies Ax = y.
    """

    def __init__(
        self, parameters: Iterable[Parameter], rate: float, temperature: float, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__(parameters, {"lr": rate})
        self._temperature, self._generators = temperature, generators

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with torch.enable_grad():
            total = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                self._move(parameter, group["lr"])
        return total

    def _move(self, parameter: Parameter, rate: float) -> None:
        assert parameter.grad is not None
        members = len(self._generators)
        slope = parameter.grad.reshape(members, -1) / self._temperature
        square, state = slope.square().mean(1, keepdim=True), self.state[parameter]
        if not state:
            state["square"] = square.clone()
        state["square"].lerp_(square, 1 - _MEMORY)
        gain = 1 / (_FLOOR + state["square"].sqrt())
        noise = torch.empty_like(slope)
        for part, generator in zip(noise, self._generators, strict=True):
            part.normal_(generator=generator)
        step = (rate * gain).sqrt() * noise - 0.5 * rate * gain * slope
        parameter.add_(step.view_as(parameter))
