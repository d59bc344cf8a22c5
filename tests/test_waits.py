"""How often a step makes the host wait for the GPU, or copies to it or from it: the pretend GPU counts that by line."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

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
from dipops.methods.interface import Method
from dipops.methods.muon import MuonThenAdam
from dipops.operators import Blur
from dipops.priors.inputs import Ramp
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Oracle, WindowedVariance
from tests.conftest import NO_PRETENCE
from tests.pretend.device import waits

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(NO_PRETENCE is not None, reason="only a pretend GPU counts the waits"),
]

PHOTO = images.portrait(32)[:, 8:24, 8:24]
DENOISING = Problem.simulate(Identity(PHOTO.shape), PHOTO, 0.1)
UPSCALING = Problem.simulate(LanczosDownsampler(PHOTO.shape, 2), PHOTO, 0.01)
WITHOUT_SPECTRUM = Problem.simulate(Blur(PHOTO.shape, torch.ones(3, 3) / 9, boundary="reflect"), PHOTO, 0.01)
DIP = DeepImagePrior(Hourglass((4,), 2))
FULL = Descent(precision="full")
RULES = (Discrepancy(0.1), ExponentialVariance(patience=900), WindowedVariance(5, patience=900), HeldOut(0.2, 900), Oracle())

# once in 25 steps the solver reads the objective, and each rule what it follows
DESCENT, WITH_RULES, CONVEX = 0.16, 0.4, 0.4


class Case(NamedTuple):
    problem: Problem
    prior: Prior
    method: Method
    bound: float = DESCENT
    callbacks: Sequence[Any] = ()


CASES = {
    "full": Case(DENOISING, DIP, FULL),
    "mixed": Case(DENOISING, DIP, Descent(precision="mixed")),
    "light": Case(
        DENOISING,
        DIP,
        Descent(partial(MuonThenAdam, muon_steps=30), average=0.97),
        callbacks=(Observe(Discrepancy(0.1)), Observe(ExponentialVariance())),
    ),
    "every rule": Case(DENOISING, DIP, FULL, WITH_RULES, tuple(map(Observe, RULES))),
    "ramp": Case(DENOISING, DeepImagePrior(Hourglass((4,), 2), perturbation=Ramp(0.1, 0, 40)), FULL),
    "batch": Case(DENOISING.repeat(3), DIP, FULL),
    "DIP + TV": Case(DENOISING, DIP + TotalVariation(0.01), FULL),
    "schedule": Case(DENOISING, DIP, Descent(schedule=partial(CosineAnnealingLR, T_max=60), precision="full")),
    "SGD": Case(DENOISING, DIP, Descent(partial(SGD, lr=1e-5, momentum=0.9), precision="full")),
    "recompute": Case(DENOISING, DeepImagePrior(Hourglass((4,), 2, recompute=True)), FULL),
    "Langevin": Case(DENOISING, DIP, Langevin(burn_in=10)),
    "no prior": Case(UPSCALING, NoPrior(), Descent()),
    "TV": Case(DENOISING, TotalVariation(0.05), PrimalDual(), CONVEX),
    "TV without spectrum": Case(WITHOUT_SPECTRUM, TotalVariation(0.01), PrimalDual(), CONVEX),
    "Tikhonov": Case(UPSCALING, Tikhonov(0.01), ConjugateGradient(), CONVEX),
}


def waits_of(run: Callable[[], Any]) -> tuple[Any, Counter[str]]:
    waits.clear()
    return run(), waits.copy()


@pytest.mark.parametrize("name", CASES)
def test_a_step_waits_no_more_than_is_known(name: str) -> None:
    """The difference of a short and a long solve; the long one has the bits of the CPU."""
    problem, prior, method, bound, callbacks = CASES[name]
    on_gpu, short, long = problem.to("cuda"), 25, 75
    solved = partial(solve, prior=prior, method=method, callbacks=callbacks, progress=False)
    _, before = waits_of(lambda: solved(on_gpu, steps=short))
    result, after = waits_of(lambda: solved(on_gpu, steps=long))
    assert result.steps == long
    more = after - before
    assert more.total() <= bound * (long - short), "\n".join(f"{count} {line}" for line, count in more.most_common())
    expected = solved(problem, steps=long)
    assert result.image.cpu().equal(expected.image)


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
    operator = UPSCALING.to("cuda").operator
    norm, counted = waits_of(operator.norm)
    assert counted.total() <= 62, counted
    assert norm == UPSCALING.operator.norm()
