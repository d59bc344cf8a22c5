"""Operators that come from SciPy, PyLops and deepinv, and those that go there."""

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from scipy.sparse.linalg import aslinearoperator
from torch import Tensor

from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    DifferentiableOperator,
    FiniteDifferences,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Laplace,
    LinearOperator,
    Mask,
    Poisson,
    Problem,
    TotalVariation,
    check,
    interop,
    metrics,
    recipes,
    solve,
    stack,
)
from dipops.errors import BadType, BadValue
from dipops.testing import Report

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch calls it for forward mode
SIDES = (5, 7)
GENERATOR = np.random.default_rng(0)
MATRIX = GENERATOR.standard_normal((6, 35)) * (GENERATOR.random((6, 35)) < 0.5)


def package(name: str) -> Any:
    """A package that these tests do without."""
    try:
        return import_module(name)
    except ImportError:
        pytest.skip(f"{name.partition('.')[0]} is not installed")


def fault(report: Report) -> str:
    return next(verdict.fault for verdict in report.verdicts if verdict.fault)


class Projector:
    """What ASTRA gives: neither SciPy's class nor several columns at once, and single precision."""

    shape, dtype = MATRIX.shape, np.dtype("float32")

    def matvec(self, x: np.ndarray) -> np.ndarray:
        return MATRIX.astype(np.float32) @ x.astype(np.float32)

    def rmatvec(self, y: np.ndarray) -> np.ndarray:
        return MATRIX.T.astype(np.float32) @ y.astype(np.float32)


def _by_functions(matrix: np.ndarray, factor: float = 1) -> ScipyOperator:
    functions = {"matvec": lambda x: matrix @ x, "rmatvec": lambda y: factor * (matrix.conj().T @ y)}
    return ScipyOperator(dtype=matrix.dtype, shape=matrix.shape, **functions)  # pyright: ignore[reportCallIssue]


FROM_SCIPY: dict[str, Any] = {
    "array": MATRIX,
    "sparse array": scipy.sparse.csr_array(MATRIX),
    "sparse matrix": scipy.sparse.csc_matrix(MATRIX),
    "diagonals": scipy.sparse.dia_array((np.arange(1.0, 6)[None], [0]), shape=(5, 35)),
    "aslinearoperator": aslinearoperator(MATRIX),
    "LinearOperator": _by_functions(MATRIX),
    "product": 2 * aslinearoperator(MATRIX) @ aslinearoperator(np.eye(35)),
    "complex array": MATRIX + 1j * MATRIX[::-1],
    "complex functions": _by_functions(MATRIX * np.exp(1j * np.arange(35))),
    "nothing": scipy.sparse.csr_array(MATRIX.shape),
}


@pytest.mark.parametrize("name", FROM_SCIPY)
def test_scipy_operators_keep_every_law_on_each_channel(name: str) -> None:
    given = FROM_SCIPY[name]
    rows = given.shape[0]
    ends = (2,) if "complex" in name else ()
    for operator, in_shape, out_shape in (
        (interop.from_scipy(given, SIDES), SIDES, (rows,)),
        (interop.from_scipy(given, (1, *SIDES), (1, rows, 1)), (1, *SIDES), (1, rows, 1)),
        (interop.from_scipy(given, SIDES, channels=1), (1, *SIDES), (1, rows)),
        (interop.from_scipy(given, SIDES, (rows, 1), channels=3), (3, *SIDES), (3, rows, 1)),
    ):
        assert (operator.in_shape, operator.out_shape) == (in_shape, (*out_shape, *ends))
    report = check(interop.from_scipy(given, SIDES, channels=2))
    assert ("not pickled" in report.verdicts[-1].note) == (name in ("LinearOperator", "complex functions"))
    x = torch.rand(2, 3, *SIDES)
    y = interop.from_scipy(given, SIDES, channels=3)(x).numpy()
    expected = np.stack([given @ image.flatten() for image in x.flatten(0, 1).numpy()]).reshape(2, 3, rows)
    np.testing.assert_allclose(y[..., 0] + 1j * y[..., 1] if ends else y, expected, rtol=1e-5, atol=1e-5)


def test_an_operator_of_single_precision_has_a_check_of_its_own() -> None:
    operator = interop.from_scipy(Projector(), SIDES, (2, 3))
    assert check(operator, precision="single").passed
    assert 'precision="single"' in fault(check(operator, strict=False))


def test_an_adjoint_with_the_weights_of_its_spaces_is_found() -> None:
    report = check(interop.from_scipy(_by_functions(MATRIX, 0.25), SIDES), strict=False)
    assert "0.25" in fault(report)


def test_solves_and_derivatives_are_those_of_the_operator_itself(device: torch.device) -> None:
    ours = LanczosDownsampler((1, 12, 12), 2)
    foreign = interop.from_scipy(ours.double().matrix().numpy(), (1, 12, 12), (1, 6, 6)).to(device)
    ours = ours.float().to(device)
    x = torch.rand(2, 1, 12, 12, device=device).requires_grad_()
    assert foreign(x).device.type == device.type
    slopes = [torch.autograd.grad(operator(x).pow(3).sum(), x)[0] for operator in (ours, foreign)]
    torch.testing.assert_close(*slopes)
    images = [
        solve(Problem(each, ours(x).detach()), TotalVariation(1e-3), steps=60, progress=False).image for each in (ours, foreign)
    ]
    torch.testing.assert_close(*images, rtol=0, atol=1e-4)


def test_what_goes_to_scipy_and_comes_back_is_the_same() -> None:
    ours = stack(LanczosDownsampler((3, 8, 6), 2), Identity((3, 8, 6))).double()
    back = interop.from_scipy(ours.scipy(), ours.in_shape, ours.out_shape).double()
    assert back.matrix().equal(ours.matrix())
    x = torch.rand(1, 3, 8, 6, dtype=torch.float64)
    assert pickle.loads(pickle.dumps(back)).T(ours(x)).equal(ours.T(ours(x)))


class OnGPU:
    """An array of CuPy, as far as NumPy sees one."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


OnGPU.__module__, OnGPU.__name__ = "cupy", "ndarray"


def _on_gpu(pylops: Any, mixes: bool) -> Any:
    class Blur(pylops.LinearOperator):
        def matmat(self, x: Any) -> Any:
            return np.multiply(OnGPU(), x) if mixes else OnGPU()

        _matvec = _rmatvec = matmat

    return Blur(dtype=np.float64, dims=SIDES, dimsd=SIDES)


FROM_PYLOPS: dict[str, Callable[[Any], Any]] = {
    "FirstDerivative": lambda pylops: pylops.FirstDerivative(SIDES, axis=0),
    "FirstDerivative of a signal": lambda pylops: pylops.FirstDerivative(9),
    "Gradient": lambda pylops: pylops.Gradient(SIDES),
    "real FFT2D": lambda pylops: pylops.signalprocessing.FFT2D(SIDES, real=True),
    "real FFT2D, even": lambda pylops: pylops.signalprocessing.FFT2D((4, 6), real=True, nffts=(4, 8)),
    "complex FFT2D": lambda pylops: pylops.signalprocessing.FFT2D(SIDES, dtype=np.complex128),
    "Convolve2D": lambda pylops: pylops.signalprocessing.Convolve2D(SIDES, h=MATRIX[:3, :3], offset=(1, 1)),
    "Restriction": lambda pylops: pylops.Restriction(SIDES, [0, 2, 3], axis=1),
    "VStack": lambda pylops: pylops.VStack([pylops.FirstDerivative(SIDES, axis=0), pylops.Laplacian(SIDES)]),
    "masked FFT": lambda pylops: (
        pylops.Restriction(35, [0, 3, 8], dtype=complex) @ pylops.signalprocessing.FFT2D(SIDES, dtype=np.complex128)
    ),
}


@pytest.mark.parametrize("name", FROM_PYLOPS)
def test_pylops_operators_keep_every_law_on_each_channel(name: str) -> None:
    given = FROM_PYLOPS[name](package("pylops"))
    ends = (2,) if "FFT" in name else ()
    x = GENERATOR.random(given.dims)
    expected = (given @ x.ravel()).ravel()
    for channels, front in ((1, (1,)), (2, (2,)), (None, ())):
        operator = interop.from_pylops(given, channels)
        assert operator.in_shape == (*front, *given.dims)
        assert operator.out_shape == (*front, *given.dimsd, *ends)
        y = operator.double()(torch.from_numpy(x).expand(1, *operator.in_shape)).view(channels or 1, -1, 2 if ends else 1)
        for part in y.numpy():
            np.testing.assert_allclose(part[:, 0] + 1j * part[:, -1] if ends else part[:, 0], expected, atol=1e-12)
    assert interop.from_pylops(given).in_shape == (1, *given.dims)
    assert check(interop.from_pylops(given, 2)).passed


TO_PYLOPS = [
    Mask(torch.arange(35).view(SIDES) % 3 > 0, channels=2),
    FiniteDifferences((1, *SIDES)),
    LanczosDownsampler((1, 8, 6), 2),
]


@pytest.mark.parametrize("operator", TO_PYLOPS, ids=repr)
def test_dipops_operators_pass_the_dottest_of_pylops(operator: LinearOperator) -> None:
    pylops = package("pylops")
    given = interop.to_pylops(operator.double())
    assert (given.dims, given.dimsd) == (operator.in_shape, operator.out_shape)
    for complexity in (0, 1, 2, 3):
        assert pylops.utils.dottest(given, *given.shape, complexflag=complexity, rtol=1e-12)
    x = GENERATOR.random(operator.in_shape)
    expected = operator(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(given @ x, expected, atol=1e-12)
    np.testing.assert_allclose(
        (given.H @ given @ x).ravel(), operator.gram(torch.from_numpy(x)[None]).numpy().ravel(), atol=1e-12
    )
    assert check(interop.from_pylops(given, channels=None)).passed


FROM_DEEPINV: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Blur": (lambda physics: physics.Blur(filter=_kernel(), padding="circular"), (3, 6, 7)),
    "valid Blur": (lambda physics: physics.Blur(filter=_kernel(), padding="valid"), (1, 6, 7)),
    "Inpainting": (lambda physics: _noisy_inpainting(physics), (1, 8, 8)),
    "Tomography": (lambda physics: physics.Tomography(angles=5, img_width=8), (1, 8, 8)),
    "MRI": (lambda physics: physics.MRI(mask=_mask(), img_size=(8, 8)), (2, 8, 8)),
    "MultiCoilMRI": (lambda physics: physics.MultiCoilMRI(mask=_mask(), coil_maps=_coils(), img_size=(8, 8)), (2, 8, 8)),
    "Downsampling": (lambda physics: physics.Downsampling(factor=2, filter="gaussian"), (1, 8, 10)),
    "composed": (lambda physics: physics.Decolorize() * physics.Blur(filter=_kernel(), padding="circular"), (3, 4, 6)),
    "stacked": (lambda physics: physics.stack(_noisy_inpainting(physics), physics.Blur(filter=_kernel())), (1, 8, 8)),
    "nonlinear": (lambda physics: physics.Physics(A=lambda x, **_: x.square()), (1, 4, 5)),
    "complex": (lambda physics: physics.LinearPhysics(A=lambda x, **_: torch.fft.fft2(x)), (1, 4, 5)),
}


def _kernel() -> Tensor:
    return torch.linspace(0.05, 0.2, 9).view(1, 1, 3, 3)


def _mask() -> Tensor:
    return (torch.arange(64).view(8, 8) % 3 > 0).float()


def _coils() -> Tensor:
    return torch.polar(torch.ones(3, 8, 8), torch.arange(192.0).view(3, 8, 8))


def _noisy_inpainting(physics: Any) -> Any:
    noise = physics.GaussianNoise(0.1, rng=torch.Generator())
    return physics.Inpainting(img_size=(1, 8, 8), mask=_mask()[None], noise_model=noise, rng=torch.Generator())


@pytest.mark.parametrize("name", FROM_DEEPINV)
def test_physics_of_deepinv_keep_every_law_and_stay_as_they_were(name: str) -> None:
    make, in_shape = FROM_DEEPINV[name]
    given = make(package("deepinv").physics)
    operator = interop.from_deepinv(given, in_shape)
    assert operator.in_shape == in_shape
    assert isinstance(operator, DifferentiableOperator if name == "nonlinear" else LinearOperator)
    x = torch.rand(2, *in_shape)
    y = given.A(x)
    parts = [torch.view_as_real(part) if part.is_complex() else part for part in ([y] if isinstance(y, Tensor) else y)]
    assert operator(x).equal(parts[0] if isinstance(y, Tensor) else torch.cat([part.flatten(1) for part in parts], 1))
    assert check(operator).passed
    operator.double()
    assert all(tensor.dtype not in (torch.float64, torch.complex128) for tensor in given.buffers())


def test_a_wrong_adjoint_of_a_physics_does_no_harm_or_is_refused() -> None:
    physics = package("deepinv").physics
    wrong = physics.LinearPhysics(A=lambda x, **_: 2 * x, A_adjoint=lambda y, **_: 3 * y)
    assert check(interop.from_deepinv(wrong, (1, 4, 5))).passed
    inexact = interop.from_deepinv(physics.Tomography(angles=5, img_width=8, adjoint_via_backprop=False), (1, 8, 8))
    assert "another transpose" in fault(check(inexact, strict=False))


NOISES = [(Gaussian(0.1), "GaussianNoise", 0.1), (Laplace(0.2), "LaplaceNoise", 0.2), (Poisson(50), "PoissonNoise", 0.02)]


@pytest.mark.parametrize(("noise", "name", "level"), NOISES)
def test_noise_is_the_same_in_deepinv(noise: Any, name: str, level: float) -> None:
    package("deepinv")
    x = torch.full((1, 1, 64, 64), 0.5)
    physics = interop.to_deepinv(Identity((1, 64, 64)), noise)
    assert type(physics.noise_model).__name__ == name
    drawn = Problem.simulate(Identity((1, 64, 64)), x, noise).y
    assert float(physics(x).std()) == pytest.approx(float(drawn.std()), rel=0.05)
    assert float(physics(x).mean()) == pytest.approx(0.5, abs=0.02)
    back: Any = interop._noise(physics)
    assert (type(back), back.temperature) == (type(noise), pytest.approx(noise.temperature))
    assert interop._noise(interop.to_deepinv(Identity((1, 4, 4)))) == 0
    assert interop.to_deepinv(Identity((1, 4, 4)), 0.3).noise_model.sigma.item() == pytest.approx(0.3)
    physics.set_noise_model(package("deepinv").physics.UniformNoise(0.1))
    assert interop._noise(physics) is None


def _picture() -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    return ((rows - 7).square() + (columns - 8).square() < 30).float().expand(2, 1, 16, 16) * 0.7 + 0.1


def test_pgd_with_tv_of_deepinv_runs_on_a_dipops_operator() -> None:
    optim, x = package("deepinv").optim, _picture()
    physics = interop.to_deepinv(LanczosDownsampler((1, 16, 16), 2), 0.01)
    y = physics(x)
    assert physics.adjointness_test(x) < 1e-5
    assert physics.clone().double().A(x.double()).dtype == torch.float64
    settings = {"stepsize": 1.0, "lambda_reg": 1e-3, "max_iter": 12}
    model = optim.PGD(prior=optim.prior.TVPrior(n_it_max=20), data_fidelity=optim.L2(), **settings)
    better = metrics.psnr(model(y, physics), x) - metrics.psnr(physics.A_adjoint(y), x)
    assert float(better.min()) > 3
    nonlinear = interop.to_deepinv(FiniteDifferences((1, 16, 16)) @ interop.from_deepinv(_square(), (1, 16, 16)))
    torch.testing.assert_close(nonlinear.A_vjp(x, nonlinear.A(x)), 2 * x * FiniteDifferences((1, 16, 16)).gram(x.square()))


def _square() -> Any:
    return FROM_DEEPINV["nonlinear"][0](package("deepinv").physics)


def _short(steps: int = 8) -> recipes.Recipe:
    prior = DeepImagePrior(Hourglass((8, 8), skips=2))
    return replace(recipes.restore(), prior=prior, steps=steps)


def test_a_recipe_runs_inside_the_test_function_of_deepinv() -> None:
    deepinv, x = package("deepinv"), _picture()
    physics = deepinv.physics.Blur(filter=_kernel(), padding="circular", noise_model=deepinv.physics.GaussianNoise(0.05))
    y, model = physics(x), interop.to_reconstructor(_short(), seed=3)
    assert isinstance(model, deepinv.models.Reconstructor)
    operator = interop.from_deepinv(physics, (1, 16, 16))
    expected = _short().solve(Problem(operator, y, 0.05), seed=3, progress=False).image
    assert model(y, physics).equal(expected)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)
    quiet = {"verbose": False, "show_progress_bar": False}
    scores = deepinv.test(model, loader, physics, metrics=[deepinv.metric.PSNR()], **quiet)
    assert scores["PSNR"] == pytest.approx(float(metrics.psnr(expected.clamp(0, 1), x).mean()), abs=1e-3)


def test_a_recipe_takes_every_kind_of_physics() -> None:
    physics, x = package("deepinv").physics, _picture()
    model, blur = interop.to_reconstructor(_short(2)), physics.Blur(filter=_kernel(), padding="circular")
    for given in (
        physics.stack(blur, physics.Inpainting(img_size=(1, 16, 16), mask=0.5)),
        physics.LinearPhysics(A=lambda x, **_: torch.fft.fft2(x), A_adjoint=lambda y, **_: torch.fft.ifft2(y).real),
        interop.to_deepinv(LanczosDownsampler((1, 16, 16), 2), 0.05),
    ):
        assert model(given(x), given).shape == x.shape
    square = _square()
    with pytest.raises(BadValue, match=r"without A_adjoint and img_size; .*write physics.img_size = \(1, 64, 64\)"):
        model(square(x), square)
    square.img_size = (1, 16, 16)
    assert model(square(x), square).shape == x.shape


IMAGE = (1, *SIDES)
BAD: list[tuple[str, Callable[[Any], Any], type, str]] = [
    ("", lambda _: interop.from_scipy(MATRIX, (5, 6)), BadValue, r"in_shape \(5, 6\), 30 values, .*6 x 35; expected 35 values"),
    (
        "",
        lambda _: interop.from_scipy(MATRIX, (3, *SIDES)),
        BadValue,
        "in_shape .*write the shapes of one channel, and channels=3",
    ),
    (
        "",
        lambda _: interop.from_scipy(MATRIX, SIDES, (7,)),
        BadValue,
        r"out_shape \(7,\), 7 values, .*6 x 35; expected 6 values",
    ),
    ("", lambda _: interop.from_scipy(MATRIX, SIDES, channels=0), BadValue, "channels = 0; expected an integer from 1"),
    ("", lambda _: interop.from_scipy("matrix", SIDES), BadType, "a str; expected a SciPy LinearOperator, a sparse matrix or"),
    ("", lambda _: interop.from_scipy(torch.eye(35), SIDES), BadType, r"a Tensor; expected .*write tensor.numpy\(\)"),
    ("", lambda _: interop.from_scipy(ScipyOperator, SIDES), BadType, "the class LinearOperator; .* make an instance"),
    ("", lambda _: interop.from_scipy(np.ones((2, 2, 2)), SIDES), BadType, "an array of 3 axes; expected a matrix of two axes"),
    ("", lambda _: interop.from_scipy(Identity(IMAGE), IMAGE), BadType, "a Identity; expected a SciPy LinearOperator"),
    (
        "",
        lambda _: interop.from_scipy(_forward_only(), SIDES),
        BadType,
        "rmatmat of a NumPy array raises .*that has an adjoint",
    ),
    ("", lambda _: interop.to_pylops(MATRIX), BadType, "a numpy.ndarray for the operator; expected a LinearOperator of dipops"),
    ("", lambda _: interop.to_deepinv(MATRIX), BadType, "a numpy.ndarray for the operator; expected an operator of dipops"),
    ("", lambda _: interop.to_reconstructor(5), BadType, r"a int for the recipe; .*write recipes.restore\(\)"),
    (
        "pylops",
        lambda pylops: interop.from_pylops(MATRIX),
        BadType,
        "a numpy.ndarray for the operator; expected an operator of PyLops",
    ),
    ("pylops", lambda pylops: interop.from_pylops(_on_gpu(pylops, True)), BadType, "matmat of a NumPy array raises .*Implicit"),
    (
        "pylops",
        lambda pylops: interop.from_pylops(_on_gpu(pylops, False)),
        BadType,
        "gives a cupy.ndarray; expected a NumPy array",
    ),
    (
        "pylops",
        lambda pylops: interop.from_pylops(pylops.Real(SIDES, dtype="complex128")),
        BadType,
        "Real from complex images to real",
    ),
    (
        "pylops",
        lambda pylops: interop.from_pylops(_inverse_fft(pylops)),
        BadType,
        "from complex images .*an operator on real images",
    ),
    (
        "deepinv",
        lambda deepinv: interop.from_deepinv(Identity(IMAGE), IMAGE),
        BadType,
        "Identity for the physics; expected a deepinv",
    ),
    ("deepinv", lambda deepinv: interop.from_deepinv(deepinv.physics.Blur, IMAGE), BadType, "the class Blur for the physics"),
    (
        "deepinv",
        lambda deepinv: interop.from_deepinv(deepinv.physics.Haze(), IMAGE),
        BadValue,
        "Haze.A of .* tuples and lists are not",
    ),
    (
        "deepinv",
        lambda deepinv: interop.from_deepinv(_listing(deepinv), IMAGE),
        BadType,
        "A of one image .* gives a TensorList; expected",
    ),
    (
        "deepinv",
        lambda deepinv: interop.to_deepinv(Identity(IMAGE), ClippedGaussian(0.1)),
        BadType,
        "ClippedGaussian.* for deepinv",
    ),
    ("deepinv", lambda deepinv: interop.to_deepinv(Identity(IMAGE), Poisson(9, 0.1)), BadType, "Poisson without background"),
]


def _forward_only() -> ScipyOperator:
    return ScipyOperator(dtype=float, shape=(6, 35), matvec=lambda x: MATRIX @ x)  # pyright: ignore[reportCallIssue]


def _inverse_fft(pylops: Any) -> Any:
    return pylops.signalprocessing.FFT2D(SIDES, real=True).H


def _listing(deepinv: Any) -> Any:
    return deepinv.physics.Physics(A=lambda x, **_: deepinv.utils.TensorList([x, x]))


@pytest.mark.parametrize(("needs", "call", "error", "words"), BAD)
def test_bad_calls_are_told_so_in_one_line(needs: str, call: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call(package(needs) if needs else None)
    assert "\n" not in str(caught.value)


MISSING: dict[str, Callable[[], Any]] = {
    "pylops": lambda: interop.to_pylops(Identity(IMAGE)),
    "deepinv": lambda: interop.to_deepinv(Identity(IMAGE)),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_package_is_named_with_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BadValue, match=f"no package {name}; expected {name} beside dipops; pip install {name}"):
        MISSING[name]()


def test_a_matrix_is_copied_and_finite() -> None:
    matrix = np.eye(4)
    operator = interop.from_scipy(matrix, (2, 2))
    matrix[:] = 0
    assert operator(torch.ones(1, 2, 2)).equal(torch.ones(1, 4))
    for bad in (np.full((3, 4), np.nan), scipy.sparse.csr_array(np.full((3, 4), np.inf))):
        with pytest.raises(BadValue, match="NaN or infinite"):
            interop.from_scipy(bad, (2, 2))
