"""A step that is recorded on a GPU and replayed is the step that is made one operation at a time, to the bit."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from dipops import DeepImagePrior, Hourglass, NoPrior, Problem, TotalVariation, images, solve
from dipops.methods import Descent, Langevin, Method, MuonThenAdam, recording
from dipops.methods.recording import RecordedStep
from dipops.noise import Gaussian
from dipops.operators import DifferentiableOperator, Identity, LanczosDownsampler, LinearOrDifferentiableOperator, Radon
from dipops.priors import Prior
from dipops.priors.inputs import Ramp
from dipops.solver import Result
from dipops.solver.cost import start
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Oracle, Step, WindowedVariance
from tests.pretend import hooks

pytestmark = pytest.mark.cuda
SMALL = Hourglass((4,), 2, upsampling="nearest")
DIP = DeepImagePrior(SMALL)
FULL = partial(Descent, precision="full")
STEPS = 8
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


def require_equal(recorded: Result, eager: Result, **tolerances: float) -> None:
    """The same bits, unless tolerances are given."""
    allowed = tolerances or {"rtol": 0, "atol": 0}
    torch.testing.assert_close(recorded.last, eager.last, **allowed)
    torch.testing.assert_close(recorded.image, eager.image, **allowed)
    for name, curve in eager.trace.items():
        torch.testing.assert_close(recorded.trace[name], curve, **allowed, msg=name)


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
    "Muon across its end": (DIP, FULL(partial(MuonThenAdam, muon_steps=4))),
    "Muon, smooth and scheduled": (
        DIP,
        FULL(partial(MuonThenAdam, muon_steps=3, smooth=True), partial(CosineAnnealingLR, T_max=9)),
    ),
    "Langevin": (DIP, Langevin(burn_in=5)),
    "falling perturbation": (DeepImagePrior(SMALL, perturbation=Ramp(1 / 30, 0, 9)), FULL()),
    "no perturbation": (DeepImagePrior(SMALL, perturbation=0), FULL()),
    "recompute": (DeepImagePrior(Hourglass((4,), 2, upsampling="nearest", recompute=True)), FULL()),
    "DIP + TV, input learned": (DeepImagePrior(SMALL, learn_input=True) + TotalVariation(0.01), FULL()),
    "pixels in a box": (TotalVariation(0.05, box=True), Descent()),
    "no prior": (NoPrior(), Descent()),
}


def test_a_step_through_a_sparse_matrix_is_recorded(eager: Callable[..., Result]) -> None:
    operator = Radon(PHOTO.shape, range(0, 180, 30))
    recorded = solved(noisy(operator), DIP, FULL())
    assert recorded.precision == "full, captured"
    rounded = {} if hooks.missing is None else {"rtol": 1e-5, "atol": 1e-5}  # cuSPARSE adds in no fixed order
    require_equal(recorded, eager(noisy(operator), DIP, FULL()), **rounded)


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

    masks: Tensor

    def __init__(self, way: str) -> None:
        super().__init__((3, 16, 16))
        self.way, self.calls, self.numbers = way, 0, count()
        self.register_buffer("masks", torch.ones(2, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        number = next(self.numbers)
        if self.way == "counts":
            return x * (1 + number / 1000)
        if self.way == "counts in an attribute":
            self.calls += 1
            return x * (1 + self.calls // 8)
        if self.way == "takes turns":
            return x * tuple(self.masks.unbind())[number % 2].clone()
        if self.way == "grows":
            return (x if number % 2 else x + 0).clone()
        if self.way == "draws":
            return x * (2 if random.random() < 0.1 else 1)
        if self.way == "looks for zeros":
            return x * (x.detach() == 0).nonzero().shape[1]
        if self.way == "reads":
            return x * float(x.detach().max())
        if self.way == "peeks" and float(x.detach().max()) > 2:
            return 2 * x
        if self.way in ("masks", "peeks"):
            return x * self.masks[0]
        return x * torch.tensor([1.0, 2.0, 3.0])[:, None, None].to(x.device)


WAYS = {
    "counts": "aten.mul.Tensor differs from step to step",
    "counts in an attribute": "Scaled.calls changes from step to step",
    "takes turns": "aten.clone.default differs from step to step",
    "grows": "differs from step to step",
    "draws": "random numbers of the CPU",
    "looks for zeros": "aten.nonzero.default moves numbers between CPU and GPU",
    "reads": "aten._local_scalar_dense.default moves numbers between CPU and GPU",
    "copies": "moves numbers between CPU and GPU",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_is_not_the_same_every_time_stays_eager(way: str) -> None:
    problem = Problem(Scaled(way), PHOTO[None], noise=Gaussian(0.1)).to("cuda")
    result = solved(problem, DIP, FULL())
    assert result.precision.startswith("full, eager: ")
    assert result.precision.endswith(WAYS[way])


@pytest.mark.parametrize(
    ("method", "steps", "words"),
    [
        (FULL(torch.optim.LBFGS), 2, "full, eager: L-BFGS"),
        (FULL(capture=False), STEPS, "full, eager: capture=False"),
        (FULL(), 3, "full, eager: too few steps"),
        (FULL(Adagrad), STEPS, "full, eager: aten."),
        (FULL(partial(SGD, lr=1e-5), partial(CosineAnnealingLR, T_max=9)), STEPS, "full, eager: aten._local_scalar_dense"),
        (FULL(schedule=partial(OneCycleLR, max_lr=0.02, total_steps=20)), STEPS, "full, eager: the optimiser's betas"),
    ],
)  # fmt: skip
def test_why_steps_are_not_recorded_is_said(method: Descent, steps: int, words: str) -> None:
    assert solved(noisy(), DIP, method, steps=steps).precision.startswith(words)


class Stairs(LRScheduler):
    """Decays the weights more from the seventh step on, and sets a plain rate from the ninth."""

    def get_lr(self) -> list[float | Tensor]:
        for group in self.optimizer.param_groups:
            group["weight_decay"] = 0.0 if self.last_epoch < 6 else 0.5
            if self.last_epoch == 8:
                group["lr"] = 0.001
        return [group["lr"] for group in self.optimizer.param_groups]


class Slowing(LRScheduler):
    """Halves how far Muon moves, from the sixth step on."""

    def get_lr(self) -> list[float | Tensor]:
        for group in self.optimizer.param_groups:
            group["muon_lr"] = 0.05 if self.last_epoch < 5 else 0.025
        return [group["lr"] for group in self.optimizer.param_groups]


class Lookahead(SGD):
    """Goes back halfway to where it was, every sixth step."""

    taken = 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = super().step(closure)
        self.taken += 1
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                slow = self.state[parameter].setdefault("slow", parameter.clone())
                if self.taken % 6 == 0:
                    parameter.copy_(slow.lerp_(parameter, 0.5))
        return loss


class Annealed(TotalVariation):
    """A weight that falls at the sixth step."""

    def set_step(self, step: int) -> None:
        self.share = 1.0 if step < 5 else 0.0

    def penalty(self, x: Tensor) -> Tensor:
        return self.share * super().penalty(x)


@pytest.mark.parametrize(
    ("prior", "method"),
    [
        (DIP, FULL(AdamW, Stairs)),
        (DIP, FULL(MuonThenAdam, Slowing)),
        (DIP, FULL(partial(Lookahead, lr=1e-5))),
        (Annealed(0.5), Descent()),
    ],
    ids=["schedule", "schedule of Muon", "optimiser", "prior"],
)
def test_what_changes_later_is_followed(prior: Prior, method: Method, eager: Callable[..., Result]) -> None:
    require_equal(solved(noisy(), prior, method, steps=16), eager(noisy(), prior, method, steps=16))


def test_a_callback_may_change_the_operator(eager: Callable[..., Result]) -> None:
    """A buffer replaced by another tensor, and one changed in place."""

    def change(step: Step) -> None:
        if step.index == 6:
            operator.masks = 0.5 * operator.masks
        if step.index == 12:
            operator.masks.mul_(2)

    results = []
    for make in (solved, eager):
        operator = Scaled("masks").to("cuda")
        problem = Problem(operator, PHOTO[None].to("cuda"), noise=Gaussian(0.1))
        results.append(make(problem, DIP, FULL(every=3), steps=16, callbacks=[change]))
    assert results[0].precision == "full, captured"
    require_equal(*results)


def test_a_schedule_of_sgd_does_not_wait_for_its_rates() -> None:
    problem, method = noisy(), FULL(partial(SGD, lr=1e-5), partial(CosineAnnealingLR, T_max=9))
    _, iteration = start(problem, DIP, method)
    for _ in range(4):
        iteration.step(False)
    assert all(isinstance(group["lr"], float) for group in iteration.optimizer.param_groups)


def test_a_failing_recording_leaves_the_stream_and_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_WAITING", ())
    before = torch.cuda.current_stream()
    problem = Problem(Scaled("peeks"), PHOTO[None], noise=Gaussian(0.1)).to("cuda")
    result = solved(problem, DIP, FULL())
    assert "capturing" in result.precision
    assert torch.cuda.current_stream() == before


def test_a_generator_of_ones_own_is_recorded_too(eager: Callable[..., Result]) -> None:
    class Shaken(TotalVariation):
        def resample_noise(self, generators: Sequence[torch.Generator]) -> None:
            if not hasattr(self, "draws"):
                self.draws, self.shift = [torch.Generator("cuda").manual_seed(1)], torch.zeros(1, device="cuda")
            self.shift.normal_(generator=self.draws[0])

        def penalty(self, x: Tensor) -> Tensor:
            return super().penalty(x) * (1 + self.shift.square())

    results = [make(noisy(), Shaken(0.1), Descent()) for make in (solved, eager)]
    assert results[0].precision == "full, captured"
    require_equal(*results)


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
