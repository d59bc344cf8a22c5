"""A step that is recorded on a GPU and replayed is the step that is made one operation at a time, to the bit."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from dipops import DeepImagePrior, Hourglass, NoPrior, Problem, TotalVariation, images, solve
from dipops.methods import Descent, Langevin, Method, MuonThenAdam
from dipops.methods.recording import RecordedStep
from dipops.noise import Gaussian
from dipops.operators import DifferentiableOperator, Identity, LanczosDownsampler, LinearOrDifferentiableOperator
from dipops.priors import Prior
from dipops.priors.inputs import Ramp
from dipops.solver import Result
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Oracle, WindowedVariance

pytestmark = pytest.mark.cuda
SMALL = Hourglass((4,), 2, upsampling="nearest")
DIP = DeepImagePrior(SMALL)
FULL = partial(Descent, precision="full")
STEPS = 10
PHOTO = images.portrait(32)[:, 8:24, 8:24]


@pytest.fixture(autouse=True)
def same_bits() -> Iterator[None]:
    """A GPU gives the same bits twice with deterministic algorithms alone."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def noisy(operator: LinearOrDifferentiableOperator | None = None) -> Problem:
    return Problem.simulate(operator or Identity(PHOTO.shape), PHOTO, Gaussian(0.1)).to("cuda")


def solved(problem: Problem, prior: Prior, method: Method, **options: object) -> Result:
    return solve(problem, prior, method, **({"steps": STEPS, "callbacks": (), "progress": False} | options))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``solved`` without recordings, all else equal."""

    def make(*arguments: object, **options: object) -> Result:
        with monkeypatch.context() as patch:
            patch.setattr(RecordedStep, "__call__", lambda self: self._step())
            return solved(*arguments, **options)

    return make


def require_equal(recorded: Result, eager: Result) -> None:
    assert recorded.last.equal(eager.last)
    assert recorded.image.equal(eager.image)
    for name, curve in eager.trace.items():
        assert recorded.trace[name].equal(curve), name


SAME = {
    "Adam": (DIP, FULL()),
    "mixed precision": (DIP, Descent(precision="mixed")),
    "Adam, unfused": (DIP, FULL(Adam)),
    "AdamW, amsgrad": (DIP, FULL(partial(AdamW, amsgrad=True))),
    "NAdam": (DIP, FULL(NAdam)),
    "RMSprop": (DIP, FULL(partial(RMSprop, lr=1e-3))),
    "SGD with momentum": (DIP, FULL(partial(SGD, lr=1e-5, momentum=0.9))),
    "cosine schedule": (DIP, FULL(schedule=partial(CosineAnnealingLR, T_max=9))),
    "schedule of stairs": (DIP, FULL(schedule=partial(StepLR, step_size=5))),
    "one cycle": (DIP, FULL(schedule=partial(OneCycleLR, max_lr=0.02, total_steps=20, cycle_momentum=False))),
    "Muon across its end": (DIP, FULL(partial(MuonThenAdam, muon_steps=5))),
    "Muon, smooth and scheduled": (
        DIP,
        FULL(partial(MuonThenAdam, muon_steps=5, smooth=True), partial(CosineAnnealingLR, T_max=9)),
    ),
    "Langevin": (DIP, Langevin(burn_in=5)),
    "falling perturbation": (DeepImagePrior(SMALL, perturbation=Ramp(1 / 30, 0, 9)), FULL()),
    "no perturbation": (DeepImagePrior(SMALL, perturbation=0), FULL()),
    "recompute": (DeepImagePrior(Hourglass((4,), 2, upsampling="nearest", recompute=True)), FULL()),
    "DIP + TV, input learned": (DeepImagePrior(SMALL, learn_input=True) + TotalVariation(0.01), FULL()),
    "pixels in a box": (TotalVariation(0.05, box=True), Descent()),
    "no prior": (NoPrior(), Descent()),
}


@pytest.mark.parametrize("name", SAME)
def test_a_replayed_step_has_the_bits_of_a_step_made_anew(name: str, eager: Callable[..., Result]) -> None:
    prior, method = SAME[name]
    recorded = solved(noisy(), prior, method)
    assert recorded.precision.endswith(", captured")
    require_equal(recorded, eager(noisy(), prior, method))


def test_all_rules_see_the_same_images(eager: Callable[..., Result]) -> None:
    rules = (Observe(Discrepancy()), Observe(ExponentialVariance()), Observe(WindowedVariance(3, 5)), Oracle(), HeldOut())
    recorded = solved(noisy(), DIP, FULL(), callbacks=rules)
    again = eager(noisy(), DIP, FULL(), callbacks=rules)
    require_equal(recorded, again)
    for one, other in zip(recorded.observed, again.observed, strict=True):
        assert one.image.equal(other.image)


def test_members_of_a_batch_are_replayed_together(eager: Callable[..., Result]) -> None:
    operator = LanczosDownsampler((3, 16, 16), 2)
    require_equal(*(make(noisy(operator).repeat(2), DIP, FULL()) for make in (solved, eager)))


def test_a_solve_that_goes_back_is_recorded_anew(eager: Callable[..., Result]) -> None:
    wild = Descent(partial(SGD, lr=10.0), every=5)
    recorded = solved(noisy(), NoPrior(), wild, steps=40)
    assert recorded.rollbacks > 0
    assert recorded.precision == "full, captured"
    require_equal(recorded, eager(noisy(), NoPrior(), wild, steps=40))


def test_a_resumed_solve_has_the_bits_of_one_in_a_go(tmp_path: Path) -> None:
    method = FULL(partial(MuonThenAdam, muon_steps=5), partial(CosineAnnealingLR, T_max=9))
    for steps in (7, STEPS):
        resumed = solved(noisy(), DIP, method, steps=steps, checkpoint=tmp_path / "run.pt")
    require_equal(resumed, solved(noisy(), DIP, method))


class Scaled(DifferentiableOperator):
    """An operator that is another one in each step, in one of the ways that a recording would not follow."""

    def __init__(self, way: str) -> None:
        super().__init__((3, 16, 16))
        self.way, self.calls = way, 0
        self.register_buffer("masks", torch.ones(2, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.way == "counts":
            return x * (1 + self.calls / 1000)
        if self.way == "takes turns":
            return x * tuple(self.masks.unbind())[self.calls % 2].clone()
        if self.way == "grows":
            return (x if self.calls % 2 else x + 0).clone()
        if self.way == "reads":
            return x * float(x.detach().max())
        return x * torch.tensor([1.0, 2.0, 3.0])[:, None, None].to(x.device)


@pytest.mark.parametrize("way", ["counts", "takes turns", "grows", "reads", "copies"])
def test_a_step_that_is_not_the_same_every_time_stays_eager(way: str) -> None:
    problem = Problem(Scaled(way), PHOTO[None], noise=Gaussian(0.1)).to("cuda")
    result = solved(problem, DIP, FULL())
    assert result.precision.startswith("full, eager: aten.")
    assert ("moves numbers between CPU and GPU" if way in ("reads", "copies") else "from step to step") in result.precision


@pytest.mark.parametrize(
    ("method", "steps", "words"),
    [
        (FULL(torch.optim.LBFGS), 2, "full, eager: L-BFGS"),
        (FULL(capture=False), STEPS, "full, eager: capture=False"),
        (FULL(), 3, "full, eager: too few steps"),
        (FULL(Adagrad), STEPS, "full, eager: aten."),
        (FULL(schedule=partial(OneCycleLR, max_lr=0.02, total_steps=20)), STEPS, "full, eager: aten._fused_adam_.tensor_lr"),
    ],
)  # fmt: skip
def test_why_steps_are_not_recorded_is_said(method: Descent, steps: int, words: str) -> None:
    assert solved(noisy(), DIP, method, steps=steps).precision.startswith(words)


def test_where_the_gpu_fails_to_record_the_solve_goes_on(eager: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = eager(noisy(), DIP, FULL(partial(MuonThenAdam, muon_steps=5)))

    class Failing(torch.cuda.graph):
        def __exit__(self, *of_error: object) -> None:
            super().__exit__(*of_error)
            raise RuntimeError("no memory for a graph\nsecond line")

    monkeypatch.setattr(torch.cuda, "graph", Failing)
    result = solved(noisy(), DIP, FULL(partial(MuonThenAdam, muon_steps=5)))
    assert result.precision == "full, eager: no memory for a graph"
    require_equal(result, expected)
