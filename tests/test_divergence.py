"""A descent that diverges: rolled back wholly, retried at half the rate, and ended with the best state so far."""

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch

from dipops import DeepImagePrior, Descent, Hourglass, Identity, Mask, NoPrior, Problem, images, masks, solve
from dipops._tools.seeds import stream
from dipops.errors import Diverged
from dipops.methods.interface import Slowing
from dipops.solver.divergence import DivergenceGuard, Health
from dipops.solver.result import Status
from dipops.stopping import ExponentialMean, ExponentialVariance

TINY = Hourglass((8,), skips=2)


class Calls(list):
    """The rates of all calls so far; its name does not change as it grows."""

    def __repr__(self) -> str:
        return "Calls()"


class Breaking(torch.optim.Adam):
    """Adam that spoils the weights in the calls that ``at`` counts; the count lives outside of what is rolled back."""

    def __init__(self, parameters, lr, at, calls, factor) -> None:
        super().__init__(parameters, lr=lr, fused=True)
        self.at, self.calls, self.factor = at, calls, factor

    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = super().step(closure)
        self.calls.append(self.param_groups[0]["lr"])
        if len(self.calls) in self.at:
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.mul_(self.factor)
        return loss


def noisy() -> Problem:
    return Problem.simulate(Identity((3, 16, 16)), images.portrait(32)[:, 8:24, 8:24], 0.1)


def breaking(at: set[int], calls: list, factor: float = float("nan"), schedule=None, average: float | None = None) -> Descent:
    return Descent(partial(Breaking, lr=0.01, at=at, calls=calls, factor=factor), schedule, average)


@dataclass
class Slowed:
    """A descent of 100 steps that halves its rate at step 25, made without a solver."""

    image: torch.Tensor
    average: torch.Tensor
    rule: ExponentialVariance
    objectives: torch.Tensor


@pytest.fixture(scope="module")
def slowed() -> Slowed:
    problem, prior, rule = noisy(), DeepImagePrior(TINY), ExponentialVariance(0.3, patience=500)
    prior.start(problem, [0])
    reference = Descent().start(problem, prior, [stream(0, "perturbation")])
    objectives, average, image = [], torch.empty(0), torch.empty(0)
    mean = ExponentialMean(0.99)
    rule.start(problem)
    for index in range(1, 101):
        image, objective = reference.step(True)
        objectives.append(objective)
        mean.update(image)
        assert mean.average is not None
        average = mean.average
        rule.update(index, image, average)
        if index == 25:
            reference.slow_down(0.5)
    return Slowed(image, average, rule, torch.stack(objectives))


@pytest.mark.parametrize("factor", [float("nan"), -30.0])
def test_a_divergence_is_rolled_back_wholly_and_retried_at_half_the_rate(factor: float, slowed: Slowed) -> None:
    """As if the solve had halved its rate at step 25 and continued: the state of step 50 was only a candidate."""
    calls, rule = [], ExponentialVariance(0.3, patience=500)
    result = solve(noisy(), DeepImagePrior(TINY), breaking({60}, calls, factor), steps=100, callbacks=[rule], progress=False)
    assert result.rollbacks == 1
    assert result.steps == 100
    assert result.last.equal(slowed.image)
    assert result.average is not None
    assert result.average.equal(slowed.average)
    assert result.image.equal(slowed.rule.image)
    assert result.image_steps.equal(slowed.rule.image_steps)
    assert result.trace["objective"].equal(slowed.objectives)
    assert set(calls[:60]) == {0.01}
    assert calls[-1] == 0.005


@pytest.mark.parametrize(("at", "factor"), [(25, float("nan")), (51, float("nan")), (74, -30.0)])
def test_a_divergence_in_the_very_step_after_which_the_state_is_taken_is_rolled_back(at: int, factor: float) -> None:
    result = solve(noisy(), DeepImagePrior(TINY), breaking({at}, [], factor), steps=76, progress=False)
    assert result.rollbacks == 1
    assert result.steps == 76
    assert float(result.trace["objective"][-1]) < 50


def test_a_slow_rise_is_a_divergence_too() -> None:
    """SGD at a rate just above 2 makes ½‖x - y‖² grow by 2% a step."""
    result = solve(noisy(), NoPrior(), Descent(partial(torch.optim.SGD, lr=2.01)), steps=500, progress=False)
    assert result.rollbacks >= 1
    assert float(result.trace["objective"][-1]) < 1e-6


def test_a_schedule_goes_on_at_the_lower_rate() -> None:
    calls = []
    schedule = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=76)
    result = solve(noisy(), NoPrior(), breaking({60}, calls, schedule=schedule), steps=76, progress=False)
    assert result.rollbacks == 1
    assert calls[-1] == pytest.approx(0.5 * calls[25 - 1] * _cycle(75) / _cycle(24), rel=1e-5)


def _cycle(index: int) -> float:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=76)
    for _ in range(index):
        optimizer.step()
        schedule.step()
    return optimizer.param_groups[0]["lr"]


def test_after_five_divergences_in_a_row_the_last_good_state_is_returned() -> None:
    problem = noisy()
    prior, rules = DeepImagePrior(TINY), [ExponentialVariance(patience=50)]
    result = solve(problem, prior, breaking(set(range(52, 999)), [], average=0.9), steps=55, callbacks=rules, progress=False)
    clean = solve(problem, prior, Descent(average=0.9), steps=25, callbacks=rules, progress=False)
    assert result.status is Status.ROLLED_BACK
    assert result.rollbacks == 5
    assert result.steps == 25
    assert "5 times at ever lower rates: back at step 25" in result.message
    assert result.last.equal(clean.last)
    assert result.image.equal(clean.image)
    assert result.trace["objective"].shape == (25, 1)


def test_a_rise_that_comes_back_at_every_rate_ends_the_solve_and_a_resumed_one(tmp_path: Path) -> None:
    """It is tied to the step, so that lower rates do not help, and good looks before it must not count."""
    prior, file = DeepImagePrior(TINY, perturbation=_rising), tmp_path / "run.pt"
    problem = Problem.simulate(Mask(masks.random((16, 16), keep=0.5), channels=3), images.portrait(32)[:, 8:24, 8:24], 0)
    first, again = (solve(problem, prior, steps=150, checkpoint=file, progress=False) for _ in range(2))
    assert first.status is again.status is Status.ROLLED_BACK
    assert first.rollbacks == 5
    assert first.steps < 75
    assert "5 times at ever lower rates" in first.message
    assert (again.message, again.steps, again.rollbacks) == (first.message, first.steps, first.rollbacks)
    assert again.image.equal(first.image)


def test_rollbacks_are_counted_across_an_interruption(tmp_path: Path) -> None:
    calls = Calls()
    method = breaking({60, 110}, calls)
    whole = solve(noisy(), DeepImagePrior(TINY), method, steps=80, progress=False)
    calls.clear()
    for steps in (75, 80):
        result = solve(noisy(), DeepImagePrior(TINY), method, steps=steps, checkpoint=tmp_path / "run.pt", progress=False)
    assert whole.rollbacks == result.rollbacks == 2
    assert result.image.equal(whole.image)


def test_a_jump_in_the_last_stretch_is_not_the_answer(tmp_path: Path) -> None:
    result = solve(noisy(), DeepImagePrior(TINY), breaking({95}, Calls(), -30.0), steps=100, progress=False)
    objective = result.trace["objective"][:, 0]
    assert result.rollbacks == 1
    assert float(objective[-1]) < 2 * float(objective[70:75].mean())


def test_a_solve_that_never_converged_is_an_error() -> None:
    with pytest.raises(Diverged, match=r"not finite at step \d+; .*lower the learning rate"):
        solve(noisy(), NoPrior(), Descent(partial(torch.optim.SGD, lr=1e12)), steps=100, progress=False)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_a_rise_from_the_first_step_on_gives_the_first_image(steps: int, tmp_path: Path) -> None:
    """SGD on ½‖x - y‖² at rates that are all far beyond 2: finite values, and not one of them good."""
    problem = Problem.simulate(Identity((3, 64, 64)), images.portrait(64), 0.1)
    start = NoPrior()
    start.start(problem, [0])
    method, file = Descent(partial(torch.optim.SGD, lr=400.0)), tmp_path / "run.pt"
    for _ in ("solved", "resumed"):
        result = solve(problem, NoPrior(), method, steps=steps, checkpoint=file, progress=False)
        assert result.status is Status.ROLLED_BACK
        assert (result.steps, result.rollbacks, result.image_steps.tolist()) == (1, 5, [1])
        assert "5 times at ever lower rates: back at step 1" in result.message
        assert result.image.equal(start().detach())
        assert result.objective.isfinite().all()


def test_what_was_good_but_not_confirmed_is_returned() -> None:
    """The first stretch converges, and no try gets through the second one."""
    problem = noisy()
    spoiling = {call for attempt in range(5) for call in range(26 + 30 * attempt, 31 + 30 * attempt)}
    result = solve(problem, DeepImagePrior(TINY), breaking(spoiling, [], average=0.0), steps=30, progress=False)
    assert result.status is Status.ROLLED_BACK
    assert (result.steps, result.rollbacks) == (25, 5)
    assert float(result.trace["objective"][-1]) < float(result.trace["objective"][0])
    torch.testing.assert_close(problem.data_term(result.image), result.trace["objective"][-1])


def test_a_rate_that_is_too_high_at_first_is_lowered_until_it_works() -> None:
    """SGD on ½‖x - y‖² diverges from a rate of 2: 10 is halved three times."""
    result = solve(noisy(), NoPrior(), Descent(partial(torch.optim.SGD, lr=10.0)), steps=200, progress=False)
    assert result.rollbacks >= 3
    assert float(result.trace["objective"][-1]) < 1e-6


def test_a_spike_that_passes_is_no_divergence_and_a_lasting_jump_is() -> None:
    guard, looks = DivergenceGuard(), count(25, 25)

    def judge(objectives: torch.Tensor) -> Health:
        return guard.judge(objectives, next(looks))

    level = torch.ones(25, 2)
    assert judge(level) is Health.OK
    spike = level.clone()
    spike[10] = 50
    assert judge(spike) is Health.OK
    beginning = level.clone()
    beginning[20:, 1] = 50
    assert judge(beginning) is Health.SUSPECT
    assert deepcopy(guard).judge(beginning, 75, last=True) is Health.DIVERGED
    assert judge(torch.where(torch.tensor([False, True]), 50.0, level)) is Health.DIVERGED
    assert (guard.failures, guard.rollbacks) == (1, 1)
    assert guard.judge(level, 75) is Health.OK
    assert (guard.failures, guard.rollbacks) == (1, 1)
    assert judge(level) is Health.OK
    assert (guard.failures, guard.rollbacks) == (0, 1)
    assert judge(1e-9 * level) is Health.OK
    assert judge(1e-7 * level) is Health.OK
    for rise in (2e-6, 2.5e-6, 3e-6):
        assert judge(rise * level) is Health.OK
    assert judge(4e-6 * level) is Health.DIVERGED


def test_a_jump_in_the_first_stretch_or_in_a_long_one_is_found() -> None:
    falling = torch.linspace(10, 1, 25).view(25, 1)
    falling[20:] = 30
    assert DivergenceGuard().judge(falling, 25) is Health.SUSPECT
    long = torch.linspace(10, 1, 100).view(100, 1)
    long[60:] = 50
    assert DivergenceGuard().judge(long, 100) is Health.DIVERGED


def test_a_level_is_not_where_a_first_fall_shot_through_the_target() -> None:
    """A single number that is fitted is met exactly on the way past it, and only then settles."""
    guard = DivergenceGuard()
    falling = torch.linspace(1, -0.25, 25).view(25, 1).square()
    assert float(falling.min()) < 1e-3
    assert guard.judge(falling, 25) is Health.OK
    assert guard.judge(torch.full((25, 1), 0.05), 50) is Health.OK
    assert guard.judge(torch.full((25, 1), 4.0), 75) is Health.DIVERGED


def _rising(step: int) -> float:
    return 0.0 if step < 75 else 3.0


def test_descent_can_slow_down_and_exact_methods_need_not() -> None:
    problem, prior = noisy(), NoPrior()
    prior.start(problem, [0])
    assert isinstance(Descent().start(problem, prior, [torch.Generator()]), Slowing)
