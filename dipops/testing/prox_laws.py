"""The laws of a prox. Each gives the relative amount by which it is broken, at most about the gap of the prox."""

import warnings

import torch
from torch import Tensor

from dipops._tools.batches import power
from dipops.methods.accelerated import AcceleratedIteration
from dipops.methods.prox import prox
from dipops.priors import ProximalPrior

_STEPS = 1000
_GAP = 1e-11


def moreau(prior: ProximalPrior, x: Tensor) -> float:
    """x = u + q with u = prox of R and q = prox of R*: |R(u) + R*(q) - ⟨u, q⟩|, relative to ½ ‖x‖².

    Moreau, "Proximité et dualité dans un espace hilbertien", 1965. Fenchel's equality is what makes the two parts proxes;
    R*(q) is h*(p) for the dual variable with Kᵀp = q.
    """
    iteration = AcceleratedIteration(prior, x)
    for _ in range(_STEPS):
        iteration.step(False)
    q = torch.zeros_like(x)
    prior.add_adjoint_(q, iteration.p, 1.0)
    u = x - q
    broken = prior.value(u) + prior.conjugate(iteration.p) - (u * q).flatten(1).sum(1)
    return float(broken.abs().max() / (0.5 * power(x)).min())


def firm_nonexpansiveness(prior: ProximalPrior, x: Tensor, y: Tensor) -> float:
    """‖prox x - prox y‖² - ⟨prox x - prox y, x - y⟩ where it is positive, relative to ‖x - y‖².

    Bauschke and Combettes, "Convex Analysis and Monotone Operator Theory in Hilbert Spaces", proposition 12.28.
    """
    with warnings.catch_warnings(action="ignore"):  # all steps are made where they do not reach the gap
        proxes = prox(prior, torch.cat([x, y]), gap=_GAP)
    moved = proxes[: len(x)] - proxes[len(x) :]
    excess = (moved * moved - moved * (x - y)).flatten(1).sum(1)
    return float((excess / power(x - y)).clamp(min=0).max())


def homogeneity(prior: ProximalPrior, x: Tensor, factor: float, degree: int) -> float:
    """R(c x) = |c|^degree R(x), relative: degree 1 for total variation, 2 for Tikhonov."""
    scaled, value = prior.value(factor * x), abs(factor) ** degree * prior.value(x)
    return float(((scaled - value).abs() / value.clamp(min=torch.finfo(value.dtype).tiny)).max())
