"""The interface and its algebra, compared with SciPy and torch."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from scipy.sparse.linalg import lsmr, svds
from torch import Tensor, nn
from torch.func import grad, vmap

from dipops import (
    DifferentiableOperator,
    FeatureMap,
    FiniteDifferences,
    GuidedInput,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Mask,
    Problem,
    check,
    stack,
)
from dipops._tools.fingerprints import description
from dipops.errors import BadType, BadValue, NotLinear
from dipops.testing.strategies import images


class MotionBlur(LinearOperator):
    """A student's operator, as the README writes it."""

    def __init__(self, in_shape: tuple[int, ...], length: int = 7) -> None:
        super().__init__(in_shape)
        self.kernel = torch.full((in_shape[0], 1, 1, length), 1 / length)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, groups=len(self.kernel))


class QuickMotionBlur(MotionBlur):
    """The same with an adjoint by hand, for long solves: autograd's takes more than half of their time."""

    def adjoint(self, y: Tensor) -> Tensor:
        return F.conv_transpose2d(y, self.kernel, groups=len(self.kernel))


class Sine(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin() + 0.1 * x.square()


@pytest.fixture
def blur(device: torch.device) -> MotionBlur:
    return MotionBlur((3, 9, 13)).double().to(device)


def test_the_adjoint_by_hand_obeys_the_laws() -> None:
    assert check(QuickMotionBlur((3, 9, 13))).passed


def test_an_operator_with_a_forward_alone_is_complete(blur: MotionBlur) -> None:
    assert blur.out_shape == (3, 9, 7)
    assert "kernel" in dict(blur.named_buffers())
    assert check(blur).passed


def test_adjoint_is_an_operator_whose_adjoint_is_the_operator(blur: MotionBlur) -> None:
    assert blur.T.T is blur
    assert (blur.T.in_shape, blur.T.out_shape) == (blur.out_shape, blur.in_shape)
    combined = 2 * (blur @ Identity(blur.in_shape).to(blur.kernel))
    assert combined.T.T is combined
    assert blur.T.H is blur
    assert repr(blur.H) == repr(blur.T)


def test_default_adjoint_is_differentiable(blur: MotionBlur) -> None:
    y = torch.rand(1, *blur.out_shape, dtype=torch.float64, device=blur.kernel.device, requires_grad=True)
    assert torch.autograd.gradcheck(blur.adjoint, (y,))


def test_derivatives_can_be_differentiated_again() -> None:
    sine = Sine((1, 2, 3)).double()
    x, u = (torch.rand(1, 1, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(sine.vjp, (x, u))
    assert torch.autograd.gradcheck(sine.jvp, (x, u))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_derivatives_hold_without_gradients(mode: type, blur: MotionBlur) -> None:
    sine = Sine(blur.in_shape).to(blur.kernel)
    with mode():
        x = torch.rand(2, *blur.in_shape).to(blur.kernel)
        y = torch.rand(2, *blur.out_shape).to(blur.kernel)
        back, forward_slope, backward_slope = blur.adjoint(y), sine.jvp(x, x), sine.vjp(x, x)
    derivative = x.cos() + 0.2 * x
    torch.testing.assert_close(forward_slope, derivative * x)
    torch.testing.assert_close(backward_slope, derivative * x)
    torch.testing.assert_close((blur(x.clone()) * y).sum(), (x * back).sum())


def test_derivatives_hold_under_vmap(blur: MotionBlur) -> None:
    sine = Sine(blur.in_shape).to(blur.kernel)
    x, u = (torch.rand(4, 2, *blur.in_shape).to(blur.kernel) for _ in range(2))
    y = torch.rand(4, 2, *blur.out_shape).to(blur.kernel)
    torch.testing.assert_close(vmap(sine.vjp)(x, u), torch.stack([sine.vjp(*pair) for pair in zip(x, u, strict=True)]))
    torch.testing.assert_close(vmap(sine.jvp)(x, u), torch.stack([sine.jvp(*pair) for pair in zip(x, u, strict=True)]))
    torch.testing.assert_close(vmap(blur.adjoint)(y), torch.stack([blur.adjoint(part) for part in y]))


def test_lsmr_solves_with_the_operator() -> None:
    operator = stack(MotionBlur((1, 5, 9)), 0.3 * FiniteDifferences((1, 5, 9))).double()
    assert isinstance(operator, LinearOperator)
    truth = np.random.default_rng(0).random(45)
    solution = lsmr(operator.scipy(), operator.matrix().numpy() @ truth, atol=1e-14, btol=1e-14, maxiter=1000)[0]
    expected = np.linalg.lstsq(operator.matrix().numpy(), operator.matrix().numpy() @ truth, rcond=None)[0]
    np.testing.assert_allclose(operator.matrix().numpy() @ solution, operator.matrix().numpy() @ expected, atol=1e-10)


def test_the_scipy_operator_takes_columns_and_complex_ones_and_is_pickled() -> None:
    operator = MotionBlur((1, 5, 9)).double()
    flat: Any = operator.scipy()
    matrix = operator.matrix().numpy()
    for product in (flat, pickle.loads(pickle.dumps(flat)), deepcopy(flat)):
        np.testing.assert_allclose(product.matmat(np.eye(45)), matrix)
        np.testing.assert_allclose(product.rmatmat(np.eye(15)), matrix.T)
        np.testing.assert_allclose(product.H @ np.eye(15)[:, ::-1], matrix.T[:, ::-1])
        np.testing.assert_allclose(product.matvec(np.arange(45)), matrix @ np.arange(45))
        waves = np.exp(1j * np.arange(45 * 300).reshape(45, 300))
        np.testing.assert_allclose(product @ waves, matrix @ waves, atol=1e-12)
    assert len(operator.scipy() @ np.empty((45, 0))) == 15


@pytest.mark.parametrize("shape", [(1, 16, 18), (3, 24, 16)])
def test_norm_agrees_with_svds(shape: tuple[int, int, int]) -> None:
    for operator in (MotionBlur(shape).double(), LanczosDownsampler(shape, 2).double(), FiniteDifferences(shape).double()):
        start = np.random.default_rng(0).random(min(operator.scipy().shape))
        expected = float(np.ravel(svds(operator.scipy(), k=1, return_singular_vectors=False, v0=start))[0])  # pyright: ignore
        assert operator.norm() <= expected * (1 + 1e-9)
        assert expected <= 1.01 * operator.norm()


@given(images((3, 9, 13)))
def test_algebra_is_pointwise(x: Tensor) -> None:
    a, b = Sine((3, 9, 13)), Mask(torch.arange(117).view(9, 13) % 3 > 0, channels=3)
    torch.testing.assert_close((a @ b)(x), a(b(x)))
    torch.testing.assert_close((a + b)(x), a(x) + b(x))
    torch.testing.assert_close((a - 2 * b)(x), a(x) - 2 * b(x))
    torch.testing.assert_close((-b)(x), -b(x))
    torch.testing.assert_close(stack(a, b)(x), torch.cat([a(x).flatten(1), b(x).flatten(1)], 1))
    torch.testing.assert_close(b.gram(x), b.adjoint(b(x)))


@pytest.mark.parametrize("a", [MotionBlur((3, 9, 13)), Sine((3, 9, 13))], ids=repr)
def test_numbers_multiply_from_either_side_and_divide(a: LinearOrDifferentiableOperator) -> None:
    x, scalar = torch.rand(2, 3, 9, 13), torch.tensor(0.5)
    by_numpy = (a / np.float64(2), np.float64(0.5) * a, np.float32(0.5) * a, a * np.float64(0.5))
    halves = (a / 2, a / 2.0, a / torch.tensor(2.0), *by_numpy, a * 0.5, 0.5 * a, a * scalar, scalar * a, a - 0.5 * a)
    for half in halves:
        torch.testing.assert_close(half(x), 0.5 * a(x))
        assert isinstance(half, LinearOperator) == isinstance(a, LinearOperator)
    assert (-a)(x).equal(-a(x))
    assert repr(a / 2) == repr(0.5 * a)


@pytest.mark.parametrize("a", [MotionBlur((3, 9, 13)), Sine((3, 9, 13))], ids=repr)
def test_python_sums_operators(a: LinearOrDifferentiableOperator) -> None:
    x = torch.rand(2, 3, 9, 13)
    total = sum([a, a, 2 * a])
    assert isinstance(total, LinearOrDifferentiableOperator)
    assert isinstance(total, LinearOperator) == isinstance(a, LinearOperator)
    torch.testing.assert_close(total(x), 4 * a(x))
    assert sum([a]) is a


def test_sums_are_linear_only_where_every_part_is(blur: MotionBlur) -> None:
    identity, sine = Identity((1, 2, 3)), Sine((1, 2, 3))
    assert isinstance(identity @ identity + identity, LinearOperator)
    for operator in (sine @ identity, identity + sine, 2 * sine, stack(identity, sine), identity - sine):
        assert isinstance(operator, DifferentiableOperator)
        assert not hasattr(operator, "T")


@pytest.mark.parametrize("name", ["T", "H", "adjoint", "gram", "norm", "matrix", "scipy"])
def test_a_nonlinear_operator_has_no_adjoint_and_the_error_says_what_to_do(name: str) -> None:
    with pytest.raises(NotLinear, match=r"use vjp\(x, v\) or linearize\(x\).T") as caught:
        getattr(Sine((1, 2, 3)), name)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, AttributeError)


def test_the_jacobian_is_a_linear_operator() -> None:
    sine = Sine((1, 3, 4)).double()
    x = torch.rand(1, 3, 4, dtype=torch.float64)
    jacobian = sine.linearize(x)
    torch.testing.assert_close(jacobian.matrix(), torch.diag((x.cos() + 0.2 * x).flatten()))
    assert Identity((1, 3, 4)).linearize(x).matrix().equal(torch.eye(12))
    with pytest.raises(BadValue, match="a batch of 2 images"):
        sine.linearize(torch.stack([x, x]))


def test_repr_is_algebra() -> None:
    lanczos, mask = LanczosDownsampler((3, 256, 256), 4), Mask(torch.ones(64, 64), channels=3)
    assert repr(mask @ lanczos) == "Mask(3, 64, 64) @ LanczosDownsampler(4)"
    assert repr((mask + 2 * mask).T) == "(Mask(3, 64, 64) + 2 * Mask(3, 64, 64)).T"
    assert repr((mask - mask) @ lanczos) == "(Mask(3, 64, 64) - Mask(3, 64, 64)) @ LanczosDownsampler(4)"
    assert repr(stack(mask, mask.T)) == "stack(Mask(3, 64, 64), Mask(3, 64, 64).T)"
    assert repr(Sine((1, 2, 3)).linearize(torch.zeros(1, 2, 3))) == "Sine(1, 2, 3).linearize(x)"


def test_moving_a_composite_operator_moves_its_parts() -> None:
    blur = MotionBlur((1, 4, 9))
    (2 * blur).double()
    assert blur.kernel.dtype == torch.float64
    assert pickle.loads(pickle.dumps(blur @ Identity((1, 4, 9)).double())).out_shape == (1, 4, 3)


def test_a_stack_splits_its_measurement() -> None:
    both = stack(MotionBlur((1, 4, 9)), Identity((1, 4, 9)))
    x = torch.rand(2, 1, 4, 9)
    first, second = both.split(both(x))
    assert first.shape == (2, 1, 4, 3)
    assert second.equal(x)


def test_guides_pass_through_the_algebra() -> None:
    guided, other = GuidedInput(torch.rand(1, 4, 4)), GuidedInput(torch.rand(1, 4, 4))
    identity = Identity((1, 4, 4))
    assert guided.guide is not None
    for operator in (identity @ guided, 2 * guided, guided + identity, stack(identity, guided)):
        assert operator.guide is not None
        assert operator.guide.equal(guided.guide)
    assert (guided @ identity).guide is None
    with pytest.raises(BadValue, match="different guides"):
        guided + other


class KeepsSome(LinearOperator):
    """A user's own mask, in NumPy or in torch, that counts how often it is applied."""

    def __init__(self, kept: np.ndarray, numpy: bool) -> None:
        super().__init__(kept.shape)
        self.kept, self.numpy, self.calls = kept, numpy, []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return torch.from_numpy(x.numpy() * self.kept) if self.numpy else x * torch.from_numpy(self.kept).to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)


KEPT = np.random.default_rng(0).random((1, 6, 8)) < 0.5
MASK, OTHER = Mask(torch.from_numpy(KEPT), channels=1), Mask(torch.from_numpy(~KEPT), channels=1)
PIXELS, MOVES = Identity((1, 6, 8)), Sine((1, 6, 8))
OWN = KeepsSome(KEPT.astype(np.float32), numpy=False)
LINEAR = [
    *(MASK, MASK @ MASK, PIXELS @ MASK, MASK @ PIXELS, 2 * MASK, MASK.T, MASK.gram, MASK + MASK, MASK - MASK, MASK + OTHER),
    *(MASK @ LanczosDownsampler((1, 12, 16), 2), stack(MASK, PIXELS), FiniteDifferences((1, 6, 8)), PIXELS, 0 * PIXELS),
    *(OWN, 3 * OWN @ MASK, OWN.T, (MASK @ MOVES).linearize(torch.rand(1, 6, 8)), MotionBlur((1, 6, 8)).T),
]


@pytest.mark.parametrize("operator", LINEAR, ids=repr)
def test_known_is_where_a_row_of_the_matrix_is_not_zero(operator: LinearOperator) -> None:
    expected = operator.matrix().any(1).view(operator.out_shape)
    assert (operator.known is None) == bool(expected.all())
    if operator.known is not None:
        assert operator.known.equal(expected)


@pytest.mark.parametrize("numpy", [False, True])
def test_known_follows_copies_and_dtypes_in_few_applications(numpy: bool) -> None:
    operator = KeepsSome(KEPT.astype(np.float32), numpy)
    _ = operator.out_shape
    for copy in (operator, deepcopy(operator), pickle.loads(pickle.dumps(operator)), operator.double()):
        copy.calls.clear()
        known = copy.known
        assert len(copy.calls) == 2
        assert known is not None
        assert known.dtype == torch.bool
        assert known.equal(torch.from_numpy(KEPT))


CHANGES: dict[str, Callable[[Any], object]] = {
    "assigned": lambda mask: setattr(mask, "mask", 1 - mask.mask),
    "in place": lambda mask: mask.mask.mul_(-1).add_(1),
    "its data": lambda mask: setattr(mask.mask, "data", 1 - mask.mask),
    "loaded": lambda mask: mask.load_state_dict({"mask": 1 - mask.mask}, strict=False),
}
AROUND: dict[str, Callable[[Any], Any]] = {
    "A": lambda a: a,
    "nested": lambda a: 2 * a @ a + a.T @ a,
    "of a nonlinear one": lambda a: 2 * a @ MOVES,
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("change", CHANGES)
def test_known_follows_what_the_operator_holds(change: str, around: str) -> None:
    mask = Mask(torch.from_numpy(KEPT), channels=1)
    operator = AROUND[around](mask)
    assert operator.known.equal(torch.from_numpy(KEPT))
    CHANGES[change](mask)
    assert operator.known.equal(torch.from_numpy(~KEPT))


def test_known_is_no_part_of_the_state() -> None:
    mask = Mask(torch.from_numpy(KEPT), channels=1)
    before = description(mask)
    assert mask.known is not None
    assert description(mask) == before


def test_known_is_found_under_a_transform_and_without_gradients() -> None:
    expected = torch.from_numpy(KEPT)

    def masked(mask: Mask, x: Tensor) -> Tensor:
        assert mask.known is not None
        return mask(x) * mask.known

    x = torch.rand(2, 1, 6, 8)
    assert vmap(partial(masked, Mask(expected, channels=1)))(x[None])[0].equal(x * expected)
    fresh = Mask(expected, channels=1)
    assert grad(lambda x: masked(fresh, x).sum())(x).equal(expected.expand_as(x).to(x))
    with torch.inference_mode():
        mask = Mask(expected, channels=1)
        assert mask.known is not None
        assert not mask.known.is_inference()


def test_known_draws_from_no_global_generator() -> None:
    state = torch.get_rng_state()
    assert Mask(torch.from_numpy(KEPT), channels=1).known is not None
    assert torch.equal(state, torch.get_rng_state())


class Declares(Sine):
    """A nonlinear operator whose first row is constant, and which says so."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(x[..., :1, :]), super().forward(x)[..., 1:, :]], -2)

    @property
    def known(self) -> Tensor:
        return (torch.arange(self.in_shape[-2]) > 0)[:, None].expand(self.out_shape)


ROWS = (torch.arange(6) > 0)[None, :, None].expand(1, 6, 8)
MOST, ALL, NONE = torch.from_numpy(KEPT), torch.ones(1, 6, 8, dtype=torch.bool), torch.zeros(1, 6, 8, dtype=torch.bool)
NONLINEAR = [
    *(
        (MOVES, None),
        (MASK @ MOVES, MOST),
        (MOVES @ MASK, None),
        (MASK @ (PIXELS @ MOVES), MOST),
        (PIXELS @ (MASK @ MOVES), MOST),
    ),
    *((3 * (MASK @ MOVES), MOST), (MASK @ MOVES / 2 - MASK, MOST), (MASK @ MOVES + OTHER, None), (MASK @ MOVES + MOVES, None)),
    *((0 * MOVES, NONE), (0 * MOVES + MASK, MOST), (stack(MOVES, MOVES), None)),
    (stack(MASK, MOVES, OTHER @ MOVES), torch.stack([MOST, ALL, ~MOST]).flatten()),
    *((Declares((1, 6, 8)), ROWS), (MASK @ Declares((1, 6, 8)), ROWS & MOST), (Declares((1, 6, 8)) @ MOVES, ROWS)),
]


@pytest.mark.parametrize(
    ("operator", "expected"), NONLINEAR, ids=lambda value: repr(value) if isinstance(value, nn.Module) else ""
)
def test_known_of_a_nonlinear_operator_is_that_of_its_parts(operator: DifferentiableOperator, expected: Tensor | None) -> None:
    assert (operator.known is None) == (expected is None)
    if expected is not None:
        assert operator.known is not None
        assert operator.known.equal(expected)
        check(operator)


def test_hidden_measurements_of_a_nonlinear_operator_do_not_count() -> None:
    problem = Problem(MASK @ MOVES, torch.ones(1, 6, 8))
    assert problem.weights is not None
    assert problem.weights[0].equal(MOST.float())


BAD_CALLS = [
    (lambda a: a(np.zeros((1, 3, 9, 13))), BadType, "x is a ndarray.*torch.as_tensor"),
    (lambda a: a(torch.zeros(1, 3, 9, 13, dtype=torch.uint8)), BadType, r"x.float\(\) / 255"),
    (lambda a: a(torch.zeros(1, 3, 9, 13, dtype=torch.complex64)), BadType, "view_as_real.*real and imaginary"),
    (lambda a: a(torch.zeros(3, 9, 13)), BadValue, r"add a batch dimension: x\[None\]"),
    (lambda a: Identity((1, 9, 13))(torch.zeros(9, 13)), BadValue, r"a batch and a channel dimension: x\[None, None\]"),
    (lambda a: a(torch.zeros(9, 13)), BadValue, "takes no other shape"),
    (lambda a: a(torch.zeros(1, 3, 9, 12)), BadValue, r"\(1, 3, 9, 12\).*\(N, 3, 9, 13\)"),
    (lambda a: a(torch.zeros(1, 3, 9, 13, dtype=torch.float64)), BadValue, "float64 on cpu; expected float32 on cpu"),
    (lambda a: a(torch.zeros(1, 3, 9, 13, device="meta")), BadValue, "float32 on meta"),
    (lambda a: a @ torch.zeros(1, 3, 9, 13), BadType, r"apply an operator with A\(x\)"),
    (lambda a: a @ a, BadValue, "gives .3, 9, 7. and the left takes .3, 9, 13."),
    (lambda a: a + Identity((3, 9, 13)), BadValue, r"use stack\(A, B\)"),
    (lambda a: a + 1, BadType, "wrap it in an operator"),
    (lambda a: 1 + a, BadType, "1 next to \\+; .*wrap it in an operator"),
    (lambda a: np.ones(2) * a, BadType, "a finite real number"),
    (lambda a: np.ones(2) + a, BadType, "next to \\+; .*wrap it in an operator"),
    (lambda a: a * "2", BadType, "a finite real number"),
    (lambda a: a * float("nan"), BadType, "a finite real number"),
    (lambda a: a / 0, BadValue, "/ 0; expected a number other than 0"),
    (lambda a: a / torch.ones(3), BadType, "/ a tensor; expected a finite real number"),
    (lambda a: a / torch.nn.Parameter(torch.ones(())), BadType, "/ a tensor; expected a finite real number"),
    (lambda a: a / a, BadType, "a finite real number; compose operators with A @ B"),
    (lambda a: stack(a, Identity((3, 9, 12))), BadValue, "one in_shape"),
    (lambda a: a + 2 * a.double(), None, ""),
    (lambda a: Identity((3, 9, 7)).double() @ a, BadValue, "float32 on cpu and float64 on cpu"),
    (lambda a: Identity(()), BadValue, "the shape of one image"),
    (lambda a: Identity((3, 0, 4)), BadValue, "the shape of one image"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD_CALLS)
def test_errors_of_bad_calls_say_what_to_do(call, error, words) -> None:
    blur = MotionBlur((3, 9, 13))
    if error is None:
        call(blur)
        return
    with pytest.raises(error, match=words):
        call(blur)


def test_tensors_before_init_or_hidden_by_a_class_attribute_are_refused() -> None:
    class Early(LinearOperator):
        def __init__(self) -> None:
            self.kernel = torch.ones(1)
            super().__init__((1, 2, 2))

    class Hidden(LinearOperator):
        kernel = None

        def __init__(self) -> None:
            super().__init__((1, 2, 2))
            self.kernel = torch.ones(1)

    with pytest.raises(BadType, match=r"Early before super\(\).__init__; .*begin __init__ with super\(\).__init__\(in_shape\)"):
        Early()
    with pytest.raises(BadType, match="would hide it"):
        Hidden()


def test_forward_without_a_batch_or_a_tensor_is_refused() -> None:
    class NoBatch(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum()

    class Listed(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return [x]  # pyright: ignore[reportReturnType]

    class Misspelt(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return self.kernle * x  # pyright: ignore[reportOperatorIssue]

    with pytest.raises(BadType, match="keep the batch dimension"):
        _ = NoBatch((1, 2, 2)).out_shape
    with pytest.raises(BadType, match="gives a list"):
        _ = Listed((1, 2, 2)).out_shape
    with pytest.raises(RuntimeError, match="kernle"):
        _ = Misspelt((1, 2, 2)).out_shape


def test_features_stop_at_their_layer_and_do_not_change_the_network(device: torch.device) -> None:
    class Fails(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("past the layer")

    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), Fails()).eval()
    operator = FeatureMap((3, 6, 7), network, "2").to(device)
    assert operator.out_shape == (4, 4, 5)
    operator.train()
    assert not any(module.training for module in operator.network.modules())
    assert not any(parameter.requires_grad for parameter in operator.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert check(operator).passed


def test_features_refuse_what_they_cannot_use() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    with pytest.raises(BadValue, match="layer 'relu'.*the nearest are"):
        FeatureMap((3, 6, 7), network, "relu")
    with pytest.raises(BadValue, match=r"network.eval\(\)"):
        FeatureMap((3, 6, 7), network.train(), "0")
