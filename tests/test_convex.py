"""Convex problems: laws of every prox, exact minima against a generic solver, and one minimum from every method."""

import io
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from skimage.restoration import denoise_tv_chambolle

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    FiniteDifferences,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    Laplace,
    LinearOperator,
    Mask,
    NoPrior,
    Poisson,
    PrimalDual,
    Prior,
    Problem,
    Tikhonov,
    TotalVariation,
    images,
    masks,
    metrics,
    prox,
    solve,
)
from dipops.errors import BadType, BadValue, Diverged
from dipops.methods.accelerated import AcceleratedIteration
from dipops.methods.balanced import BalancedIteration
from dipops.noise import Noise
from dipops.priors.proximal import ProximalPrior
from dipops.solver import Status
from dipops.stopping import Discrepancy
from dipops.testing import prox_laws as laws
from dipops.testing.strategies import images as drawn_images
from tests import reference
from tests.test_interface import MotionBlur, QuickMotionBlur

quiet = partial(solve, progress=False)
FINE = PrimalDual(tolerance=1e-12)
SHAPE = (2, 6, 7)


PROXES: dict[str, ProximalPrior] = {
    "isotropic": TotalVariation(0.15),
    "anisotropic": TotalVariation(0.15, isotropic=False),
    "coupled": TotalVariation(0.15, coupled=True),
    "Tikhonov": Tikhonov(0.7),
    "Tikhonov on the gradient": Tikhonov(0.7, FiniteDifferences(SHAPE).double()),
}
BOXED = PROXES | {"in a box": TotalVariation(0.15, box=True)}


@pytest.mark.parametrize("name", PROXES)
@settings(max_examples=3)
@given(drawn_images(SHAPE, count=2))
def test_moreaus_identity(name: str, x: torch.Tensor) -> None:
    assert laws.moreau(PROXES[name], x.double()) < 1e-7


@pytest.mark.parametrize("name", BOXED)
@settings(max_examples=3)
@given(drawn_images(SHAPE, count=2), st.sampled_from([0.1, 1.0, 5.0]))
def test_firm_nonexpansiveness(name: str, x: torch.Tensor, spread: float) -> None:
    x, y = spread * x.double(), spread * x.double().flip(0).sqrt()
    assert laws.firm_nonexpansiveness(BOXED[name], x, y) < 1e-8


@pytest.mark.parametrize(
    ("name", "degree"),
    [("isotropic", 1), ("anisotropic", 1), ("coupled", 1), ("Tikhonov", 2), ("Tikhonov on the gradient", 2)],
)
@settings(max_examples=10)
@given(drawn_images(SHAPE), st.sampled_from([-3.0, 0.01, 10.0]))
def test_homogeneity(name: str, degree: int, x: torch.Tensor, factor: float) -> None:
    assert laws.homogeneity(PROXES[name], x.double(), factor, degree) < 1e-10


@pytest.mark.parametrize("name", PROXES)
@settings(max_examples=10)
@given(drawn_images((2, 2, 6, 7)), st.sampled_from([0.1, 1.0, 7.0]))
def test_the_prox_of_the_conjugate_by_moreau_and_a_closed_form(name: str, p: torch.Tensor, step: float) -> None:
    """p = prox of s h* + s prox of h / s at p / s, with the prox of h written out here."""
    p, prior = 2 * p.double() - 1, PROXES[name]
    v = p / step
    if isinstance(prior, Tikhonov):
        shrunk = v / (1 + prior.weight / step)
    else:
        assert isinstance(prior, TotalVariation)
        length = v.norm(dim=(1, 2) if prior.coupled else 1, keepdim=True) if prior.isotropic else v.abs()
        shrunk = v * (1 - prior.weight / step / length.clamp(min=1e-300)).clamp(min=0)
    torch.testing.assert_close(prior.prox_conjugate(p, step) + step * shrunk, p)


@pytest.mark.parametrize("name", BOXED)
def test_a_prox_is_detached_from_its_input(name: str) -> None:
    """Its steps are made in place, so that a gradient through them would be that of a copy: 1, whatever the prior."""
    x = torch.rand(1, *SHAPE, dtype=torch.float64).requires_grad_()
    proximal = prox(BOXED[name], x)
    assert not proximal.requires_grad
    assert proximal.equal(prox(BOXED[name], x.detach()))


class SparseInABasis(ProximalPrior):
    """A prior of the user's own, 0.1 ‖Kx‖₁, whose K is in the default dtype."""

    def __init__(self, basis: LinearOperator) -> None:
        super().__init__()
        self.given = [basis]  # not a part of the module

    def analysis(self, in_shape: Sequence[int]) -> LinearOperator:
        return self.given[0]

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return 0.1 * self.analysis_like(x)(x).abs().flatten(1).sum(1)

    def prox_conjugate(self, p: torch.Tensor, step: float) -> torch.Tensor:
        return p.clamp(-0.1, 0.1)

    def conjugate(self, p: torch.Tensor) -> torch.Tensor:
        return p.new_zeros(len(p))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_priors_own_analysis_follows_the_dtype_of_the_problem(dtype: torch.dtype) -> None:
    basis, x = MotionBlur((1, 6, 8)), torch.rand(1, 1, 6, 8).to(dtype)
    blur = MotionBlur((1, 6, 8), 3).to(dtype)
    result = quiet(Problem(blur, blur(x)), SparseInABasis(basis), steps=50)
    assert result.image.dtype == dtype
    assert basis.kernel.dtype == torch.float32


@pytest.mark.parametrize("name", BOXED)
def test_dual_step_and_add_adjoint_are_what_they_replace(name: str) -> None:
    prior, x = BOXED[name], torch.rand(2, *SHAPE, dtype=torch.float64)
    analysis = prior.analysis(SHAPE).double()
    p = torch.rand(2, *analysis.out_shape, dtype=torch.float64)
    expected = prior.prox_conjugate(p + 0.3 * analysis(x), 0.3)
    prior.dual_step_(p, x, 0.3)
    torch.testing.assert_close(p, expected)
    image = x.clone()
    prior.add_adjoint_(image, p, -0.2)
    torch.testing.assert_close(image, x - 0.2 * analysis.adjoint(p))


def test_the_conjugate_is_infinite_outside_the_ball() -> None:
    p = torch.zeros(2, 2, 1, 3, 3)
    p[1, 0, 0, 1, 1] = 0.2
    assert TotalVariation(0.15).conjugate(p).tolist() == [0, float("inf")]


OPERATORS = {
    "denoising": (Identity((1, 12, 12)), 0.1),
    "mask": (Mask(masks.random((12, 12), 0.5), channels=1), 0.05),
    "x2": (LanczosDownsampler((1, 12, 12), 2), 0.02),
    "blur": (QuickMotionBlur((1, 12, 12)), 0.01),
}


def problem_of(name: str) -> tuple[Problem, float]:
    operator, weight = OPERATORS[name]
    truth = images.portrait(32).mean(0, keepdim=True)[:, 4:16, 8:20].double()
    return Problem.simulate(operator.double(), truth, 0.05), weight


@cache
def minimum(name: str, isotropic: bool = True) -> float:
    """The objective where PrimalDual ends."""
    problem, weight = problem_of(name)
    return float(quiet(problem, TotalVariation(weight, isotropic), PrimalDual(tolerance=1e-7), steps=20000).objective)


@pytest.mark.parametrize(("name", "isotropic"), [*((name, True) for name in OPERATORS), ("blur", False)])
def test_primal_dual_agrees_with_a_generic_solver(name: str, isotropic: bool) -> None:
    problem, weight = problem_of(name)
    generic, _ = reference.minimum(problem, TotalVariation(weight, isotropic))
    assert minimum(name, isotropic) == pytest.approx(generic, rel=1e-5)


def test_anisotropic_denoising_agrees_with_scipy() -> None:
    """The dual is a least-squares problem with bounds."""
    problem, weight = problem_of("denoising")
    transposed = FiniteDifferences((1, 12, 12)).double().matrix().T.numpy()
    y = problem.y.flatten().numpy()
    dual = lsq_linear(transposed, y, bounds=(-weight, weight), tol=1e-14, max_iter=1000).x
    found = prox(TotalVariation(weight, isotropic=False), problem.y, gap=1e-10)
    np.testing.assert_allclose(found.flatten().numpy(), y - transposed @ dual, atol=1e-4)


def test_denoising_agrees_with_scikit_image() -> None:
    """Chambolle's algorithm solves the same isotropic model; its stop is tightened until it gets there."""
    problem, weight = problem_of("denoising")
    prior = TotalVariation(weight)
    theirs = torch.from_numpy(denoise_tv_chambolle(problem.y[0, 0].numpy(), weight, eps=1e-12, max_num_iter=20000))[None, None]
    ours = quiet(problem, prior, PrimalDual(tolerance=1e-9), steps=20000).image
    objectives = [float(problem.data_term(image) + prior.value(image)) for image in (ours, theirs)]
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-5)


@pytest.mark.parametrize("size", [1e-4, 1e4])
@pytest.mark.parametrize("noise", [Gaussian(0.05), Laplace(0.05), Poisson(100)], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_the_default_stop_is_near_the_minimum_whatever_the_size_of_the_weights(name: str, noise: Noise, size: float) -> None:
    """Within 1e-4 in float64, where the weight of the prior is as large as those of the measurements."""
    unit, weight, least = weighted_problem(name, noise)
    assert unit.weights is not None
    result = quiet(replace(unit, weights=size * unit.weights), TotalVariation(size * weight))
    assert result.status == Status.CONVERGED
    assert float(result.objective) / size == pytest.approx(least, rel=1e-4)


@cache
def weighted_problem(name: str, noise: Noise) -> tuple[Problem, float, float]:
    """A problem with random weights, the weight of total variation, and the minimum by a generic solver."""
    problem, weight = problem_of(name)
    weights = 0.5 + torch.rand(problem.y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = Problem(problem.operator, problem.y.clamp(min=0), noise, weights=weights)
    return problem, weight, reference.minimum(problem, TotalVariation(weight))[0]


@pytest.mark.parametrize(("unit", "offset"), [(255.0, 0.0), (1e-3, -1.0)])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_the_answer_does_not_depend_on_the_unit_or_the_offset(name: str, exact: bool, unit: float, offset: float) -> None:
    """In float32, within a hundredth of the contrast; the weight of total variation has the unit of the image."""
    problem, weight = single_problem(name)
    constant = torch.full((1, *problem.operator.in_shape), offset)
    moved = Problem(problem.operator, unit * problem.y + problem.operator(constant), unit * 0.05)
    other = quiet(moved, TotalVariation(weight if exact else unit * weight), PrimalDual(exact=exact))
    assert other.status == Status.CONVERGED
    usual = usual_image(name, exact)
    difference = (other.image - offset) / unit - usual
    assert float(difference.square().mean().sqrt()) < 0.01 * float(usual.std())


def single_problem(name: str) -> tuple[Problem, float]:
    problem, weight = problem_of(name)
    return problem.to(torch.float32), weight


@cache
def usual_image(name: str, exact: bool) -> torch.Tensor:
    problem, weight = single_problem(name)
    return quiet(problem, TotalVariation(weight), PrimalDual(exact=exact)).image


@pytest.mark.parametrize("condition", [10.0, 1e3, 1e4, 1e6])
def test_conjugate_gradients_do_not_stop_between_two_long_steps(condition: float) -> None:
    """On ill-conditioned operators single steps are short long before the end."""
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(50, 50, generator=generator, dtype=torch.float64))
    operator = Matrix((basis * torch.logspace(0, -np.log10(condition), 50, dtype=torch.float64)) @ basis.T)
    x = torch.rand(1, 50, generator=generator, dtype=torch.float64)
    result = quiet(Problem(operator, operator(x), 0), NoPrior(), ConjugateGradient())
    error = float((result.image - x).norm() / (x - x.mean()).norm())
    assert error < 1e-3 if result.status == Status.CONVERGED else error > 1e-4


class Matrix(LinearOperator):
    """A dense matrix."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__((matrix.shape[1],))
        self.matrix_ = matrix
        self._like = matrix.new_empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix_.T


def test_descent_ends_at_the_same_minimum() -> None:
    problem, weight = problem_of("blur")
    prior = TotalVariation(weight)
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=500)
    lbfgs = partial(torch.optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe", max_iter=20, history_size=20)
    results = [
        quiet(problem, prior, Descent(partial(torch.optim.Adam, lr=0.02), cosine), steps=500),
        quiet(problem, prior, Descent(lbfgs), steps=15),
    ]
    for result in results:
        assert (1 - 1e-5) * minimum("blur") <= float(result.objective) <= 1.001 * minimum("blur")


def test_tikhonov_is_solved_exactly_by_conjugate_gradients_and_by_primal_dual() -> None:
    problem, _ = problem_of("blur")
    operator = problem.operator
    assert isinstance(operator, LinearOperator)
    gradient = FiniteDifferences((1, 12, 12)).to(problem.y)
    a, d = operator.matrix(), gradient.matrix()
    exact = torch.linalg.solve(a.T @ a + 0.3 * d.T @ d, a.T @ problem.y.flatten())
    prior = Tikhonov(0.3, gradient)
    by_cg = quiet(problem, prior, ConjugateGradient(tolerance=1e-12))
    torch.testing.assert_close(by_cg.image.flatten(), exact, atol=1e-8, rtol=0)
    assert "the estimated relative error is" in by_cg.message
    by_pd = quiet(problem, prior, PrimalDual(tolerance=1e-12), steps=20000)
    torch.testing.assert_close(by_pd.image.flatten(), exact, atol=1e-6, rtol=0)


def test_conjugate_gradients_take_at_most_as_many_steps_as_there_are_eigenvalues_and_batches_are_apart() -> None:
    operator = LanczosDownsampler((1, 8, 8), 2).double()
    problem = Problem(operator, torch.rand(2, 1, 4, 4, dtype=torch.float64))
    result = quiet(problem, NoPrior(), ConjugateGradient(), steps=30)
    assert float(problem.data_term(result.image).max()) < 1e-20
    alone = quiet(Problem(operator, problem.y[1]), NoPrior(), ConjugateGradient(), steps=30, seed=1)
    torch.testing.assert_close(result.image[1], alone.image[0])


def test_semi_convergence_is_stopped_by_the_discrepancy_principle() -> None:
    x = images.portrait(32).double()
    problem = Problem.simulate(MotionBlur(x.shape).double(), x, 0.02)
    whole = quiet(problem, NoPrior(torch.zeros_like(x)), ConjugateGradient(tolerance=1e-14), steps=200)
    stopped = quiet(problem, NoPrior(torch.zeros_like(x)), ConjugateGradient(), callbacks=(Discrepancy(),))
    curve = whole.trace["psnr"][:, 0]
    assert float(curve.max()) > float(curve[-1]) + 1
    assert float(metrics.psnr(stopped.image, x)) > float(curve.max()) - 1
    assert "what was removed matches" in stopped.message


@pytest.mark.parametrize("name", ["mask", "x2", "blur"])
def test_the_constrained_limit_agrees_with_a_generic_solver(name: str) -> None:
    problem, _ = problem_of(name)
    operator, prior = problem.operator, TotalVariation(0.01)
    assert problem.truth is not None
    clean = Problem(operator, operator(problem.truth), truth=problem.truth)
    exact = quiet(clean, prior, PrimalDual(exact=True, tolerance=1e-5), steps=20000).image
    assert float((operator(exact) - clean.y).abs().max()) < 1e-5
    assert float(prior.value(exact)) == pytest.approx(reference.minimum(clean, prior, exact=True)[0], rel=1e-3)


def test_the_box_holds_and_its_gap_closes() -> None:
    x = images.portrait(32).double()
    problem = Problem.simulate(Identity(x.shape).double(), x, 0.2)
    result = quiet(problem, TotalVariation(0.02, box=True), PrimalDual(tolerance=1e-6))
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    assert "primal-dual gap is" in result.message
    free = quiet(problem, TotalVariation(0.02), PrimalDual(tolerance=1e-6))
    assert float(free.image.max()) > 1
    blurred = Problem.simulate(MotionBlur(x.shape).double(), x, 0.2)
    held = quiet(blurred, TotalVariation(0.002, box=True)).image
    assert 0 <= float(held.min()) <= float(held.max()) <= 1


@pytest.mark.parametrize("name", OPERATORS)
def test_steps_obey_the_norm(name: str) -> None:
    """τ (σ_u ‖A‖² + σ_p ‖K‖²) ≤ 1, with the norms by a dense SVD."""
    problem, weight = problem_of(name)
    prior = TotalVariation(weight)
    prior.start(problem, [0])
    iteration = PrimalDual().start(problem, prior, [])
    field = torch.linalg.matrix_norm(FiniteDifferences((1, 12, 12)).double().matrix(), 2) ** 2
    operator = problem.operator
    assert isinstance(operator, LinearOperator)
    data = torch.linalg.matrix_norm(operator.matrix(), 2) ** 2
    for _ in range(30):
        iteration.step(False)
        if isinstance(iteration, AcceleratedIteration):
            assert iteration.tau * iteration.sigma * field <= 1 + 1e-9
        else:
            assert isinstance(iteration, BalancedIteration)
            for sigma_u, sigma_p, tau in iteration.steps:
                assert tau * (sigma_u * data + sigma_p * field) <= 1 + 1e-9


@pytest.mark.parametrize("name", OPERATORS)
def test_methods_go_on_from_their_state(name: str) -> None:
    problem, weight = problem_of(name)
    for prior, method in ((TotalVariation(weight), PrimalDual()), (Tikhonov(weight), ConjugateGradient())):
        first, second = (method.start(problem, _started(prior, problem), []) for _ in range(2))
        for _ in range(3):
            first.step(True)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        for _ in range(3):
            image, objective = first.step(True)
            again, other = second.step(True)
            assert again.equal(image)
            assert objective is not None
            assert other is not None
            assert other.equal(objective)


def _started(prior, problem: Problem):
    prior = deepcopy(prior)
    prior.start(problem, [0])
    return prior


def test_a_batch_of_convex_problems_is_separate_solves() -> None:
    x = images.portrait(32).double()
    problem = Problem.simulate(Identity(x.shape).double(), torch.stack([x, x.flip(-1)]), 0.1)
    together = quiet(problem, TotalVariation(0.1), FINE, steps=50)
    alone = quiet(Problem(problem.operator, problem.y[1]), TotalVariation(0.1), FINE, steps=50)
    torch.testing.assert_close(together.image[1], alone.image[0])


class Curve(DifferentiableOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin()


NOISY = Problem(Identity((1, 16, 16)), torch.rand(1, 1, 16, 16))
CURVED = Problem(Curve((1, 16, 16)), torch.rand(1, 1, 16, 16))
MASKED = Problem(Mask(masks.random((16, 16), 0.5), 1), torch.rand(1, 1, 16, 16))
DIP = DeepImagePrior(Hourglass((4,)))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: quiet(CURVED, TotalVariation(0.1), PrimalDual()), BadType, "use Descent"),
        (lambda: quiet(CURVED, Tikhonov(0.1), ConjugateGradient()), BadType, "use Descent"),
        (lambda: quiet(NOISY, DIP, PrimalDual()), BadType, "a prior with a prox.*use Descent"),
        (lambda: quiet(NOISY, DIP, ConjugateGradient()), BadType, "NoPrior or Tikhonov"),
        (lambda: quiet(NOISY, TotalVariation(0.1), ConjugateGradient()), BadType, "use PrimalDual"),
        (lambda: quiet(NOISY, NoPrior(), PrimalDual()), BadType, "use ConjugateGradient"),
        (lambda: PrimalDual(tolerance=0), BadValue, "tolerance = 0"),
        (lambda: ConjugateGradient(tolerance=-1), BadValue, "tolerance = -1"),
        (lambda: Tikhonov(-1), BadValue, "weight = -1"),
        (lambda: prox(TotalVariation(0.1), NOISY.y, step=0), BadValue, "step = 0"),
    ],
)
def test_convex_methods_refuse(call, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_the_scale_of_the_operator_does_not_matter() -> None:
    problem, weight = problem_of("blur")
    blur, y = problem.operator, problem.y
    first = quiet(Problem(1.0 * blur, y), TotalVariation(weight))
    for scale in (0.03, 30.0):
        result = quiet(Problem(scale * blur, scale * y), TotalVariation(weight * scale**2))
        assert result.steps == first.steps
        torch.testing.assert_close(result.image, first.image, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_mean_of_the_image_does_not_change_the_stop(name: str) -> None:
    """As in Hounsfield units: a contrast of 20 on a level of 1000."""
    problem, weight = problem_of(name)
    operator = problem.operator
    field = FiniteDifferences(operator.in_shape).double()
    for prior in (TotalVariation(20 * weight), Tikhonov(weight, field)):
        answers = []
        for level in (0.0, 1000.0):
            base = operator(torch.full((1, *operator.in_shape), level, dtype=torch.float64))
            y = 20 * problem.y + base
            start = deepcopy(prior)
            start.initial = torch.full(operator.in_shape, level, dtype=torch.float64)
            answers.append(quiet(Problem(operator, y, weights=problem.weights), start, steps=20000).image - level)
        assert float((answers[1] - answers[0]).abs().max()) < 0.1


def test_conjugate_gradients_stop_where_only_rounding_is_left() -> None:
    """In float32 and from the solution itself, steps on would grow without bound."""
    x = images.portrait(32)
    problem = Problem.simulate(MotionBlur(x.shape), x, 0.1)
    prior = Tikhonov(1e-3)
    solution = quiet(problem, prior, ConjugateGradient(tolerance=1e-9), steps=500).image
    again = quiet(problem, Tikhonov(1e-3, initial=solution), ConjugateGradient(tolerance=1e-30), steps=500)
    torch.testing.assert_close(again.image, solution, atol=1e-4, rtol=0)


def test_a_subclass_with_a_forward_of_its_own_is_not_taken_for_the_identity() -> None:
    class Half(Identity):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.5 * x

        def adjoint(self, y: torch.Tensor) -> torch.Tensor:
            return 0.5 * y

    x = images.portrait(32).double()
    operator = Half(x.shape).double()
    result = quiet(Problem.simulate(operator, x, 0), TotalVariation(1e-4))
    assert float(metrics.psnr(result.image, x)) > 35


def test_members_of_a_batch_stop_one_by_one() -> None:
    x = images.portrait(32).double()
    noisy = Problem.simulate(Identity(x.shape).double(), x, 0.1)
    pair = Problem(noisy.operator, torch.cat([noisy.y, torch.full_like(noisy.y, 0.5), torch.zeros_like(noisy.y)]))
    together, alone = (quiet(problem, TotalVariation(0.1)) for problem in (pair, noisy))
    assert together.steps == alone.steps
    torch.testing.assert_close(together.image[0], alone.image[0])
    small = LanczosDownsampler(x.shape, 2).double()
    black = Problem(small, torch.zeros(1, 3, 16, 16, dtype=torch.float64))
    assert quiet(black, TotalVariation(0.01)).steps < 5000


@pytest.mark.parametrize("weight", [0.0, 1e-20])
def test_a_vanishing_weight_returns_the_measurement(weight: float) -> None:
    result = quiet(NOISY, TotalVariation(weight))
    assert "gap is" in result.message
    torch.testing.assert_close(result.image, NOISY.y, atol=1e-5, rtol=0)


def test_the_trace_of_a_masked_problem_is_its_objective() -> None:
    problem, weight = problem_of("mask")
    result = quiet(problem, TotalVariation(weight), steps=50)
    expected = problem.data_term(result.last) + TotalVariation(weight).value(result.last)
    assert float(result.trace["objective"][-1]) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("prior", [TotalVariation(0.02, box=True), NoPrior() + TotalVariation(0.02, box=True)], ids=repr)
def test_descent_holds_the_box_too(prior: Prior) -> None:
    truth = (torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    problem = Problem.simulate(MotionBlur((1, 6, 7), 3).double(), truth, 0.2)
    boxed = TotalVariation(0.02, box=True)
    exact = quiet(problem, boxed).image
    assert float(quiet(problem, TotalVariation(0.02)).image.max()) > 1.1, "the box matters"
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=200)
    descent, seen = Descent(partial(torch.optim.Adam, lr=0.1), cosine), []
    result = quiet(problem, prior, descent, steps=200, callbacks=[lambda step: seen.append(step.image)])
    assert float(torch.stack(seen).min()) == 0
    assert float(torch.stack(seen).max()) == 1
    assert float(result.objective) == pytest.approx(float(problem.data_term(exact) + boxed.value(exact)), abs=1e-4)


def test_a_box_is_refused_where_it_cannot_be_held() -> None:
    lbfgs, boxed = Descent(partial(torch.optim.LBFGS, lr=1.0)), TotalVariation(0.1, box=True)
    known = replace(NOISY, noise=Gaussian(0.1))
    for prior, method, words in (
        (boxed, lbfgs, "line search"),
        (DIP + boxed, Descent(), "pixels"),
        (boxed, Langevin(), "samples"),
    ):
        with pytest.raises(BadValue, match=words):
            quiet(known, prior, method)


def test_the_operator_in_tikhonov_moves_with_the_problem_and_the_users_stays() -> None:
    blur = MotionBlur((1, 16, 16))
    double = Problem(Identity((1, 16, 16)).double(), NOISY.y.double())
    for method in (None, Descent(), PrimalDual()):
        assert quiet(double, Tikhonov(0.1, blur), method, steps=2).image.dtype == torch.float64
    prox(Tikhonov(0.1, blur), NOISY.y.double())
    assert blur.kernel.dtype == torch.float32


def test_callbacks_may_keep_the_images() -> None:
    kept = []
    quiet(NOISY, TotalVariation(0.1), FINE, steps=100, callbacks=(lambda step: kept.append(step.image),))
    assert len(kept) == 4
    assert not any(a.equal(b) for a, b in pairwise(kept))


def test_an_overflow_is_an_error_in_one_line() -> None:
    huge = Problem(Identity((1, 16, 16)), 1e30 * torch.rand(1, 1, 16, 16))
    with pytest.raises(Diverged, match="not finite at step 25; .*scale y"):
        quiet(huge, TotalVariation(0.1))


def test_a_prox_that_was_not_reached_is_reported() -> None:
    with pytest.warns(UserWarning, match="reached a gap of"):
        prox(TotalVariation(0.1), NOISY.y, gap=1e-12)


@pytest.mark.parametrize("operator", [Identity((1, 4, 4)), Mask(torch.ones(1, 4, 4), 1)])
def test_an_exact_limit_that_no_image_in_the_box_satisfies_is_refused(operator: LinearOperator) -> None:
    """It said CONVERGED, at the clipped y."""
    y, weights = torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 4, 4)
    y[..., 0, 0], weights[:, 0, 0] = 1.5, 0
    boxed, exact = TotalVariation(0.1, box=True), PrimalDual(exact=True)
    with pytest.raises(BadValue, match=r"1 values outside \[0, 1\].*clip y"):
        quiet(Problem(operator, y), boxed, exact)
    assert quiet(Problem(operator, y), TotalVariation(0.1), exact).image[..., 0, 0] == 1.5
    assert quiet(Problem(operator, y, weights=weights), boxed, exact).image.allclose(torch.tensor(0.5), atol=1e-3)


@pytest.mark.parametrize(("noise", "advice"), [(None, "use ConjugateGradient"), (Laplace(0.1), "use Descent")])
def test_without_a_prox_the_advice_is_a_method_that_takes_the_noise(noise: Laplace | None, advice: str) -> None:
    with pytest.raises(BadType, match=advice):
        quiet(Problem(Identity((1, 4, 4)), torch.rand(1, 1, 4, 4), noise), NoPrior(), PrimalDual())
