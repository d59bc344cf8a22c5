"""An operator whose forward leaves PyTorch does all that its twin in PyTorch does."""

import pickle
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from dipops import (
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    Hourglass,
    Identity,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Problem,
    TotalVariation,
    check,
    project,
    solve,
    stack,
)
from dipops.errors import BadType
from dipops.priors import Tikhonov

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch calls it for forward mode
SHAPE = (2, 4, 5)
KERNEL = np.array([[0.1, 0.2, 0.05], [0.15, 0.3, 0.02], [0.0, 0.08, 0.1]])


def _correlate(images: np.ndarray, kernel: np.ndarray) -> Tensor:
    return torch.from_numpy(scipy.ndimage.correlate(images, kernel[None, None], mode="constant"))


class Twin(LinearOperator):
    """The blur in PyTorch."""

    def __init__(self, in_shape: tuple[int, ...] = SHAPE) -> None:
        super().__init__(in_shape)
        self.kernel = torch.tensor(KERNEL, dtype=torch.float32).expand(in_shape[0], 1, 3, 3).clone()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=1, groups=len(self.kernel))


class Detaching(LinearOperator):
    """The blur in SciPy, with detach, which cuts the graph in silence."""

    def __init__(self, in_shape: tuple[int, ...] = SHAPE) -> None:
        super().__init__(in_shape)

    def forward(self, x: Tensor) -> Tensor:
        return _correlate(x.detach().numpy(), KERNEL.astype(np.float32))

    def adjoint(self, y: Tensor) -> Tensor:
        return _correlate(y.detach().numpy(), KERNEL.astype(np.float32)[::-1, ::-1])


class Refusing(Detaching):
    """The same without detach: numpy() raises where a gradient is wanted, and under every transform."""

    def forward(self, x: Tensor) -> Tensor:
        return _correlate(x.numpy(), KERNEL.astype(np.float32))

    def adjoint(self, y: Tensor) -> Tensor:
        return _correlate(y.numpy(), KERNEL.astype(np.float32)[::-1, ::-1])


class Weighted(Detaching):
    """The same with a weight that requires a gradient, so that its output has a graph."""

    def __init__(self, in_shape: tuple[int, ...] = SHAPE) -> None:
        super().__init__(in_shape)
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.weight


class WithoutGradients(Twin):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return F.conv_transpose2d(y.detach(), self.kernel, padding=1, groups=len(self.kernel))


class Around(LinearOperator):
    """A user's own operator in PyTorch that calls another one."""

    def __init__(self, inner: LinearOperator) -> None:
        super().__init__(inner.in_shape)
        self.inner = inner
        self._like = inner._like

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(2 * x)


FOREIGN = [Detaching, Refusing, Weighted, WithoutGradients]
Expression = Callable[[LinearOperator], LinearOrDifferentiableOperator]
EXPRESSIONS: dict[str, Expression] = {
    "A": lambda a: a,
    "A @ I": lambda a: a @ Identity(SHAPE).double(),
    "I @ A": lambda a: Identity(SHAPE).double() @ a,
    "2A + I": lambda a: 2 * a + Identity(SHAPE).double(),
    "stack(A, I)": lambda a: stack(a, Identity(SHAPE).double()),
    "A.T": lambda a: a.T,
    "A.gram": lambda a: a.gram,
    "(A @ A).T": lambda a: (a @ a).T,
    "own": Around,
    "own.T": lambda a: Around(a).T,
}


def _inputs(count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(count)]


def _same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("foreign", FOREIGN)
def test_every_derivative_is_that_of_the_twin(foreign: type, expression: str) -> None:
    x, v = _inputs()
    ours, twin = (EXPRESSIONS[expression](operator().double()) for operator in (foreign, Twin))
    w = ours(x).cos()

    def derivatives(operator: LinearOrDifferentiableOperator) -> list[Tensor]:
        leaf, weights = x.clone().requires_grad_(), w.clone().requires_grad_()
        (first,) = torch.autograd.grad(operator(leaf).pow(4).sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(3).sum(), leaf, create_graph=True)
        (third,) = torch.autograd.grad(second.square().sum(), leaf)
        (of_vjp,) = torch.autograd.grad(operator.vjp(leaf, weights).pow(3).sum(), weights)
        (of_jvp,) = torch.autograd.grad(operator.jvp(x, leaf).pow(3).sum(), leaf)
        return [operator(x), first, second, third, of_vjp, of_jvp, operator.vjp(x, w), operator.jvp(x, v)]

    for one, other in zip(derivatives(ours), derivatives(twin), strict=True):
        _same(one.detach(), other.detach())


def _squares(operator: LinearOperator) -> Callable[[Tensor], Tensor]:
    return lambda flat: operator(flat.view(1, *SHAPE)).pow(4).sum()


TRANSFORMS: dict[str, Callable[[LinearOperator, Tensor, Tensor], Tensor]] = {
    "vjp": lambda a, x, v: vjp(a, x)[1](v)[0],
    "jvp": lambda a, x, v: jvp(a, (x,), (v,))[1],
    "jvp of a square": lambda a, x, v: jvp(lambda z: a(z) ** 2, (x,), (v,))[1],
    "vmap": lambda a, x, v: vmap(a)(torch.stack([x, v], 2)[None].movedim(3, 0)[:, 0]),
    "vmap over the last axis": lambda a, x, v: vmap(a, in_dims=-1, out_dims=-1)(torch.stack([x, v, x], -1)),
    "vmap of vjp": lambda a, x, v: vmap(lambda w: vjp(a, x)[1](w)[0])(torch.stack([x, v])),
    "hessian": lambda a, x, v: hessian(_squares(a))(x[0].flatten()),
    "jacrev of jacrev": lambda a, x, v: jacrev(jacrev(_squares(a)))(x[0].flatten()),
    "jacfwd": lambda a, x, v: jacfwd(_squares(a))(x[0].flatten()),
    "adjoint under vmap": lambda a, x, v: vmap(a.T)(torch.stack([x, v])),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("foreign", FOREIGN)
def test_transforms_of_a_fresh_operator_are_those_of_the_twin(foreign: type, transform: str) -> None:
    _same(*(TRANSFORMS[transform](operator().double(), *_inputs()).detach() for operator in (foreign, Twin)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_modes_without_gradients(foreign: type, mode: type) -> None:
    with mode():
        x, v = _inputs()
        ours, twin = foreign().double(), Twin().double()
        _same(ours(x) + ours.vjp(x, v) + ours.gram(x), twin(x) + twin.vjp(x, v) + twin.gram(x))


@pytest.mark.parametrize("foreign", FOREIGN)
def test_every_law_holds(foreign: type) -> None:
    assert check(foreign((2, 5, 7))).passed
    assert check(foreign((2, 5, 7)).gram + Identity((2, 5, 7))).passed


def test_copies_keep_what_was_found() -> None:
    operator = Detaching()
    (x, _) = (tensor.float() for tensor in _inputs())
    expected = operator(x)
    for copy in (deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        leaf = x.clone().requires_grad_()
        assert copy(leaf).equal(expected)
        (gradient,) = torch.autograd.grad(copy(leaf).sum(), leaf)
        assert gradient.equal(operator.adjoint(torch.ones_like(x)))


@pytest.mark.parametrize("foreign", [Detaching, Refusing])
def test_solves_are_those_of_the_twin(foreign: type) -> None:
    truth = torch.full((1, 1, 16, 16), 0.7)
    problem, twin = (Problem.simulate(operator(truth.shape[1:]), truth, 0) for operator in (foreign, Twin))
    generator = Hourglass((4, 4), skips=2)
    for prior, method, steps in (
        (TotalVariation(1e-3), Descent(), 60),
        (TotalVariation(1e-3), None, 60),
        (DeepImagePrior(generator) + TotalVariation(1e-4), Descent(), 4),
        (Tikhonov(1e-3), None, 30),
    ):
        ours, theirs = (solve(each, prior, method, steps=steps, progress=False) for each in (problem, twin))
        torch.testing.assert_close(ours.image, theirs.image, rtol=0, atol=1e-4)
    start = torch.zeros_like(truth)
    torch.testing.assert_close(project(problem, start), project(twin, start), rtol=0, atol=1e-4)
    assert float((project(problem, start) - start).abs().mean()) > 0.3


class Waves(DifferentiableOperator):
    """sin(3x) in NumPy, with derivatives of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin(3 * x.numpy()))

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return torch.from_numpy(3 * np.cos(3 * x.numpy()) * v.numpy())

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.vjp(x, u)


class TorchWaves(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return (3 * x).sin()


NONLINEAR: dict[str, Callable[[LinearOrDifferentiableOperator, Tensor, Tensor], Tensor]] = {
    "gradient": lambda a, x, v: grad(lambda x: a(x).pow(2).sum())(x),
    "vjp": lambda a, x, v: vjp(a, x)[1](v)[0],
    "jvp": lambda a, x, v: jvp(a, (x,), (v,))[1],
    "vmap": lambda a, x, v: vmap(a)(torch.stack([x, v])),
    "vmap of vjp": lambda a, x, v: vmap(lambda w: vjp(a, x)[1](w)[0])(torch.stack([x, v])),
    "vjp of vjp in v": lambda a, x, v: vjp(vjp(a, x)[1], v)[1]((v,))[0],
    "linearize": lambda a, x, v: a.linearize(x[0]).T(v),
    "gradient through linearize": lambda a, x, v: grad(lambda u: a.linearize(x[0])(u).pow(2).sum())(v),
    "composition": lambda a, x, v: (Twin().double() @ a).vjp(x, v),
    "composition's gradient": lambda a, x, v: grad(lambda x: (Twin().double() @ a)(x).pow(2).sum())(x),
    "jvp of a composition": lambda a, x, v: (a @ Twin().double()).jvp(x, v),
}


@pytest.mark.parametrize("case", NONLINEAR)
def test_a_nonlinear_operator_with_derivatives_of_its_own(case: str) -> None:
    _same(*(NONLINEAR[case](operator(SHAPE).double(), *_inputs()) for operator in (Waves, TorchWaves)))


def test_the_laws_hold_for_a_nonlinear_one_and_see_a_wrong_derivative() -> None:
    class Wrong(Waves):
        def vjp(self, x: Tensor, v: Tensor) -> Tensor:
            return 2 * super().vjp(x, v)

    assert check(Waves(SHAPE)).passed
    assert not check(Wrong(SHAPE), strict=False).passed


def test_a_second_derivative_is_refused() -> None:
    waves, x = Waves(SHAPE).double(), _inputs()[0]
    with pytest.raises(BadType, match="second derivative.*write forward in torch operations"):
        grad(lambda x: grad(lambda x: waves(x).sum())(x).sum())(x)
    leaf = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(waves(leaf).sum(), leaf, create_graph=True)
    with pytest.raises(BadType, match="second derivative"):
        first.sum().backward()


class NoAdjoint(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * x.detach()


class NoDerivative(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin(x.numpy()))


class NoJvp(NoDerivative):
    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return v * x.cos()


class Threshold(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x)


DERIVATIVES = {
    "backward": lambda a, x: a(x.requires_grad_()).sum().backward(),
    "vjp": lambda a, x: a.vjp(x, x),
    "jvp": lambda a, x: a.jvp(x, x),
    "solve": lambda a, x: solve(Problem(a, x), TotalVariation(0.1), Descent(), steps=2, progress=False),
}


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("operator", [NoAdjoint, NoDerivative, Threshold])
def test_without_derivatives_it_applies_and_the_rest_is_refused(operator: type, derivative: str) -> None:
    x = torch.rand(1, *SHAPE)
    assert operator(SHAPE)(x).shape == x.shape
    if (operator, derivative) == (NoAdjoint, "jvp"):
        return
    method = "adjoint" if operator is NoAdjoint else "vjp"
    with pytest.raises(BadType, match=rf"leaves PyTorch .*; write {method}\(self"):
        DERIVATIVES[derivative](operator(SHAPE), x)


def test_a_missing_jvp_is_asked_for() -> None:
    with pytest.raises(BadType, match=r"leaves PyTorch.*jvp\(self, x, u\)"):
        NoJvp(SHAPE).jvp(torch.rand(1, *SHAPE), torch.rand(1, *SHAPE))


class Constant(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones(x.shape)


class ZeroAtZero(DifferentiableOperator):
    """Takes a short way out for a zero image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin() if x.any() else x.new_zeros(x.shape)


class InPlace(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        x[..., 0] = 0
        return x.sin()


@pytest.mark.parametrize("operator", [Constant, ZeroAtZero, InPlace])
def test_what_only_looks_foreign_is_differentiated_by_autograd(operator: type) -> None:
    x, v = _inputs()
    a = operator(SHAPE).double()
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad((a.forward(leaf) * v).sum() + 0 * leaf.sum(), leaf)[0]
    assert a.vjp(x, v).equal(expected)


def test_forward_is_applied_a_few_times_to_find_what_it_is() -> None:
    class Counts(Detaching):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counts.calls += 1
            return super().forward(x)

    class CountsInTorch(Twin):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            CountsInTorch.calls += 1
            return super().forward(x)

    foreign, twin, x = Counts(), CountsInTorch(), torch.rand(1, *SHAPE)
    for _ in range(3):
        _ = foreign(x), twin(x), foreign.out_shape, twin.out_shape
    assert CountsInTorch.calls == 3 + 2
    assert Counts.calls <= 3 + 4


class Fades(LinearOperator):
    """Weights along the last axis."""

    def __init__(self, in_shape: tuple[int, ...] = SHAPE) -> None:
        super().__init__(in_shape)
        self.weights = torch.linspace(0.5, 1.5, in_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights


class HalfDetached(Fades):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights + 0.5 * x.detach()


class PartlyNumPy(Fades):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_numpy(np.flip(x.detach().numpy(), -1).copy())


class DetachedBorder(Fades):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., :1].detach(), x[..., 1:]], -1)


class DetachedDifferences(Fades):
    """With a part of the other sign, so that ⟨Ax, y⟩ may come out right by chance."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.detach().roll(1, -1)


class WaveAndNumPy(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin() + torch.from_numpy(np.sin(x.detach().numpy()))


class OnHeldTensor(Fades):
    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights.mul_(2).div_(2)


LINEAR_IN_PART = [HalfDetached, PartlyNumPy, DetachedBorder, DetachedDifferences]
REFUSED = [(partial, derivative) for partial in LINEAR_IN_PART for derivative in ("backward", "vjp", "solve")]


@pytest.mark.parametrize(("partial", "derivative"), [*REFUSED, (WaveAndNumPy, "vjp"), (OnHeldTensor, "vjp")])
def test_a_forward_that_leaves_pytorch_in_part_is_refused(partial: type, derivative: str) -> None:
    method = "vjp" if partial is WaveAndNumPy else "adjoint"
    with pytest.raises(BadType, match=rf"{partial.__name__}.forward leaves PyTorch \(in part.*; write {method}\(self"):
        DERIVATIVES[derivative](partial(SHAPE), torch.rand(1, *SHAPE))
    (fault,) = [verdict for verdict in check(partial(SHAPE), strict=False).verdicts if verdict.fault]
    assert fault.law == "autograd"
    assert "leaves PyTorch (in part" in fault.fault


@pytest.mark.parametrize("partial", [HalfDetached, PartlyNumPy, DetachedBorder])
@pytest.mark.parametrize("shape", [(1,), (1, 1, 2), (3, 40, 41), (1, 200, 300)])
def test_it_is_found_at_every_size_and_scale(partial: type, shape: tuple[int, ...]) -> None:
    for scale in (1e-12, 1.0, 1e12):

        class Scaled(partial):
            def forward(self, x: Tensor, scale: float = scale) -> Tensor:
                return scale * super().forward(x)

        assert Scaled(shape)._leaves_torch.startswith("in part")
        assert Scaled(shape).double()._leaves_torch.startswith("in part")


class Once(torch.autograd.Function):
    """2x, which can be differentiated once."""

    @staticmethod
    def forward(ctx, x):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, v):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 2 * v


def _kernel(x: Tensor) -> Tensor:
    return torch.linspace(-1, 2, 27).view(3, 1, 3, 3).to(x)


RIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "large": lambda x: 1e30 * x,
    "small": lambda x: 1e-30 * x,
    "too small for float32": lambda x: 1e-25 * (1e-20 * x),
    "zero": lambda x: 0 * x,
    "nothing but rounding": lambda x: x + x / 3 - 4 * x / 3,
    "rounding of a sum": lambda x: (
        x.cumsum(-1) - x.flip(-1).cumsum(-1).flip(-1) - 2 * x.cumsum(-1) + x.sum(-1, keepdim=True) + x
    ),
    "without its mean": lambda x: x - x.mean((-2, -1), keepdim=True),
    "curvature": lambda x: x.diff(n=4).diff(n=4, dim=-2),
    "sums of sums": lambda x: x.cumsum(-1).cumsum(-2).cumsum(-1).cumsum(-2),
    "convolution": lambda x: F.conv2d(x, _kernel(x), groups=3),
    "Fourier": lambda x: torch.view_as_real(torch.fft.rfft2(x)),
    "single precision inside": lambda x: F.conv2d(x.float(), _kernel(x).float(), groups=3).to(x),
    "bfloat16 inside": lambda x: (x.bfloat16() * 0.3).to(x),
    "interpolation": lambda x: F.interpolate(x, scale_factor=0.37, mode="bilinear"),
    "old style": lambda x: Once.apply(x),  # pyright: ignore[reportReturnType]
    "one pixel": lambda x: x[:, :1, :1, :1],
    "not finite": lambda x: x / 0,
    "affine": lambda x: x + 1,
}


class Given(LinearOperator):
    def __init__(self, in_shape: tuple[int, ...], name: str) -> None:
        super().__init__(in_shape)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return RIGHT[self.name](x)


@pytest.mark.parametrize("shape", [(3, 12, 13), (3, 100, 130)])
@pytest.mark.parametrize("name", RIGHT)
def test_what_autograd_differentiates_is_not_refused(name: str, shape: tuple[int, ...], device: torch.device) -> None:
    for kind in (torch.float32, torch.float64):
        operator = Given(shape, name).to(device, kind)
        assert not operator._leaves_torch
        x = torch.rand(2, *shape, dtype=kind, device=device)
        assert operator.adjoint(operator(x)).shape == x.shape
    if "old" not in name:
        given = Given(shape, name).to(device)
        _ = vmap(given)(torch.rand(2, 1, *shape, device=device))
        assert not given._leaves_torch


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_low_precision_is_not_refused(kind: torch.dtype) -> None:
    assert not Twin().to(kind)._leaves_torch
    assert not Given((3, 30, 40), "sums of sums").to(kind)._leaves_torch


@pytest.mark.parametrize("function", [torch.relu, torch.sin, torch.square, torch.round, torch.abs, torch.exp])
def test_what_is_not_linear_is_told_so(function: Callable[[Tensor], Tensor]) -> None:
    class NotLinear(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return function(3 * x - 1)

    (fault,) = [verdict.law for verdict in check(NotLinear(SHAPE), strict=False).verdicts if verdict.fault]
    assert fault == "linearity"
