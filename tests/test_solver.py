"""The loop: it solves, repeats itself to the bit, averages, stops, and says why."""

import io
import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    estimate,
    images,
    masks,
    metrics,
    solve,
    tune,
)
from dipops.errors import BadType, BadValue, Diverged
from dipops.methods.descent import MakeOptimizer
from dipops.methods.muon import MuonThenAdam, orthogonalised
from dipops.priors.generators import DeepDecoder, Generator, ResNet, UNet
from dipops.solver.result import Status
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Step

TINY = Hourglass((8, 8), skips=2)
LBFGS = partial(torch.optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe", max_iter=10)
quiet = partial(solve, progress=False)
MIXED = Descent(precision="mixed")
MUON = Descent(partial(MuonThenAdam, muon_steps=5))
SMOOTH = Descent(partial(MuonThenAdam, muon_steps=2, smooth=True))
COUPLED = Descent(torch.optim.Adafactor)


def noisy(size: int = 32, sigma: float = 0.1) -> Problem:
    return Problem.simulate(Identity((3, size, size)), images.portrait(size), sigma)


def test_least_squares_finds_the_measurement(device: torch.device) -> None:
    problem = Problem.simulate(LanczosDownsampler((3, 16, 16), 2), images.portrait(32)[:, :16, :16], 0).to(device)
    result = quiet(problem, NoPrior(), Descent(partial(torch.optim.Adam, lr=0.03)), steps=150)
    assert float(result.trace["objective"][-1]) < 1e-3
    assert result.source == ("last",)
    assert result.message == "made all 150 steps"


def test_total_variation_removes_noise() -> None:
    problem = noisy()
    result = quiet(problem, TotalVariation(0.1), steps=300)
    assert float(metrics.psnr(result.image, problem.truth)) > float(metrics.psnr(problem.y, problem.truth)) + 3


def test_the_deep_image_prior_removes_noise(device: torch.device) -> None:
    problem = noisy().to(device)
    result = quiet(problem, DeepImagePrior(Hourglass((16, 16))), steps=70)
    assert problem.truth is not None
    assert result.source == ("average",)
    assert float(metrics.psnr(result.image, problem.truth)) > float(metrics.psnr(problem.y, problem.truth)) + 2


def test_a_nonlinear_operator_is_solved_as_any_other() -> None:
    class Gamma(DifferentiableOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.clamp(min=0) + 0.01) ** 0.5

    truth = images.portrait(32)
    problem = Problem.simulate(Gamma(truth.shape), truth, 0)
    assert float(metrics.psnr(quiet(problem, NoPrior(), steps=400).image, problem.truth)) > 35


@pytest.mark.parametrize("prior", [DeepImagePrior(TINY), TotalVariation(0.1)], ids=["dip", "tv"])
def test_the_same_seed_gives_the_same_bits(prior) -> None:
    state = torch.get_rng_state()
    first, second = (quiet(noisy(), prior, Descent(), steps=8, seed=3) for _ in range(2))
    assert first.image.equal(second.image)
    assert first.trace["objective"].equal(second.trace["objective"])
    assert not first.image.equal(quiet(noisy(), prior, Descent(), steps=8, seed=4).image)
    assert torch.get_rng_state().equal(state)


def test_a_batch_is_separate_solves() -> None:
    """In float64 a batch of three equals three solves with seeds s, s + 1, s + 2."""
    truth = images.portrait(32)[:, 8:24, 8:24].double()
    batch = torch.stack([truth, truth.flip(-1), truth.flip(-2)])
    operator = Mask(masks.random((16, 16), 0.7), channels=3).double()
    problem = Problem.simulate(operator, batch, 0.05)
    dip, learning = DeepImagePrior(TINY), DeepImagePrior(TINY, learn_input=True)
    for prior, method in (
        (dip, Descent()),
        (dip, MUON),
        (learning, Descent()),
        (learning, MUON),
        (TotalVariation(0.1), Descent()),
    ):
        together = quiet(problem, prior, method, steps=8, seed=2)
        for k in range(3):
            alone = quiet(Problem(operator, problem.y[k], truth=batch[k]), prior, method, steps=8, seed=2 + k)
            torch.testing.assert_close(together.last[k], alone.last[0], rtol=0, atol=1e-9)
            torch.testing.assert_close(together.trace["objective"][:, k], alone.trace["objective"][:, 0], rtol=1e-9, atol=1e-9)


def test_repeated_runs_differ_by_their_seeds() -> None:
    result = quiet(noisy().repeat(2), DeepImagePrior(TINY), steps=5)
    assert not result.image[0].equal(result.image[1])


def test_runs_are_pooled() -> None:
    problem = Problem(Identity((1, 16, 16)), torch.rand(2, 1, 16, 16)).repeat(3)
    result = quiet(problem, DeepImagePrior(TINY), steps=5)
    for k, (mean, spread) in enumerate(zip(result.ensemble(3).image, result.ensemble(3).std, strict=True)):
        torch.testing.assert_close(mean, result.image[3 * k : 3 * k + 3].mean(0))
        torch.testing.assert_close(spread, result.image[3 * k : 3 * k + 3].std(0))
    assert result.ensemble().image.shape == (1, 1, 16, 16)
    for runs, kind, words in ((1, BadValue, "runs = 1"), (4, BadValue, "4 runs in a batch of 6"), (2.0, BadType, "runs = 2.0")):
        with pytest.raises(kind, match=words):
            result.ensemble(runs)


def test_the_mean_of_runs_is_better_than_the_runs() -> None:
    problem = noisy(32).repeat(4)
    result = quiet(problem, DeepImagePrior(Hourglass((16, 16))), steps=60)
    assert problem.truth is not None
    assert float(metrics.psnr(result.ensemble().image, problem.truth[:1])) > float(
        metrics.psnr(result.image, problem.truth).mean()
    )


def test_one_evaluation_a_step_and_the_image_belongs_to_the_objective() -> None:
    calls = []

    class Counting(Identity):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(calls))
            return x.clone()

    problem = Problem(Counting((3, 16, 16)), images.portrait(32)[:, :16, :16])
    before = len(calls)
    result = quiet(problem, NoPrior(), steps=7)
    assert len(calls) - before == 7 + 2  # the last two are for the objective and the data PSNR of the result
    assert float(result.trace["objective"][-1]) == pytest.approx(float(problem.data_term(result.last)), rel=1e-6)


def test_lbfgs_yields_the_accepted_point_and_refuses_a_batch() -> None:
    problem = noisy()
    result = quiet(problem, TotalVariation(0.1), Descent(LBFGS), steps=20)
    total = problem.data_term(result.last) + TotalVariation(0.1).penalty(result.last)
    assert float(result.trace["objective"][-1]) == pytest.approx(float(total), rel=1e-5)
    adam = quiet(problem, TotalVariation(0.1), Descent(), steps=500)
    assert float(result.trace["objective"][-1]) < 1.01 * float(adam.trace["objective"].min())
    with pytest.raises(BadValue, match="solve them one by one"):
        quiet(problem.repeat(2), TotalVariation(0.1), Descent(LBFGS))


@pytest.mark.parametrize("precision", ["full", "mixed"])
@pytest.mark.parametrize("generator", [TINY, UNet((4, 8)), ResNet(8, 1), DeepDecoder(16, 2)], ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_fits_every_generator_in_every_precision(generator: Generator, precision, search: str | None) -> None:
    method = Descent(partial(torch.optim.LBFGS, line_search_fn=search, max_iter=4), precision=precision)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = quiet(noisy(), DeepImagePrior(generator), method, steps=3)
    assert result.precision == precision
    assert float(result.trace["objective"][-1]) < float(result.trace["objective"][0])


NO_GRADIENTS = {
    "dip": (DeepImagePrior(TINY), Descent(), ExponentialVariance(0.2)),
    "dip + tv": (DeepImagePrior(TINY) + TotalVariation(0.01), Langevin(burn_in=0), HeldOut(0.2)),
    "tv": (TotalVariation(0.1), Descent(LBFGS), Discrepancy()),
    "exact tv": (TotalVariation(0.1), PrimalDual(), Discrepancy()),
    "tikhonov": (Tikhonov(0.1), ConjugateGradient(), Discrepancy()),
}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NO_GRADIENTS)
def test_a_solve_without_gradients_around_it_has_the_same_bits(name: str, context) -> None:
    """Whether the problem is made within or outside, and whether the solve is within or outside."""
    prior, method, rule = NO_GRADIENTS[name]

    def posed() -> Problem:
        mask = Mask(masks.random((16, 16), 0.7), channels=3)
        return Problem.simulate(mask, images.portrait(32)[:, 8:24, 8:24], 0.1)

    run = partial(quiet, prior=prior, method=method, steps=4, callbacks=[rule])
    outside = posed()
    expected = run(outside)
    with context():
        within = posed()
        results = [run(within), run(outside)]
        assert torch.is_grad_enabled() is False
        estimate(within, prior, method, steps=4)
    for result in (*results, run(within)):
        assert result.image.equal(expected.image)
        assert result.objective.equal(expected.objective)
        assert not result.image.is_inference()
    assert results[0].operator is within.operator


@pytest.mark.parametrize(
    ("members", "optimizer"),
    [(1, partial(torch.optim.Adam, lr=1e-4)), (2, partial(MuonThenAdam, lr=1e-4, muon_lr=1e-3))],
    ids=["Adam", "Muon"],
)
def test_mixed_precision_is_the_same_mathematics(members: int, optimizer: MakeOptimizer, device: torch.device) -> None:
    """Where steps are small enough not to part: to 1% over three steps, and not to the last bit."""
    x = images.portrait(32)[:, 8:24, 8:24].to(device)
    problem = Problem.simulate(Identity(x.shape).to(device), x, 0.1).repeat(members)
    prior = DeepImagePrior(Hourglass((8,)))
    results = [quiet(problem, prior, Descent(optimizer, precision=precision), steps=3) for precision in ("full", "mixed")]
    full, mixed = (result.trace["objective"] for result in results)
    torch.testing.assert_close(mixed, full, rtol=1e-2, atol=0)
    assert not mixed.equal(full)
    assert results[1].image.dtype == torch.float32
    assert 0 < float((results[0].image - results[1].image).abs().mean()) < 0.01


@pytest.mark.parametrize(
    ("found", "precision"),
    [
        ({"avx512_bf16": True}, "mixed"),
        ({"amx_bf16": True, "avx512_bf16": False}, "mixed"),
        ({"avx512_f": True, "avx512_bf16": False}, "full"),
        ({}, "full"),
    ],
)
def test_networks_take_the_precision_in_which_the_processor_is_fast(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], precision: str
) -> None:
    """Without instructions for bfloat16 it is several times slower than float32; pixels and float64 never go there."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    network = DeepImagePrior(Hourglass((8, 8)))
    usual, exact, single = (
        quiet(noisy().to(dtype), prior, Descent(), steps=1).precision
        for dtype, prior in ((torch.float32, network), (torch.float64, network), (torch.float32, NoPrior()))
    )
    assert (usual, exact, single) == (precision, "full", "full")
    assert quiet(noisy(), network, Descent(precision="mixed"), steps=1).precision == "mixed"
    assert quiet(noisy(), network, Descent(precision="full"), steps=1).precision == "full"
    assert quiet(noisy(), network, Descent(LBFGS), steps=1).precision == "full"
    assert quiet(noisy(), TotalVariation(0.1), MIXED, steps=1).precision == "full"


def test_a_network_that_ends_in_bfloat16_meets_the_operator_in_float32() -> None:
    class Plain:
        def build(self, in_channels: int, out_channels: int, copies: int = 1) -> torch.nn.Module:
            return torch.nn.Conv2d(copies * in_channels, copies * out_channels, 3, padding=1, groups=copies)

        def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return size

    result = quiet(noisy(), DeepImagePrior(Plain()), MIXED, steps=2)
    assert result.precision == "mixed"
    assert result.image.dtype == torch.float32


def test_mixed_precision_restores_as_well() -> None:
    x = images.portrait(32)
    problem = Problem.simulate(Identity(x.shape), x, 0.1)
    prior = DeepImagePrior(Hourglass((16, 16)))
    scores = [
        float(metrics.psnr(quiet(problem, prior, Descent(precision=precision), steps=40, seed=1).image, x))
        for precision in ("full", "mixed")
    ]
    assert scores[1] == pytest.approx(scores[0], abs=0.5)


def test_a_schedule_lowers_the_rate() -> None:
    rates = []

    class Recorded(torch.optim.SGD):
        def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    method = Descent(partial(Recorded, lr=0.1), partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5))
    quiet(noisy(), NoPrior(), method, steps=3)
    assert rates == pytest.approx([0.1, 0.05, 0.025])


@pytest.mark.parametrize("method", [Descent(), MUON, SMOOTH], ids=["Adam", "Muon", "smooth"])
def test_an_iteration_goes_on_from_its_state(method: Descent) -> None:
    problem = noisy()

    def begin():
        prior = DeepImagePrior(TINY)
        prior.start(problem, [0])
        return method.start(problem, prior, [torch.Generator().manual_seed(0)])

    first = begin()
    for _ in range(3):
        first.step(True)
    kept = torch.load(_saved(first.state_dict()), weights_only=True)
    expected = [first.step(True) for _ in range(3)]
    second = begin()
    second.load_state_dict(kept)
    for image, objective in expected:
        again = second.step(True)
        assert again[0].equal(image)
        assert again[1].equal(objective)


def test_muon_makes_the_directions_of_a_matrix_equal() -> None:
    for shape in ((3, 8, 20), (2, 20, 8)):
        matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        made = left.mT @ orthogonalised(matrices) @ right.mT
        values = made.diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(made, torch.diag_embed(values))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_without_a_start_muon_is_adam() -> None:
    adam = Descent(partial(torch.optim.Adam, lr=0.02, betas=(0.9, 0.95), fused=True))
    ours = Descent(partial(MuonThenAdam, lr=0.02, muon_steps=0))
    images = [quiet(noisy(), DeepImagePrior(TINY), method, steps=5).last for method in (adam, ours)]
    assert images[0].equal(images[1])


def test_slowing_down_lowers_both_rates_of_muon() -> None:
    prior = DeepImagePrior(TINY)
    prior.start(noisy(), [0])
    iteration = MUON.start(noisy(), prior, [torch.Generator()])
    (group,) = iteration.optimizer.param_groups
    before = group["lr"], group["muon_lr"]
    iteration.slow_down(0.5)
    assert (group["lr"], group["muon_lr"]) == (before[0] / 2, before[1] / 2)
    for _ in range(6):
        iteration.step(True)
    assert [group["lr"] for group in iteration.optimizer._adam.param_groups] == [before[0] / 2] * 2


def _saved(state: dict):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_the_average_is_exponential() -> None:
    outputs = [quiet(noisy(), NoPrior(), steps=steps).last for steps in range(1, 7)]
    for warm_up in (False, True):
        result = quiet(noisy(), NoPrior(), Descent(average=0.3, warm_up=warm_up), steps=6)
        assert result.source == ("average",)
        expected = outputs[0]
        for index, output in enumerate(outputs[1:], 1):
            decay = min(0.3, (1 + index) / (10 + index)) if warm_up else 0.3
            expected = decay * expected + (1 - decay) * output
        torch.testing.assert_close(result.average, expected)
        torch.testing.assert_close(result.last, outputs[-1])


def test_a_generator_averages_unless_told_otherwise() -> None:
    averaged, plain = (quiet(noisy(), DeepImagePrior(TINY), Descent(average=decay), steps=6) for decay in (None, 0))
    assert averaged.source == ("average",)
    assert (plain.source, plain.average) == (("last",), None)
    assert plain.image.equal(averaged.last)


def test_the_trace_holds_every_step() -> None:
    problem = noisy()
    result = quiet(problem, DeepImagePrior(TINY), steps=30)
    assert set(result.trace) == {"objective", "psnr", "psnr_average"}
    assert {tuple(curve.shape) for curve in result.trace.values()} == {(30, 1)}
    assert all(curve.isfinite().all() for curve in result.trace.values())
    assert float(result.trace["psnr"][-1]) == pytest.approx(float(metrics.psnr(result.last, problem.truth)), abs=1e-4)
    assert float(result.trace["psnr_average"][-1]) == pytest.approx(float(metrics.psnr(result.image, problem.truth)), abs=1e-4)
    assert set(quiet(Problem(problem.operator, problem.y), NoPrior(), steps=2).trace) == {"objective"}


def test_the_residual_stops_and_keeps_the_image(device: torch.device) -> None:
    problem = noisy(sigma=0.1).to(device)
    result = quiet(problem, NoPrior(), steps=500, callbacks=(Discrepancy(),))
    residual = float((result.image - problem.y).square().mean().sqrt())
    assert result.source == ("stopped",)
    assert "what was removed matches noise of σ = 0.1" in result.message
    assert result.steps < 500
    assert 0.09 < residual <= 0.1
    never = quiet(replace(problem, noise=Gaussian(1e-6)), NoPrior(), steps=30, callbacks=(Discrepancy(),))
    assert never.source == ("last",)
    undecided = quiet(problem, NoPrior(), steps=40, callbacks=(ExponentialVariance(0.1, patience=400),))
    assert (undecided.source, undecided.status, undecided.message) == (("kept",), Status.MAX_STEPS, "made all 40 steps")


def test_a_stop_rule_keeps_each_member_of_a_batch() -> None:
    """What a member gets does not depend on whether another one stops."""
    clean = images.portrait(32)
    alone = quiet(Problem.simulate(Identity(clean.shape), clean, 0.1), NoPrior(), steps=100, callbacks=(Discrepancy(),))
    pair = Problem(Identity(clean.shape), torch.stack([clean, 100 * clean]))
    noisy_pair = Problem(pair.operator, torch.cat([Problem.simulate(pair.operator, clean, 0.1).y, pair.y[1:]]), 0.1)
    together = quiet(noisy_pair, NoPrior(), steps=100, callbacks=(Discrepancy(),))
    assert alone.source == ("stopped",)
    assert together.source == ("stopped", "last")
    torch.testing.assert_close(together.image[0], alone.image[0])


def test_the_residual_is_measured_exactly() -> None:
    problem = noisy(sigma=0.1)
    result = quiet(problem, NoPrior(), steps=200, callbacks=(Discrepancy(),))
    at = int(result.message.split()[-1])
    residuals = (2 * result.trace["objective"][:, 0] / problem.y.numel()).sqrt()
    assert float(residuals[at - 1]) <= 0.1 < float(residuals[at - 2])


def test_the_operators_own_parameters_stay_as_they_are() -> None:
    class Convolves(DifferentiableOperator):
        def __init__(self) -> None:
            super().__init__((3, 32, 32))
            self.layer = torch.nn.Conv2d(3, 3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    operator = Convolves()
    quiet(Problem(operator, torch.rand(1, 3, 30, 30)), NoPrior(), steps=2)
    assert operator.layer.weight.grad is None


def test_callbacks_speak_every_25_steps_and_stop() -> None:
    steps: list[Step] = []

    def stop_at_50(step: Step) -> str | None:
        steps.append(step)
        return "enough" if step.index >= 50 else None

    result = quiet(noisy(), DeepImagePrior(TINY), steps=200, callbacks=(stop_at_50,))
    assert [step.index for step in steps] == [25, 50]
    assert (result.steps, result.message, len(result.trace["objective"])) == (50, "enough", 50)
    assert steps[0].psnr is not None
    assert steps[0].average is not None
    with pytest.raises(AttributeError):
        steps[0].index = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_a_diverging_solve_is_an_error() -> None:
    with pytest.raises(Diverged, match=r"not finite at step \d+; .*lower the learning rate"):
        quiet(noisy(), NoPrior(), Descent(partial(torch.optim.SGD, lr=1e6)), steps=100)


def test_solve_leaves_the_prior_as_it_was() -> None:
    prior = DeepImagePrior(TINY)
    quiet(noisy(), prior, steps=2)
    assert not list(prior.parameters())


def test_the_bar_can_be_turned_off(capsys: pytest.CaptureFixture[str]) -> None:
    solve(noisy(), NoPrior(), steps=30, progress=False)
    assert capsys.readouterr() == ("", "")
    solve(noisy(), NoPrior(), steps=30)
    shown = capsys.readouterr().err
    assert "30/30" in shown
    assert "PSNR" in shown


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: quiet(noisy(), NoPrior), BadType, "an instance"),
        (lambda: quiet(noisy(), NoPrior(), steps=0), BadValue, "steps = 0"),
        (lambda: quiet(noisy(), NoPrior(), steps=2.5), BadType, "steps = 2.5"),
        (lambda: quiet(noisy(), NoPrior(), seed=-1), BadValue, "seed = -1"),
        (lambda: quiet(noisy(), NoPrior(), callbacks=(Discrepancy,)), BadType, "the callback .*expected a stopping rule"),
        (lambda: quiet(noisy(), NoPrior(), callbacks=(tune.Discrepancy(),)), BadType, "a function of a Step"),
        (lambda: quiet(noisy(), NoPrior(), seed="a"), BadType, "seed = 'a'"),
        (lambda: quiet(noisy(), NoPrior(), steps=30, callbacks=(lambda step: True,)), BadType, "a callback that returned True"),
        (lambda: quiet(noisy().repeat(2), NoPrior(), COUPLED), BadValue, "Adafactor on a batch of 2"),
        (lambda: quiet(noisy(sigma=0), NoPrior(), callbacks=(Discrepancy(),)), BadValue, "without noise"),
        (lambda: Descent(average=1.0), BadValue, "average = 1.0"),
        (lambda: Descent(average="0.9"), BadType, "average = '0.9'"),
        (lambda: Descent(steps=2.5), BadType, "steps = 2.5"),
        (lambda: Descent(precision="half"), BadValue, "one of 'auto', 'full', 'mixed'"),
        (lambda: quiet(noisy(), NoPrior(), Descent(partial(MuonThenAdam, muon_steps=-1))), BadValue, "muon_steps = -1"),
        (lambda: quiet(noisy(), NoPrior(), Descent(partial(MuonThenAdam, muon_lr=-1))), BadValue, "muon_lr = -1"),
        (lambda: quiet(noisy().to(torch.float64), DeepImagePrior(TINY), MIXED), BadValue, "mixed precision for torch.float64"),
        (lambda: PrimalDual(every=0), BadValue, "every = 0"),
    ],
)
def test_solve_refuses(call, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        call()
