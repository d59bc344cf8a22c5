"""An autocast and other defaults around a call change no bit of what it gives, and are as before afterwards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest
import torch

from dipops import (
    ClippedGaussian,
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    FiniteDifferences,
    Gaussian,
    Hourglass,
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
    check,
    estimate,
    images,
    inputs,
    masks,
    project,
    prox,
    recipes,
    solve,
)
from dipops.methods import Method, MuonThenAdam
from dipops.metrics import psnr, psnr_y, ssim
from dipops.noise import Noise
from dipops.priors.generators import DeepDecoder, Generator, ResNet, UNet, encoder_decoder
from dipops.priors.inputs import Input
from dipops.stopping import ExponentialVariance, HeldOut, Step
from dipops.testing.examples import EXAMPLES
from dipops.tune import SURE, tune
from tests.test_interface import MotionBlur

Action = Callable[[], object]
BLUR, SMALL_BLUR = MotionBlur((1, 16, 16), 3), MotionBlur((1, 4, 9))
FEATURES = EXAMPLES["FeatureMap"]((3, 4, 5), torch.Generator().manual_seed(0))
X = images.portrait(32)[:1, :16, :16]
COLOURS = images.portrait(32)
PROBLEM = Problem.simulate(BLUR, X, 0.05)
TINY = DeepImagePrior(Hourglass((4,)))
HOLES = Mask(masks.random((16, 16), keep=0.5), channels=1)
ADAM, LINE_SEARCH = Descent(precision="full"), Descent(torch.optim.LBFGS, precision="full")


def _solved(
    prior: Prior, method: Method, noise: Noise | float = 0.05, operator: LinearOperator = BLUR, count: int = 1
) -> Action:
    """A solve of a problem drawn with the noise, in two steps."""

    def solved() -> torch.Tensor:
        problem = Problem.simulate(operator, X.expand(count, *X.shape), noise)
        result = solve(problem, prior, method, steps=2, progress=False)
        return torch.cat([result.image.flatten(), result.last.flatten(), result.objective, result.data_psnr])

    return solved


GENERATORS: dict[str, Generator] = {
    "Hourglass": Hourglass((4, 4), skips=2),
    "encoder_decoder": encoder_decoder((4, 4)),
    "UNet": UNet((4, 4)),
    "ResNet": ResNet(4, 1),
    "DeepDecoder": DeepDecoder(4, 2),
}
INPUTS: dict[str, Input] = {
    "noise": inputs.Noise(4),
    "normal": inputs.Noise(4, distribution="normal"),
    "grid": inputs.Meshgrid(),
    "waves": inputs.FourierFeatures(2),
}
NOISES: dict[str, Noise] = {
    "Gaussian": Gaussian(0.1),
    "ClippedGaussian": ClippedGaussian(0.1),
    "Poisson": Poisson(50),
    "Laplace": Laplace(0.1),
}
OPTIMISERS = {
    "Adam": ADAM,
    "SGD": Descent(partial(torch.optim.SGD, lr=0.1), precision="full"),
    "Muon": Descent(MuonThenAdam, precision="full"),
    "L-BFGS": LINE_SEARCH,
    "unfused": Descent(partial(torch.optim.Adam, lr=0.01), torch.optim.lr_scheduler.LinearLR, precision="full"),
}


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def autocast_and_default_dtype():
    with default_dtype(), torch.autocast("cpu", torch.bfloat16):
        yield


CONTEXTS: tuple[Callable[[], AbstractContextManager], ...] = (autocast_and_default_dtype, lambda: torch.device("meta"))
ACTIONS: dict[str, Action] = {
    **{name: _solved(DeepImagePrior(generator), ADAM) for name, generator in GENERATORS.items()},
    **{f"{name}, two": _solved(DeepImagePrior(generator), ADAM, count=2) for name, generator in GENERATORS.items()},
    **{f"input {name}": _solved(DeepImagePrior(Hourglass((4,)), source), ADAM) for name, source in INPUTS.items()},
    **{f"generator, {name}": _solved(TINY, method) for name, method in OPTIMISERS.items()},
    **{f"pixels, {name}": _solved(NoPrior(), method) for name, method in OPTIMISERS.items() if name != "Muon"},
    **{f"TV, {name}": _solved(TotalVariation(0.1), Descent(), noise) for name, noise in NOISES.items()},
    **{f"Langevin, {name}": _solved(TINY, Langevin(burn_in=0), noise) for name, noise in NOISES.items()},
    **{f"PrimalDual, {name}": _solved(TotalVariation(0.1), PrimalDual(), noise) for name, noise in NOISES.items()},
    "mixed precision": _solved(TINY, Descent(precision="mixed")),
    "Langevin of pixels": _solved(NoPrior(), Langevin(burn_in=0)),
    "sum": _solved(TINY + TotalVariation(0.1), ADAM),
    "coupled": _solved(TotalVariation(0.1, coupled=True, box=True), PrimalDual()),
    "anisotropic": _solved(TotalVariation(0.1, isotropic=False), PrimalDual()),
    "holes": _solved(TotalVariation(0.1), PrimalDual(), 0, HOLES),
    "Tikhonov": _solved(Tikhonov(0.1), ADAM),
    "ConjugateGradient": _solved(Tikhonov(0.1), ConjugateGradient()),
    "ConjugateGradient without a penalty": _solved(NoPrior(), ConjugateGradient()),
    "Tikhonov of differences": _solved(Tikhonov(0.1, FiniteDifferences(X.shape)), ConjugateGradient()),
    "PrimalDual of Tikhonov": _solved(Tikhonov(0.1), PrimalDual()),
    "held out": lambda: solve(PROBLEM, TINY, ADAM, steps=2, callbacks=[HeldOut()], progress=False).image,
    "variance": lambda: solve(PROBLEM, TINY, ADAM, steps=2, callbacks=[ExponentialVariance()], progress=False).image,
    "scores": lambda: torch.stack([psnr(X, X / 2), ssim(X, X / 2), psnr_y(COLOURS, COLOURS / 2)]),
    "recipe": lambda: recipes.restore().solve(PROBLEM, steps=1, progress=False).image,
    "tune": lambda: tune(PROBLEM, Tikhonov, SURE(), method=ConjugateGradient(steps=2), weights=(0.1, 1), progress=False).weight,
    "simulate": lambda: Problem.simulate(BLUR, X, 0.1).y,
    "project": lambda: project(PROBLEM, torch.zeros_like(X)[None]),
    "prox": lambda: prox(TotalVariation(0.1), X[None], gap=1e-2),
    "norm": BLUR.norm,
    "matrix": SMALL_BLUR.matrix,
    "data_term": lambda: PROBLEM.data_term(X[None] / 3),
    "rms_residual": lambda: PROBLEM.rms_residual(X[None] / 3),
    "data_psnr": lambda: PROBLEM.data_psnr(X[None] / 3),
    "estimate": lambda: estimate(PROBLEM, Tikhonov(0.1)).bytes,
    "check": lambda: str(check(SMALL_BLUR)),
    "check features": lambda: str(check(FEATURES)),
}


@pytest.mark.parametrize("name", [name for name in ACTIONS if not name.startswith(("pixels, ", "Langevin, "))])
def test_what_is_set_around_a_call_changes_no_bit(name: str) -> None:
    expected = ACTIONS[name]()
    for context in CONTEXTS:
        with context():
            before = defaults()
            result = ACTIONS[name]()
            assert defaults() == before
        assert result.equal(expected) if isinstance(expected, torch.Tensor) else result == expected


def defaults() -> tuple[object, ...]:
    return torch.is_autocast_enabled("cpu"), torch.get_default_dtype(), torch.get_default_device()


class Fades(LinearOperator):
    """Multiplies by weights that it makes in the default dtype, each time anew, as a user writes it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.linspace(0.5, 1, x.shape[-1]) @ torch.eye(x.shape[-1])


def test_an_operator_in_the_users_default_dtype_works() -> None:
    with default_dtype():
        operator = Fades((1, 16, 16))
        x = X.double()
        problem = Problem.simulate(operator, x, 0.01)
        assert problem.y.dtype == torch.float64
        for prior in (TINY, NoPrior(), TotalVariation(0.01), Tikhonov(0.1)):
            for method in (None, Descent()):
                assert solve(problem, prior, method, steps=2, progress=False).image.dtype == torch.float64
            assert estimate(problem, prior).bytes > 0
        assert abs(operator.norm() - 1) < 0.01
        assert operator.matrix().diag()[:16].equal(torch.linspace(0.5, 1, 16))
        assert project(problem, torch.zeros_like(problem.y)).dtype == torch.float64
        assert prox(TotalVariation(0.1), x[None], gap=1e-2).dtype == torch.float64
        assert check(Fades((1, 4, 5))).passed
        assert masks.random((16, 16), keep=0.5).equal(HOLES.mask[0])


def test_another_thread_sees_no_change_of_the_defaults() -> None:
    seen = []

    def look(step: Step) -> None:
        with ThreadPoolExecutor(1) as thread:
            seen.append(thread.submit(lambda: (torch.get_default_dtype(), torch.empty(0).dtype)).result())

    with default_dtype():
        solve(PROBLEM, TINY, Descent(), steps=2, callbacks=[look], progress=False)
    assert set(seen) == {(torch.float64, torch.float64)}


@pytest.mark.parametrize("device", [device for device in ("cuda", "mps", "xpu") if torch.amp.is_autocast_available(device)])
def test_an_autocast_of_any_device_is_off_within_a_call(device: str) -> None:
    seen = []
    with torch.autocast("cpu", torch.bfloat16):
        torch.set_autocast_enabled(device, True)
        look = [lambda step: seen.append(torch.is_autocast_enabled(device))]
        solve(PROBLEM, TINY, Descent(), steps=2, callbacks=look, progress=False)
        assert torch.is_autocast_enabled(device)
        torch.set_autocast_enabled(device, False)
    assert not any(seen)
    assert seen
