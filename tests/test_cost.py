"""What a solve will cost is estimated before it, and changes nothing."""

import re
import time
from typing import Any

import pytest
import torch

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Hourglass,
    Identity,
    LinearOperator,
    NoPrior,
    Problem,
    TotalVariation,
    estimate,
    solve,
)
from dipops.errors import DipopsError
from dipops.methods import Method
from dipops.methods.descent import Descent
from dipops.operators.interface import Jacobian
from dipops.recipes import denoise

SMALL = DeepImagePrior(Hourglass((16, 16)))


def problem(size: int, members: int = 1) -> Problem:
    return Problem(Identity((3, size, size)), torch.rand(members, 3, size, size))


class Slow(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return 1 * x


def test_seconds_are_those_of_the_steps() -> None:
    slow = Problem(Slow((1, 16, 16)), torch.rand(1, 1, 16, 16))
    cost = estimate(slow, NoPrior(), Descent(), steps=1000)
    assert 50 <= cost.seconds < 100
    assert cost.steps == 1000
    assert str(cost).startswith("at most ")


def test_bytes_are_those_of_the_tensors_alive(device: torch.device) -> None:
    """θ, its gradient and two moments of Adam, the image, the residual: at least six images at once, and few more."""
    image = 4 * 3 * 256**2
    cost = estimate(problem(256).to(device), NoPrior(), Descent())
    assert 6 * image <= cost.bytes < 25 * image


def test_bytes_grow_with_pixels_and_members() -> None:
    small, large, many = (estimate(given, SMALL).bytes for given in (problem(64), problem(128), problem(64, members=4)))
    assert 3 < large / small < 4.5
    assert 3 < many / small < 4.5


def test_an_estimate_changes_nothing() -> None:
    given, state = problem(32), torch.get_rng_state()
    estimate(given, SMALL)
    assert torch.get_rng_state().equal(state)
    assert not list(SMALL.parameters())


def test_an_estimate_uses_the_default_method_and_holds_no_states_that_a_solve_would_not() -> None:
    cost = estimate(problem(32), TotalVariation(0.1))
    assert cost.steps == 5000
    assert cost.bytes < 10 * 4 * 3 * 32**2


class Rows(LinearOperator):
    """Has a forward alone, so that its adjoint is by torch.func, which refuses hooks on saved tensors."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., ::2, :]


ROWS = Rows((1, 8, 8))


@pytest.mark.parametrize("method", [ConjugateGradient(), Descent()], ids=["conjugate gradients", "descent"])
@pytest.mark.parametrize("operator", [ROWS, ROWS.T, Jacobian(ROWS, torch.rand(1, 8, 8))], ids=repr)
def test_operators_without_an_adjoint_of_their_own_have_a_cost(operator: LinearOperator, method: Method) -> None:
    given = Problem(operator, torch.rand(1, *operator.out_shape))
    assert estimate(given, NoPrior(), method).bytes >= 4 * 64


@pytest.mark.parametrize(
    "given",
    [
        (problem(4), SMALL, None, None),
        (problem(32), denoise(), None, None),
        *((problem(32), SMALL, None, steps) for steps in (-5, 0, 2.5, "9")),
    ],
    ids=lambda given: ", ".join(str(part)[:20] for part in given),
)
def test_an_estimate_refuses_what_solve_refuses(given: tuple[Any, Any, Any, Any]) -> None:
    problem_given, prior, method, steps = given
    with pytest.raises(DipopsError) as expected:
        solve(problem_given, prior, method, steps=steps, progress=False)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        estimate(problem_given, prior, method, steps)


def test_recomputation_holds_less_and_changes_no_bit() -> None:
    """The networks' blocks are made anew on the way back: same curves, same image, fewer bytes at once."""
    given = problem(64)
    kept, anew = (DeepImagePrior(Hourglass((32, 32, 32), recompute=recompute)) for recompute in (False, True))
    results = [solve(given, prior, Descent(precision="full"), steps=4, progress=False) for prior in (kept, anew)]
    assert results[0].last.equal(results[1].last)
    assert results[0].trace["objective"].equal(results[1].trace["objective"])
    assert estimate(given, anew, steps=1).bytes < 0.8 * estimate(given, kept, steps=1).bytes
