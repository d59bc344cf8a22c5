"""How often a step makes the host wait for the GPU, or copies to it or from it: the pretend GPU counts that by line."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    NoPrior,
    PrimalDual,
    Prior,
    Problem,
    Tikhonov,
    TotalVariation,
    images,
    project,
    solve,
)
from dipops.methods import projection
from dipops.methods.descent import ADAM, MakeOptimizer
from dipops.methods.interface import Method
from dipops.methods.muon import MuonThenAdam
from dipops.operators import Blur
from dipops.priors.inputs import Ramp
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Oracle, WindowedVariance
from tests.pretend import hooks
from tests.pretend.device import waits

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(hooks.missing is not None, reason="only a pretend GPU counts the waits"),
]

R = TypeVar("R")
PHOTO = images.portrait(32)[:, 8:24, 8:24]
DENOISING = Problem.simulate(Identity(PHOTO.shape), PHOTO, 0.1)
UPSCALING = Problem.simulate(LanczosDownsampler(PHOTO.shape, 2), PHOTO, 0.01)
WITHOUT_SPECTRUM = Problem.simulate(Blur(PHOTO.shape, torch.ones(3, 3) / 9, boundary="reflect"), PHOTO, 0.01)
TINY = Hourglass((4,), 2, padding="zeros")  # of other paddings the derivative is summed in another order
DIP = DeepImagePrior(TINY)
RULES = tuple(map(Observe, (Discrepancy(), ExponentialVariance(), WindowedVariance(5), Oracle())))

# "Waits for the device" in the notes on the GPU: at most so many in each reading of values, and none in the steps between
# two readings, which are 25 steps apart by default and 3 here; a balance of the primal-dual steps is one more
EVERY = 3
DESCENT, CONVEX = 4, 10


class Case(NamedTuple):
    problem: Problem
    prior: Prior
    method: Method
    bound: int = DESCENT
    callbacks: Sequence[Any] = ()
    same_bits: bool = True


def descent(optimizer: MakeOptimizer = ADAM, **settings: Any) -> Descent:
    return Descent(optimizer, every=EVERY, **({"precision": "full"} | settings))


CASES = {
    "full": Case(DENOISING, DIP, descent()),
    "eager": Case(DENOISING, DIP, descent(capture=False)),
    "mixed": Case(DENOISING, DIP, descent(precision="mixed"), same_bits=False),  # autocast has other lists there
    "light": Case(DENOISING, DIP, descent(partial(MuonThenAdam, muon_steps=8), average=0.97), callbacks=RULES[:2]),
    "every rule": Case(DENOISING, DIP, descent(), callbacks=RULES),
    "held out": Case(DENOISING, DIP, descent(), callbacks=(HeldOut(0.2),)),
    "ramp": Case(DENOISING, DeepImagePrior(TINY, perturbation=Ramp(0.1, 0, 40)), descent()),
    "batch": Case(DENOISING.repeat(3), DIP, descent()),
    "DIP + TV": Case(DENOISING, DIP + TotalVariation(0.01), descent()),
    "schedule": Case(
        DENOISING,
        DIP,
        descent(schedule=partial(CosineAnnealingLR, T_max=60)),
        same_bits=False,  # its rates are float32 there
    ),
    "SGD": Case(DENOISING, DIP, descent(partial(SGD, lr=1e-5, momentum=0.9))),
    "recompute": Case(DENOISING, DeepImagePrior(Hourglass((4,), 2, padding="zeros", recompute=True)), descent()),
    "Langevin": Case(DENOISING, DIP, Langevin(burn_in=5, every=EVERY)),
    "no prior": Case(UPSCALING, NoPrior(), descent()),
    "TV": Case(DENOISING, TotalVariation(0.05), PrimalDual(every=EVERY), CONVEX),
    "TV without spectrum": Case(WITHOUT_SPECTRUM, TotalVariation(0.01), PrimalDual(every=EVERY), CONVEX),
    "Tikhonov": Case(UPSCALING, Tikhonov(0.01), ConjugateGradient(every=EVERY), CONVEX),
}


def waits_of(run: Callable[[], R]) -> tuple[R, Counter[str]]:
    waits.clear()
    return run(), waits.copy()


@pytest.mark.parametrize("name", CASES)
def test_a_step_waits_no_more_than_is_known(name: str) -> None:
    """From the second reading of values to the fourth; the solve has the bits of one on the CPU."""
    problem, prior, method, bound, callbacks, same_bits = CASES[name]
    counted, steps = [], 4 * EVERY
    solved = partial(solve, prior=prior, method=method, steps=steps, progress=False)
    waits.clear()
    result = solved(problem.to("cuda"), callbacks=[*callbacks, lambda step: counted.append(waits.copy())])
    assert len(counted) == 4
    more = counted[3] - counted[1]
    assert more.total() <= 2 * bound, "\n".join(f"{count} {line}" for line, count in more.most_common())
    assert not same_bits or result.image.cpu().equal(solved(problem, callbacks=callbacks).image)


def test_a_projection_waits_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, start = UPSCALING.to("cuda"), torch.zeros(1, *PHOTO.shape)
    on_gpu, counted = start.to("cuda"), []
    for steps in (2, 6):
        monkeypatch.setattr(projection, "_STEPS", steps)
        nearest, found = waits_of(lambda: project(problem, on_gpu))
        counted.append(found)
    more = counted[1] - counted[0]
    assert more.total() <= 4, more
    assert nearest.cpu().equal(project(UPSCALING, start))


def test_a_norm_waits_twice_a_step() -> None:
    """Thirty steps of Lanczos."""
    operator = LanczosDownsampler(PHOTO.shape, 2)
    expected = operator.norm()
    norm, counted = waits_of(operator.to("cuda").norm)
    assert counted.total() <= 62, counted
    assert norm == expected
