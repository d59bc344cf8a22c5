"""The prox of a prior."""

import warnings
from copy import deepcopy

from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops.errors import require_positive, safe_repr
from dipops.methods.accelerated import AcceleratedIteration
from dipops.priors import ProximalPrior

_STEPS = 2000
_EVERY = 10


@usual_defaults()
@full_float32()
def prox(prior: ProximalPrior, x: Tensor, step: float = 1.0, gap: float = 1e-6) -> Tensor:
    """argmin over u of ½ ‖u - x‖² + step R(u), to a relative primal-dual gap, each image of (N, *in_shape) by itself.

    The result is detached: no gradient goes through it.

    Raises:
        BadValue: ``step`` is not positive.
    """
    require_positive("step", step, "a positive number", "the prox of step 0 is x itself")
    iteration = AcceleratedIteration(deepcopy(prior).to(x), x.detach(), scale=step)
    for index in range(1, _STEPS + 1):
        iteration.step(False)
        if index % _EVERY == 0 and bool((iteration.gap() <= gap).all()):
            return iteration.x
    reached = float(iteration.gap().max())
    warnings.warn(f"the prox of {safe_repr(prior)} reached a gap of {reached:.1e} in {_STEPS} steps, not {gap:g}", stacklevel=3)
    return iteration.x
