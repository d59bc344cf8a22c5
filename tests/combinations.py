"""Random combinations of shape, dtype, operator, noise, weights, prior, method and rule, each from its index alone."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import Any

import cvxpy
import torch
from torch import Tensor, nn

from dipops import (
    ClippedGaussian,
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    FeatureMap,
    FiniteDifferences,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    Laplace,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Mask,
    NoPrior,
    Poisson,
    PrimalDual,
    Prior,
    Tikhonov,
    TotalVariation,
    stack,
)
from dipops.methods import Method
from dipops.methods.muon import MuonThenAdam
from dipops.noise import Noise
from dipops.priors import PixelPrior, ProximalPrior
from dipops.priors.generators import DeepDecoder, ResNet, UNet
from dipops.priors.inputs import FourierFeatures, Meshgrid
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Oracle, Step, WindowedVariance
from tests.reference import differences, penalty

Shape = tuple[int, ...]
SEED = 20
TIGHT, CONVEX_STEPS, DESCENT_STEPS, NETWORK_STEPS = 1e-6, 400, 40, 10


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Matrix(LinearOperator):
    """A user's dense matrix, whose adjoint is found."""

    def __init__(self, in_shape: Shape, matrix: Tensor) -> None:
        super().__init__(in_shape)
        self.dense = matrix

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.dense.T


class MatrixWithAdjoint(Matrix):
    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.dense).view(-1, *self.in_shape)


class Blur(LinearOperator):
    """A smooth kernel along the last axis, zeros beyond the border."""

    def __init__(self, in_shape: Shape) -> None:
        super().__init__(in_shape)
        self.kernel = torch.tensor([[[0.25, 0.5, 0.25]]])

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv1d(x.reshape(-1, 1, x.shape[-1]), self.kernel, padding=1).view(x.shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)  # the kernel is symmetric


class FittedBlur(Blur):
    """A blur whose kernel is a parameter, as in a network that was trained."""

    def __init__(self, in_shape: Shape) -> None:
        super().__init__(in_shape)
        kernel = self._buffers.pop("kernel")
        assert kernel is not None
        self.kernel = nn.Parameter(kernel)


class ZeroFilled(LinearOperator):
    """A user's mask that fills in zeros."""

    def __init__(self, in_shape: Shape, pattern: Tensor) -> None:
        super().__init__(in_shape)
        self.pattern = pattern

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.pattern > 0, x, 0)


class NumPyMatrix(LinearOperator):
    """A matrix that NumPy multiplies, without an adjoint."""

    def __init__(self, in_shape: Shape, matrix: Tensor) -> None:
        super().__init__(in_shape)
        self.array = matrix.double().numpy()

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().flatten(1).numpy() @ self.array.T).to(x)


class NumPyMatrixWithAdjoint(NumPyMatrix):
    def adjoint(self, y: Tensor) -> Tensor:
        return torch.from_numpy(y.detach().numpy() @ self.array).to(y).view(-1, *self.in_shape)


class Wave(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * (3 * x).sin()


class NumPyTangent(DifferentiableOperator):
    """A nonlinear map in NumPy, with the derivatives of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy() / (1 + x.detach().numpy() ** 2))

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return v * (1 - x.square()) / (1 + x.square()).square()

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.vjp(x, u)


class Sparse(ProximalPrior):
    """A user's prior: weight ‖Kx‖₁ with an orthogonal K, made as a user makes it, in the default dtype."""

    def __init__(self, weight: float, basis: Callable[[Shape], LinearOperator], box: bool = False) -> None:
        super().__init__(box=box)
        self.weight, self.basis = weight, basis

    def analysis(self, in_shape: Sequence[int]) -> LinearOperator:
        return self.basis(tuple(in_shape))

    def value(self, x: Tensor) -> Tensor:
        return self.weight * self.analysis(x.shape[1:]).to(x)(x).abs().flatten(1).sum(1)

    def prox_conjugate(self, p: Tensor, step: float) -> Tensor:
        return p.clamp(-self.weight, self.weight)

    def conjugate(self, p: Tensor) -> Tensor:
        return torch.where((p.abs() > self.weight * (1 + 1e-6)).flatten(1).any(1), float("inf"), 0.0).to(p)

    def __repr__(self) -> str:
        return f"Sparse({self.weight}, {self.basis.__name__}, {self.box})"


class Quartic(PixelPrior):
    """A user's smooth penalty without a prox: weight Σ x⁴."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def penalty(self, x: Tensor) -> Tensor:
        return self.weight * x.pow(4).flatten(1).sum(1)

    def __repr__(self) -> str:
        return f"Quartic({self.weight})"


@cache
def orthogonal_matrix(size: int) -> Tensor:
    return torch.linalg.qr(drawn(size, size, seed=3).double() - 0.5)[0].float()


def orthogonal(shape: Shape) -> Matrix:
    """A dense orthogonal basis."""
    return MatrixWithAdjoint(shape, orthogonal_matrix(prod(shape)))


@dataclass(frozen=True)
class Operator:
    """How an operator is made for a shape and a seed, which shapes it takes, and what it is."""

    make: Callable[[Shape, int], LinearOrDifferentiableOperator]
    fits: Callable[[Shape], bool] = lambda shape: True
    linear: bool = True
    nonnegative: bool = True
    derivatives: bool = True


def dense(shape: Shape, seed: int, rows: int | None = None) -> Tensor:
    """A matrix of values from 0, wide, square or tall by the seed, of norm about 1."""
    columns = prod(shape)
    rows = rows or max(1, columns + (-columns // 2, 0, 2)[seed % 3])
    return 2 * drawn(rows, columns, seed=seed) / (rows * columns) ** 0.5


def pattern(shape: Shape, seed: int) -> Tensor:
    """Zeros and ones, of which some are 1."""
    values = (drawn(*shape, seed=seed) < 0.7).float()
    values[(0,) * len(shape)] = 1
    return values


def network(channels: int, seed: int) -> nn.Module:
    layer = nn.Conv2d(channels, 2, 3, padding=1)
    for parameter in layer.parameters():
        parameter.data = drawn(*parameter.shape, seed=seed) - 0.5
    return nn.Sequential(layer, nn.Tanh()).eval()


def with_zero_rows(shape: Shape, seed: int) -> Matrix:
    matrix = dense(shape, seed)
    matrix[1::3] = 0
    return Matrix(shape, matrix)


def colour(shape: Shape) -> bool:
    return len(shape) == 3


def even(shape: Shape) -> bool:
    return colour(shape) and shape[1] % 2 == shape[2] % 2 == 0


def mask(shape: Shape, seed: int) -> Mask:
    return Mask(pattern(shape[1:], seed), shape[0]) if seed % 2 or shape[0] == 1 else Mask(pattern(shape, seed))


OPERATORS: dict[str, Operator] = {
    "identity": Operator(lambda s, k: Identity(s)),
    "mask": Operator(mask, colour),
    "mask @ identity": Operator(lambda s, k: mask(s, k) @ Identity(s), colour),
    "identity @ mask": Operator(lambda s, k: Identity(s) @ mask(s, k), colour),
    "blur": Operator(lambda s, k: Blur(s)),
    "blur with a parameter": Operator(lambda s, k: FittedBlur(s)),
    "mask @ blur": Operator(lambda s, k: mask(s, k) @ Blur(s), colour),
    "Lanczos": Operator(lambda s, k: LanczosDownsampler(s, 2), even, nonnegative=False),
    "Lanczos.T": Operator(lambda s, k: LanczosDownsampler((s[0], 2 * s[1], 2 * s[2]), 2).T, colour, nonnegative=False),
    "differences": Operator(lambda s, k: FiniteDifferences(s), nonnegative=False),
    "matrix": Operator(lambda s, k: Matrix(s, dense(s, k))),
    "matrix with adjoint": Operator(lambda s, k: MatrixWithAdjoint(s, dense(s, k))),
    "matrix.T": Operator(lambda s, k: Matrix((5,), dense((5,), k, prod(s))).T @ Matrix(s, dense(s, k + 1, prod(s)))),
    "zero-filled": Operator(lambda s, k: ZeroFilled(s, pattern(s, k))),
    "zero rows": Operator(with_zero_rows),
    "sum": Operator(lambda s, k: Blur(s) + 0.5 * Identity(s)),
    "difference": Operator(lambda s, k: Identity(s) - Blur(s), nonnegative=False),
    "stack": Operator(lambda s, k: stack(ZeroFilled(s, pattern(s, k)), Blur(s))),
    "-2 blur": Operator(lambda s, k: -2 * Blur(s), nonnegative=False),
    "255 identity": Operator(lambda s, k: 255 * Identity(s)),
    "0.01 identity": Operator(lambda s, k: 0.01 * Identity(s)),
    "gram": Operator(lambda s, k: Blur(s).gram),
    "NumPy": Operator(lambda s, k: NumPyMatrix(s, dense(s, k)), derivatives=False),
    "NumPy with adjoint": Operator(lambda s, k: NumPyMatrixWithAdjoint(s, dense(s, k))),
    "blur @ NumPy": Operator(
        lambda s, k: Blur((prod(s),)) @ NumPyMatrixWithAdjoint(s, dense(s, k, prod(s))),
    ),
    "wave": Operator(lambda s, k: Wave(s), linear=False),
    "wave @ blur": Operator(lambda s, k: Wave(s) @ Blur(s), linear=False),
    "NumPy tangent": Operator(lambda s, k: NumPyTangent(s), linear=False),
    "linearised": Operator(lambda s, k: Wave(s).linearize(drawn(*s, seed=k)), nonnegative=False),
    "features": Operator(lambda s, k: FeatureMap(s, network(s[0], k), "1"), colour, linear=False, nonnegative=False),
}

NOISES: dict[str, Noise | float | None] = {
    "unknown": None,
    "0.05": 0.05,
    "Gaussian": Gaussian(0.2),
    "clipped": ClippedGaussian(0.1),
    "Poisson": Poisson(50, 0.1),
    "few photons": Poisson(3, 0.02),
    "Laplace": Laplace(0.1),
    "none": 0,
}

PHOTONS = ("Poisson", "few photons")

Cost = Callable[[Any, Shape], Any]
"""A penalty as an expression of cvxpy in x, a flat image of this shape."""


@dataclass(frozen=True)
class PriorKind:
    """How a prior is made for a shape and a seed, and its penalty."""

    make: Callable[[Shape, int], Prior]
    cost: Cost = lambda x, shape: 0
    prox: bool = True
    box: bool = False
    generator: bool = False


def tikhonov(weight: float) -> PriorKind:
    return PriorKind(lambda s, k: Tikhonov(weight), lambda x, s: 0.5 * weight * cvxpy.sum_squares(x))


def smooth(x: Any, shape: Shape) -> Any:
    return sum(cvxpy.sum_squares(part @ x) for part in differences(shape))


def variation(prior: TotalVariation) -> PriorKind:
    return PriorKind(lambda s, k: prior, lambda x, s: penalty(x, s, prior), box=prior.box)


def basis_cost(x: Any, shape: Shape) -> Any:
    return 0.05 * cvxpy.norm1(orthogonal(shape).dense.double().numpy() @ x)


def generated(prior: DeepImagePrior, cost: Cost = lambda x, shape: 0, added: PixelPrior | None = None) -> PriorKind:
    return PriorKind(lambda s, k: prior if added is None else prior + added, cost, prox=False, generator=True)


TV = TotalVariation(0.05)
PRIORS: dict[str, PriorKind] = {
    "none": PriorKind(lambda s, k: NoPrior(), prox=False),
    "none from an image": PriorKind(lambda s, k: NoPrior(drawn(*s, seed=k)), prox=False),
    "Tikhonov": tikhonov(0.1),
    "Tikhonov of weight 0": tikhonov(0.0),
    "smooth": PriorKind(lambda s, k: Tikhonov(0.1, FiniteDifferences(s)), lambda x, s: 0.05 * smooth(x, s)),
    "TV": variation(TV),
    "TV of weight 0": variation(TotalVariation(0.0)),
    "TV from an image": PriorKind(lambda s, k: TotalVariation(0.05, initial=drawn(*s, seed=k)), lambda x, s: penalty(x, s, TV)),
    "anisotropic": variation(TotalVariation(0.05, isotropic=False)),
    "coupled": variation(TotalVariation(0.05, coupled=True)),
    "TV in a box": variation(TotalVariation(0.05, box=True)),
    "anisotropic in a box": variation(TotalVariation(0.05, isotropic=False, box=True)),
    "sparse": PriorKind(lambda s, k: Sparse(0.05, Identity), lambda x, s: 0.05 * cvxpy.norm1(x)),
    "sparse in a box": PriorKind(lambda s, k: Sparse(0.05, Identity, True), lambda x, s: 0.05 * cvxpy.norm1(x), box=True),
    "sparse in a basis": PriorKind(lambda s, k: Sparse(0.05, orthogonal), basis_cost),
    "quartic": PriorKind(lambda s, k: Quartic(0.1), lambda x, s: 0.1 * cvxpy.sum(cvxpy.power(x, 4)), prox=False),
    "TV + Tikhonov": PriorKind(
        lambda s, k: TV + Tikhonov(0.1), lambda x, s: penalty(x, s, TV) + 0.05 * cvxpy.sum_squares(x), prox=False
    ),
    "TV + smooth": PriorKind(
        lambda s, k: TV + Tikhonov(0.1, FiniteDifferences(s)),
        lambda x, s: penalty(x, s, TV) + 0.05 * smooth(x, s),
        prox=False,
    ),
    "none + TV": PriorKind(lambda s, k: NoPrior() + TV, lambda x, s: penalty(x, s, TV), prox=False),
    "hourglass": generated(DeepImagePrior(Hourglass((4,), skips=2))),
    "hourglass of two scales": generated(DeepImagePrior(Hourglass((4, 4), skips=(0, 2), upsampling="nearest"))),
    "hourglass on a grid": generated(DeepImagePrior(Hourglass((4,)), Meshgrid(), 0, learn_input=True)),
    "hourglass that recomputes": generated(DeepImagePrior(Hourglass((4,), recompute=True, padding="zeros"))),
    "U-net": generated(DeepImagePrior(UNet((4, 4)), FourierFeatures(2))),
    "residual network": generated(DeepImagePrior(ResNet(4, 1))),
    "deep decoder": generated(DeepImagePrior(DeepDecoder(4, 1))),
    "hourglass + TV": generated(DeepImagePrior(Hourglass((4,))), lambda x, s: penalty(x, s, TV), TV),
}

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.5)
LBFGS = partial(torch.optim.LBFGS, max_iter=5, line_search_fn="strong_wolfe")
METHODS: dict[str, Method | None] = {
    "default": None,
    "Adam": Descent(partial(torch.optim.Adam, lr=0.02)),
    "Adam, averaged": Descent(average=0.9),
    "SGD": Descent(SGD),
    "L-BFGS": Descent(LBFGS),
    "Muon": Descent(partial(MuonThenAdam, muon_steps=5)),
    "mixed": Descent(precision="mixed"),
    "conjugate gradient": ConjugateGradient(tolerance=1e-10),
    "primal-dual": PrimalDual(tolerance=TIGHT),
    "primal-dual, default": PrimalDual(),
    "exact": PrimalDual(exact=True, tolerance=TIGHT),
    "Langevin": Langevin(0.001, burn_in=3),
}
DESCENTS = ("Adam", "Adam, averaged", "SGD", "L-BFGS", "Muon", "mixed")


def stop_at_25(step: Step) -> str | None:
    return "enough" if step.index >= 25 else None


def only_look(step: Step) -> None:
    assert step.image.isfinite().all()


RULES: dict[str, Sequence[Any] | None] = {
    "default": None,
    "no rule": (),
    "discrepancy": (Discrepancy(),),
    "exponential variance": (ExponentialVariance(0.3, patience=10),),
    "windowed variance": (WindowedVariance(5, patience=10),),
    "held out": (HeldOut(0.3, patience=10),),
    "oracle": (Oracle(),),
    "observed": (Observe(ExponentialVariance(0.3, patience=10)), Observe(WindowedVariance(5, patience=10))),
    "observed held out": (Observe(HeldOut()),),
    "stops by itself": (stop_at_25,),
    "looks on": (only_look, Oracle()),
    "two rules": (Discrepancy(), ExponentialVariance(0.3, patience=10)),
}

WEIGHTS = ("none", "0 and 1", "soft", "one each", "NaN where 0", "soft for all", "all 0", "a member of 0", "negative")
MEASUREMENTS = ("simulated", "zeros", "large", "negative", "integers", "complex", "half", "NaN", "another dtype")


@dataclass(frozen=True)
class Combination:
    """One of all, by names of the tables of this file."""

    index: int
    shape: Shape
    batch: int
    dtype: torch.dtype
    operator: str
    noise: str
    weights: str
    measurement: str
    truth: bool
    prior: str
    method: str
    rule: str
    steps: int


def combination(index: int) -> Combination:
    """The combination of an index; most are of parts that go together, so that most have an answer."""
    rng = random.Random(f"{SEED} {index}")
    careless = rng.random() < 0.1
    generator = rng.random() < 0.2
    prior = rng.choice([name for name, kind in PRIORS.items() if kind.generator is generator])
    kind = PRIORS[prior]
    shape = _network_shape(rng) if kind.generator and not careless else _shape(rng)
    operator = rng.choice([name for name, value in OPERATORS.items() if value.fits(shape) and (careless or value.derivatives)])
    linear, nonnegative = OPERATORS[operator].linear, OPERATORS[operator].nonnegative
    noise = rng.choice([name for name in NOISES if careless or nonnegative or name not in PHOTONS])
    least_squares = noise not in (*PHOTONS, "Laplace")
    rare = careless and rng.random() < 0.5
    methods = [name for name in METHODS if careless or _goes_with(name, prior, linear, least_squares, noise)]
    convex = [name for name in methods if name not in (*DESCENTS, "Langevin")]
    method = rng.choice(methods + 3 * convex)
    rules = [name for name in RULES if careless or name != "observed held out"]
    rule = rng.choice([*rules, *(["no rule", "default"] * (12 if method not in DESCENTS else 2))])
    batch = 1 if method == "L-BFGS" and not careless else rng.choice([1, 1, 2, 3])
    steps = {"conjugate gradient": 500, "Langevin": 40}.get(method, DESCENT_STEPS)
    if _is_convex_method(method, prior, linear):
        steps = CONVEX_STEPS
    return Combination(
        index,
        shape,
        batch,
        torch.float64 if rng.random() < 0.7 and method != "mixed" else torch.float32,
        operator,
        noise,
        rng.choice(WEIGHTS if rare else ["none"] * 4 + [*WEIGHTS[:6]]),
        rng.choice(MEASUREMENTS if rare else ["simulated"] * 12 + ["zeros", "large"]),
        rng.random() < 0.6 or (not careless and rule in ("oracle", "looks on")),
        prior,
        method,
        rule,
        NETWORK_STEPS if kind.generator else steps,
    )


def _is_convex_method(method: str, prior: str, linear: bool) -> bool:
    return method.startswith(("primal", "exact")) or (method == "default" and PRIORS[prior].prox and linear)


def _goes_with(method: str, prior: str, linear: bool, least_squares: bool, noise: str) -> bool:
    kind = PRIORS[prior]
    if method == "conjugate gradient":
        return (
            linear and least_squares and prior in ("none", "none from an image", "Tikhonov", "Tikhonov of weight 0", "smooth")
        )
    if method.startswith(("primal", "exact")):
        return linear and kind.prox
    if method == "Langevin":
        return noise not in ("unknown", "none") and not kind.box
    return method == "default" or not kind.box


def _shape(rng: random.Random) -> Shape:
    side = partial(rng.choice, [1, 2, 3, 4, 5, 6, 7, 8, 12])
    small = partial(rng.choice, [1, 2, 3, 4])
    return rng.choice(
        [
            lambda: (side(),),
            lambda: (side(), side()),
            lambda: (1, side(), side()),
            lambda: (3, small() + 1, side()),
            lambda: (3, 2 * small(), 2 * small()),
            lambda: (rng.choice([1, 2]), small(), small(), small()),
        ]
    )()


def _network_shape(rng: random.Random) -> Shape:
    return rng.choice([(1, 16, 16), (3, 16, 18), (1, 17, 16), (1, 32, 32), (2, 16, 16)])
