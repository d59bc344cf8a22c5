"""Problems refuse what cannot be solved, and simulate the same noise everywhere."""

import math
from pathlib import Path

import pytest
import torch

from dipops import (
    ClippedGaussian,
    ConjugateGradient,
    DifferentiableOperator,
    Gaussian,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    Mask,
    NoPrior,
    Poisson,
    PrimalDual,
    Problem,
    TotalVariation,
    estimate,
    images,
    metrics,
    project,
    recipes,
    solve,
    stack,
)
from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue

IDENTITY = Identity((3, 8, 8))
Y = torch.rand(1, 3, 8, 8)


class TwoKinds(LinearOperator):
    """With a tensor in float64, or with outputs in it."""

    def __init__(self, doubles: bool = False) -> None:
        super().__init__((1, 4, 4))
        self.kernel = torch.ones(1, dtype=torch.float32 if doubles else torch.float64)
        self.doubles = doubles

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double() if self.doubles else x * self.kernel.to(x)


class Reciprocal(DifferentiableOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 / x


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Problem(IDENTITY, Y.double()), BadValue, "float64 on cpu; expected float32"),
        (lambda: Problem(IDENTITY, (Y * 255).byte()), BadType, r"x.float\(\) / 255"),
        (lambda: Problem(IDENTITY, Y.to(torch.complex64)), BadType, "real"),
        (lambda: Problem(IDENTITY, Y.numpy()), BadType, "y is a ndarray"),
        (lambda: Problem(IDENTITY, Y[..., 1:]), BadValue, r"y has shape \(1, 3, 8, 7\).*\(N, 3, 8, 8\)"),
        (lambda: Problem(LanczosDownsampler((3, 8, 8), 2), Y), BadValue, r"\(N, 3, 4, 4\)"),
        (lambda: Problem(IDENTITY, Y * math.nan), BadValue, "192 of 192 values NaN"),
        (lambda: Problem(IDENTITY, Y / 0), BadValue, "NaN or infinite.*give weights"),
        (lambda: Problem(IDENTITY, Y, truth=Y[..., 1:]), BadValue, "truth has shape"),
        (lambda: Problem(IDENTITY, Y, truth=torch.cat([Y, Y])), BadValue, "truth of 2 images for 1"),
        (lambda: Problem(IDENTITY, Y, -0.1), BadValue, "25 / 255"),
        (lambda: Problem(IDENTITY, Y, math.inf), BadValue, "sigma = inf"),
        (lambda: Problem(IDENTITY, Y, "a"), BadType, "sigma = 'a'"),
        (lambda: Problem(IDENTITY, Y[:0]), BadValue, "an empty batch"),
        (lambda: Problem(IDENTITY, Y, truth=Y * math.nan), BadValue, "truth with 192"),
        (lambda: Problem(IDENTITY, Y).data_psnr(Y[:, :1]), BadValue, "x has shape"),
        (lambda: Problem(IDENTITY, Y, math.nan), BadValue, "sigma = nan"),
        (lambda: Problem(TwoKinds(), Y[:, :1, :4, :4]), BadValue, "kernel of TwoKinds.* is float64 on cpu"),
        (lambda: Problem(Identity(Y.shape[1:]).half(), Y.half()), BadValue, "y in float16; expected float32 or float64"),
        (lambda: Problem(Identity(Y.shape[1:]).bfloat16(), Y.bfloat16()), BadValue, "y in bfloat16"),
        (lambda: Problem(IDENTITY, Y - 2, Poisson(5)), BadValue, "192 values below 0.*Poisson"),
        (lambda: Problem(IDENTITY, Y).repeat(0), BadValue, "runs = 0"),
        (lambda: Problem(lambda x: x, Y), BadType, "a function for the operator; expected an operator, such as"),
        (lambda: Problem(torch.nn.Identity(), Y), BadType, r"a torch.nn.*\.Identity for the operator"),
        (lambda: Problem(Identity, Y), BadType, "the class Identity for the operator.*make an instance"),
        (lambda: Problem.simulate(Identity, Y, 0), BadType, "the class Identity for the operator"),
        (lambda: Problem.simulate(IDENTITY, Y * math.nan, 0), BadValue, "^x with 192 of 192 values NaN"),
        (lambda: Problem.simulate(TwoKinds(doubles=True), Y[:, :1, :4, :4], 0), BadValue, "TwoKinds.* gives float64"),
        (lambda: Problem.simulate(Reciprocal((1, 8, 8)), 0 * Y[:, :1], 0), BadValue, r"A\(x\) of Reciprocal.* with 64 of 64"),
        (lambda: Problem(IDENTITY, torch.stack([Y[0], 9 * Y[0]]), 4), BadValue, "σ = 4"),
        (lambda: solve(Y, NoPrior()), BadType, "a torch.Tensor for the problem; expected a Problem; write Problem"),
        (lambda: estimate(Y, NoPrior()), BadType, "a torch.Tensor for the problem"),
        (lambda: project(Y, Y), BadType, "a torch.Tensor for the problem"),
        (lambda: recipes.denoise().solve(Y), BadType, "a torch.Tensor for the problem"),
        (lambda: solve(Problem(IDENTITY, Y), NoPrior), BadType, "the class NoPrior for the prior"),
        (
            lambda: solve(Problem(IDENTITY, Y), recipes.denoise()),
            BadType,
            "a dipops.recipes.Recipe for the prior.*recipe.solve",
        ),
        (lambda: solve(Problem(IDENTITY, Y), NoPrior(), PrimalDual), BadType, "the class PrimalDual for the method"),
        (lambda: solve(Problem(IDENTITY, Y), NoPrior(), "Adam"), BadType, "a str for the method.*leave it out"),
        (lambda: estimate(Problem(IDENTITY, Y), NoPrior(), 3), BadType, "a int for the method"),
    ],
)
def test_a_problem_refuses(make, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_one_measurement_becomes_a_batch_of_one() -> None:
    assert Problem(IDENTITY, Y[0], truth=Y[0]).y.equal(Y)


def test_simulate_adds_the_noise_it_says(device: torch.device) -> None:
    x = torch.full((3, 128, 128), 0.5)
    operator = Identity(x.shape).to(device)
    problem = Problem.simulate(operator, x.to(device), 25 / 255, seed=3)
    assert float((problem.y - 0.5).std()) == pytest.approx(25 / 255, rel=0.01)
    assert problem.y.cpu().equal(Problem.simulate(Identity(x.shape), x, 25 / 255, seed=3).y)
    assert not problem.y.equal(Problem.simulate(operator, x.to(device), 25 / 255, seed=4).y)


def test_simulate_clips_only_on_request() -> None:
    x = torch.zeros(2, 1, 32, 32)
    operator = Identity((1, 32, 32))
    assert Problem.simulate(operator, x, 0.1).y.min() < 0
    clipped = Problem.simulate(operator, x, ClippedGaussian(0.1)).y
    assert clipped.min() == 0
    assert not clipped[0].equal(clipped[1])


def test_streams_from_one_seed_share_no_numbers() -> None:
    first, second = (torch.randn(100, generator=stream(0, purpose)) for purpose in ("measurement", "perturbation"))
    assert not first.equal(second)
    assert first.equal(torch.randn(100, generator=stream(0, "measurement")))


def test_moving_a_problem_leaves_the_first_as_it_was() -> None:
    problem = Problem(IDENTITY, Y)
    moved = problem.to(torch.float64)
    assert moved.data_term(moved.y).dtype == torch.float64
    assert problem.data_term(problem.y).dtype == torch.float32


def test_repeat_makes_a_batch() -> None:
    problem = Problem(IDENTITY, Y, truth=Y).repeat(3)
    assert problem.truth is not None
    assert (len(problem.y), len(problem.truth)) == (3, 3)


def test_the_data_psnr_is_the_psnr_of_the_measurement() -> None:
    x = images.portrait(32)[None]
    operator = LanczosDownsampler((3, 32, 32), 2)
    y = operator(x) + 0.01
    assert float(Problem(operator, y).data_psnr(x)) == pytest.approx(40, abs=1e-3)
    assert float(Problem(operator, y).data_psnr(x)) == pytest.approx(float(metrics.psnr(operator(x), y)), abs=1e-4)
    assert Problem(operator, operator(x)).data_psnr(x).isinf()


def test_what_a_mask_hides_does_not_count() -> None:
    mask = torch.ones(8, 8)
    mask[0] = 0
    y = Y.clone()
    y[..., 0, :] = float("nan")
    y[..., 0, 0] = 1e6
    problem = Problem(Mask(mask, 3), y)
    assert problem.y.equal(Y * mask)
    assert float(problem.data_term(Y)) == 0


def test_tensors_that_change_after_they_were_given_change_nothing() -> None:
    mask, y, weights, truth = torch.ones(1, 8, 8), Y[:, :1].clone(), torch.ones(1, 8, 8), Y[:, :1].clone()
    mask[0, 0], weights[0, 1] = 0, 0.5
    operator = Mask(mask)
    problem = Problem(operator, y, weights=weights, truth=truth)
    expected = [problem.data_term(Y[:, :1]), problem.y.clone(), truth.clone(), operator(y)]
    for tensor in (mask, weights, truth):
        tensor.zero_()
    given = y.clone()
    y.zero_()
    assert operator.known is not None
    assert int(operator.known.sum()) == 56
    assert problem.truth is not None
    for now, before in zip((problem.data_term(Y[:, :1]), problem.y, problem.truth, operator(given)), expected, strict=True):
        assert now.equal(before)


class Unprintable(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def __repr__(self) -> str:
        raise AttributeError("title")


class Wordless(TotalVariation):
    def __repr__(self) -> str:
        return None  # pyright: ignore[reportReturnType]


def test_a_repr_that_raises_breaks_neither_solves_nor_messages(tmp_path: Path) -> None:
    operator, prior = Unprintable((1, 8, 8)), Wordless(0.1)
    problem = Problem.simulate(operator / 2, Y[0, :1], 0.1)
    assert repr(stack(operator @ operator, operator - 2 * operator.T)).count("<Unprintable>") == 4
    assert solve(problem, prior, steps=2, checkpoint=tmp_path / "run.pt", progress=False).steps == 2
    assert project(problem, problem.y).shape == problem.y.shape
    for call in (
        lambda: operator(Y),
        lambda: operator * torch.ones(2),
        lambda: operator @ IDENTITY,
        lambda: Problem(operator, Y.double()),
        lambda: solve(Problem(operator, Y[:, :1]), prior, ConjugateGradient(), progress=False),
        lambda: Unprintable((1, 4, 4)) + operator,
    ):
        with pytest.raises((BadValue, BadType), match="<Unprintable>|<Wordless>"):
            call()


@pytest.mark.parametrize("sigma", [2.0, 25.0])
def test_simulate_compares_sigma_with_what_is_measured_and_not_with_its_noise(sigma: float) -> None:
    x = images.portrait(32)
    with pytest.raises(BadValue, match="in the units of y"):
        Problem.simulate(Identity(x.shape), x, sigma)


def test_each_member_has_clipped_noise_by_itself() -> None:
    x = 0.1 * images.portrait(32)
    noisy = Problem.simulate(Identity(x.shape), x, 0.1)
    batch = Problem(noisy.operator, torch.cat([noisy.y.clamp(0, 1), noisy.y]), 0.1)
    assert batch.is_clipped == (True, False)
    both = batch.data_terms(x.repeat(2, 1, 1, 1))
    for member, y in enumerate(batch.y):
        alone = Problem(batch.operator, y, 0.1).data_terms(x[None])
        torch.testing.assert_close([term[member] for term in both], [term[0] for term in alone], rtol=1e-6, atol=0)
    assert Problem(batch.operator, batch.y, Gaussian(0.1, clipped=False)).is_clipped == (False, False)
    result = solve(batch, TotalVariation(0.1), progress=False)
    debiased = recipes.debiased(batch, result)
    assert debiased.debiased.tolist() == [True, False]
    assert recipes.debiased(batch, debiased).image.equal(debiased.image)
    assert debiased.image.equal(torch.stack([ClippedGaussian(0.1).debias(result.image[0]), result.image[1]]))


def test_noise_in_other_units_is_not_taken_to_be_clipped() -> None:
    noisy = Problem.simulate(Identity((3, 8, 8)), images.portrait(32)[:, :8, :8], ClippedGaussian(0.1))
    problem = Problem(noisy.operator, noisy.y, 0.1)
    assert problem.is_clipped == (True,)
    assert problem.normalised().is_clipped == (False,)


@pytest.mark.parametrize("shape", [(4,), (4, 4), (1, 4, 4), (3, 1, 1), (3, 4, 4), (1, 3, 4, 4), (3, 1, 4, 4), (3, 3, 4, 1)])
def test_weights_broadcast_to_a_measurement(shape: tuple[int, ...]) -> None:
    """Three images of three channels: with three dimensions the first are channels, with four the batch."""
    weights = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.5
    problem = Problem(Identity((3, 4, 4)), torch.rand(3, 3, 4, 4), weights=weights)
    assert problem.weights is not None
    assert problem.weights.expand(3, 3, 4, 4).equal(weights.expand(3, 3, 4, 4))


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4), (2, 3, 4, 4), (1, 3, 3, 4, 4), (1, 1, 1, 4, 4)])
def test_weights_that_do_not_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadValue, match="weights has shape|weights of 2 members"):
        Problem(Identity((3, 4, 4)), torch.rand(3, 3, 4, 4), weights=torch.ones(shape))
