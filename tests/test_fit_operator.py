"""Unknown parameters of an operator: fitted where asked, and else left alone."""

import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    Hourglass,
    Identity,
    Langevin,
    LinearOperator,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    estimate,
    solve,
)
from dipops.errors import BadFile, BadValue
from dipops.solver.result import Status
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut

TINY = Hourglass((8,), skips=2)
FIT = Descent(fit_operator=True)


class Exposure(LinearOperator):
    """The left half as it is, the right half exposed by an unknown factor."""

    def __init__(self, factor: float) -> None:
        super().__init__((3, 16, 16))
        self.factor = nn.Parameter(torch.tensor(factor))
        self.fixed = nn.Parameter(torch.tensor(0.5), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        return torch.cat([left, 2 * self.fixed * self.factor * right], -1)


class Power(DifferentiableOperator):
    """An unknown exponent."""

    def __init__(self, exponent: float) -> None:
        super().__init__((3, 16, 16))
        self.exponent = nn.Parameter(torch.tensor([exponent]))

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-3) ** self.exponent


def problem(operator: LinearOperator | DifferentiableOperator) -> Problem:
    """A flat grey image: whatever differs between the halves is the operator's."""
    return Problem.simulate(operator, torch.full((3, 16, 16), 0.5), 0.01)


def test_a_factor_is_found_and_the_users_operator_stays() -> None:
    """Of a flat image the two halves differ by the factor; TV makes it as flat as they allow."""
    measured, guess = problem(Exposure(1.5)), Exposure(1.0)
    result = solve(Problem(guess, measured.y), TotalVariation(0.1), FIT, steps=300, progress=False)
    assert isinstance(result.operator, Exposure)
    assert float(result.operator.factor.detach()) == pytest.approx(1.5, rel=0.02)
    assert result.operator is not guess
    assert float(result.operator.fixed) == 0.5
    assert float(guess.factor.detach()) == 1.0
    assert guess.factor.grad is None
    with torch.no_grad():
        objective = Problem(result.operator, measured.y).data_term(result.image) + TotalVariation(0.1).value(result.image)
    torch.testing.assert_close(result.objective, objective)


@pytest.mark.parametrize(
    "operator", [Exposure(1.2), Power(0.8), 2 * Exposure(1.2), Identity((3, 16, 16)) @ Power(0.8)], ids=repr
)
def test_parameters_anywhere_in_an_expression_are_fitted(operator) -> None:
    result = solve(problem(operator), DeepImagePrior(TINY), FIT, steps=3, progress=False)
    fitted, given = (dict(some.named_parameters()) for some in (result.operator, operator))
    assert [name for name in given if not fitted[name].equal(given[name])] == [n for n, p in given.items() if p.requires_grad]


METHODS = {
    "Descent": (DeepImagePrior(TINY), Descent()),
    "L-BFGS": (TotalVariation(0.1), Descent(partial(torch.optim.LBFGS, lr=0.1))),
    "Langevin": (DeepImagePrior(TINY), Langevin(burn_in=2)),
    "PrimalDual": (TotalVariation(0.1), PrimalDual()),
    "ConjugateGradient": (Tikhonov(0.1), ConjugateGradient()),
}


@pytest.mark.parametrize("rule", [None, Discrepancy(), HeldOut(0.2, 400), ExponentialVariance(0.1, 400)], ids=repr)
@pytest.mark.parametrize("name", METHODS)
def test_parameters_stay_in_silence_unless_they_are_to_be_fitted(name: str, rule) -> None:
    (prior, method), operator = METHODS[name], Exposure(1.5)
    posed = problem(operator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = solve(posed, prior, method, steps=6, callbacks=[rule] if rule else [], progress=False)
    assert result.operator is operator
    assert float(operator.factor.detach()) == 1.5
    assert operator.factor.grad is None
    assert operator.factor.requires_grad
    assert not result.image.requires_grad
    assert not result.objective.requires_grad


@pytest.mark.parametrize("method", [FIT, Descent()], ids=["fitted", "not fitted"])
def test_an_estimate_moves_no_parameter(method: Descent) -> None:
    operator = Exposure(1.5)
    estimate(problem(operator), DeepImagePrior(TINY), method, steps=5)
    assert float(operator.factor.detach()) == 1.5
    assert operator.factor.grad is None


@pytest.mark.parametrize("rule", [None, Discrepancy(), HeldOut(0.2, 400)], ids=repr)
def test_a_resumed_fit_ends_with_the_same_bits(rule, tmp_path: Path) -> None:
    posed, callbacks, file = problem(Exposure(1.5)), [rule] if rule else [], tmp_path / "run.pt"
    run = partial(solve, posed, DeepImagePrior(TINY), FIT, callbacks=callbacks, progress=False)
    whole = run(steps=40)
    run(steps=30, checkpoint=file)
    resumed = run(steps=40, checkpoint=file)
    assert isinstance(whole.operator, Exposure)
    assert isinstance(resumed.operator, Exposure)
    assert resumed.image.equal(whole.image)
    assert resumed.operator.factor.equal(whole.operator.factor)
    assert float(whole.operator.factor.detach()) != 1.5
    with pytest.raises(BadFile, match="has operator "):
        solve(
            Problem(Exposure(1.4), posed.y, posed.noise),
            DeepImagePrior(TINY),
            FIT,
            callbacks=callbacks,
            checkpoint=file,
            progress=False,
        )


class Spoiling(torch.optim.Adam):
    """Adam that spoils the parameters in every step from the 60th on."""

    calls = 0

    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = super().step(closure)
        Spoiling.calls += 1
        if Spoiling.calls >= 60:
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.fill_(float("nan"))
        return loss


def test_a_rollback_takes_the_operator_back() -> None:
    Spoiling.calls = 0
    posed = problem(Exposure(1.5))
    spoilt = Descent(partial(Spoiling, lr=0.01, fused=True), fit_operator=True)
    result = solve(posed, DeepImagePrior(TINY), spoilt, steps=100, progress=False)
    clean = solve(posed, DeepImagePrior(TINY), FIT, steps=25, progress=False)
    assert result.status is Status.ROLLED_BACK
    assert result.steps == 25
    assert isinstance(result.operator, Exposure)
    assert isinstance(clean.operator, Exposure)
    assert result.operator.factor.equal(clean.operator.factor)


@pytest.mark.parametrize(
    ("posed", "words"),
    [
        (Problem(Identity((3, 16, 16)), torch.rand(3, 16, 16)), "which has nothing to fit; expected an nn.Parameter"),
        (problem(Exposure(1.0)).repeat(2), "fit_operator for a batch of 2; .*solve them one by one"),
    ],
)
def test_what_cannot_be_fitted_is_refused(posed: Problem, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        solve(posed, DeepImagePrior(TINY), FIT, progress=False)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_fit_works_without_gradients_around_it(context) -> None:
    with context():
        posed = problem(Exposure(1.5))
        result = solve(posed, DeepImagePrior(TINY), FIT, steps=3, progress=False)
    outside = solve(problem(Exposure(1.5)), DeepImagePrior(TINY), FIT, steps=3, progress=False)
    assert result.image.equal(outside.image)
    assert float(next(posed.operator.parameters()).detach()) == 1.5
