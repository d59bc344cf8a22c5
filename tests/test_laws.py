"""Every operator and every random expression obeys every law; the report on a wrong operator says what is wrong."""

import re
from threading import Lock

import numpy as np
import pytest
import scipy.fft
import scipy.sparse
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from dipops import DifferentiableOperator, Identity, LinearOperator, LinearOrDifferentiableOperator, check
from dipops.errors import BadType, BadValue, LawError
from dipops.operators.interface import Jacobian, _Combined
from dipops.testing.examples import EXAMPLES
from dipops.testing.laws import taylor
from dipops.testing.strategies import expressions
from tests.zoo import SHAPE, ZOO, Blur


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.usefixtures("no_global_draws")
def test_every_example_obeys_every_law(name: str, device: torch.device) -> None:
    report = check(EXAMPLES[name]((3, 5, 7), torch.Generator().manual_seed(0)).to(device))
    assert report.passed
    assert len(report.verdicts) >= 8


@pytest.mark.parametrize("count", [2, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EXAMPLES)
def test_random_expressions_obey_every_law(name: str, count: int) -> None:
    """At least as many around each elementary operator, half of them of depth 2 or more."""
    expressions_checked = _checked_expressions(name, count, torch.device("cpu"))
    assert len(expressions_checked) >= count
    assert sum(_depth(expression) >= 2 for expression in expressions_checked) >= len(expressions_checked) / 2


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*EXAMPLES][::4])
def test_random_expressions_obey_every_law_on_a_gpu(name: str, count: int) -> None:
    assert len(_checked_expressions(name, count, torch.device("cuda"))) >= count


class Slanted(LinearOperator):
    """A blur whose kernel is its own mirror image along no axis."""

    def __init__(self, in_shape) -> None:
        super().__init__(in_shape)
        self.kernel = torch.tensor([[0.5, 0.2, 0.1], [0.3, 0.0, 0.0], [0.1, 0.05, 0.0]]).expand(3, 1, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.kernel, groups=3, padding=1)


class FlippedDown(Slanted):
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return F.conv2d(y, self.kernel.flip(2), groups=3, padding=1)


def test_a_kernel_flipped_along_one_axis_only_is_diagnosed() -> None:
    with pytest.raises(LawError, match="mirrored along axis 2: flip the kernel there"):
        check(FlippedDown((3, 9, 13)))


def test_the_adjoint_of_an_affine_operator_is_not_tried() -> None:
    class Lifted(Slanted):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + 0.1

    report = check(Lifted((3, 9, 13)), strict=False)
    assert report.verdicts[-1].law == "linearity"
    assert "it is affine" in report.verdicts[-1].fault
    assert "the other 6 say nothing until it holds" in str(report)


@pytest.mark.parametrize("wrong", ZOO, ids=lambda wrong: wrong.__name__)
def test_the_report_names_the_fault_of_every_wrong_operator(wrong: type, device: torch.device) -> None:
    law, words = ZOO[wrong]
    report = check(wrong(SHAPE).to(device), strict=False)
    faults = {verdict.law: verdict.fault for verdict in report.verdicts if verdict.fault}
    assert words in faults[law]


DTYPES = [wrong for wrong, (law, _) in ZOO.items() if law == "dtype"]


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("wrong", DTYPES, ids=lambda wrong: wrong.__name__)
def test_a_wrong_dtype_is_told_by_dtype_first_and_alone(wrong: type, double: bool, device: torch.device) -> None:
    operator = wrong(SHAPE).to(device)
    report = check(operator.double() if double else operator, strict=False)
    assert [verdict.law for verdict in report.verdicts if verdict.fault] == ["dtype"]


class Closed(Blur):
    """Hides a kernel in a function, where ``.to()`` does not find it."""

    def __init__(self, in_shape, method: str, kernel: torch.Tensor) -> None:
        super().__init__(in_shape)
        self.method, self.times_kernel = method, lambda x: x * kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.times_kernel(x) if self.method == "forward" else super().forward(x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.times_kernel(y) if self.method == "adjoint" else super().adjoint(y)

    def jvp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.times_kernel(u) if self.method == "jvp" else super().jvp(x, u)


@pytest.mark.cuda
@pytest.mark.parametrize("method", ["forward", "adjoint", "jvp"])
def test_a_hidden_tensor_is_told_by_movable_wherever_it_is_used(method: str) -> None:
    report = check(Closed(SHAPE, method, torch.ones(1, 1, SHAPE[-1])).cuda(), strict=False)
    (verdict,) = report.verdicts
    assert verdict.law == "movable"
    assert f"on cuda:0 {method} raises" in verdict.fault


@pytest.mark.cuda
def test_a_result_on_another_device_is_told_by_movable() -> None:
    class StaysOnTheCpu(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(2 * x.detach().cpu().numpy())

        def adjoint(self, y: torch.Tensor) -> torch.Tensor:
            return 2 * y

    report = check(StaysOnTheCpu(SHAPE).cuda(), strict=False)
    assert "on cuda:0 forward gives a tensor on cpu" in report.verdicts[-1].fault


def test_a_tensor_on_a_device_that_fits_nowhere_is_told_by_movable() -> None:
    class Elsewhere(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, torch.ones(x.shape, device="meta")])[: len(x)]

    report = check(Elsewhere(SHAPE), strict=False)
    assert [verdict.law for verdict in report.verdicts if verdict.fault] == ["movable"]
    assert "device meta" in report.verdicts[-1].fault


def test_the_base_of_the_wrong_operators_is_right() -> None:
    assert check(Blur(SHAPE)).passed


def test_a_broken_law_raises_with_the_report() -> None:
    wrong = next(iter(ZOO))
    with pytest.raises(LawError, match="breaks .*adjoint.*scaled by 4") as raised:
        check(wrong(SHAPE))
    assert "✗ adjoint" in str(raised.value.report)


def test_check_does_not_change_the_operator() -> None:
    operator = Blur(SHAPE)
    check(operator)
    assert operator.kernel.dtype == torch.float32


def test_check_is_quick_on_an_image_too_large_for_a_matrix() -> None:
    report = check(Blur((3, 64, 64)))
    notes = {verdict.law: verdict.note for verdict in report.verdicts}
    assert "64 random columns" in notes["dense"]
    assert "large for an SVD" in notes["norm"]


def test_large_images_show_a_wrong_adjoint_too() -> None:
    wrong = next(iter(ZOO))
    faults = [verdict.law for verdict in check(wrong((3, 64, 64)), strict=False).verdicts if verdict.fault]
    assert {"adjoint", "dense", "gradient"} <= set(faults)


class Geometry:
    """A plain object without an equality of its own."""

    def __init__(self) -> None:
        self.angles = np.linspace(0, 1, 5)


class Holds(LinearOperator):
    """Right, although it stores an array and an object."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.weights, self.geometry = np.ones(3), Geometry()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float(self.weights.sum())


class HoldsMuch(LinearOperator):
    """Right, although it stores what has no equality, is not copied, or draws."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.sparse = scipy.sparse.csr_array(2 * np.eye(int(np.prod(in_shape)), dtype=np.float32))
        self.lists = [np.array([1.0, np.nan]), {"angles": np.arange(3)}]
        self.generator, self.random = torch.Generator(), np.random.default_rng(0)
        self.lock, self.library, self.function = Lock(), np, lambda x: x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.generator.manual_seed(0)
        torch.rand(3, generator=self.generator)
        return torch.from_numpy(self.sparse.astype(x.numpy().dtype) @ x.flatten(1).numpy().T).T.view(x.shape)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.forward(y)


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 3 * x

    @staticmethod
    def backward(ctx, v):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 3 * v


class Wraps(LinearOperator):
    """Right, although it wraps an autograd.Function of the old style."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return OldStyle.apply(x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return 3 * y


class Kinks(DifferentiableOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (1.5 * x).clamp(0, 1)


class Roots(DifferentiableOperator):
    """Defined for values from 0 only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 0.01).sqrt()


@pytest.mark.parametrize(
    "operator", [Holds((3, 4, 5)), HoldsMuch((3, 4, 5)), Wraps((3, 4, 5)), Kinks((3, 200, 200)), Roots((3, 4, 5))], ids=repr
)
def test_unusual_operators_that_are_right_pass(operator: LinearOrDifferentiableOperator) -> None:
    assert check(operator).passed


def test_complex_buffers_are_refused() -> None:
    class Fourier(LinearOperator):
        def __init__(self) -> None:
            super().__init__((1, 4, 4))
            self.otf = torch.fft.fft2(torch.ones(4, 4))

    with pytest.raises(BadType, match="view_as_real"):
        Fourier()


def test_an_error_in_forward_is_raised_unchanged() -> None:
    class Broken(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        check(Broken((3, 4, 5)))


def test_check_wants_an_operator() -> None:
    with pytest.raises(BadType, match="inherit from LinearOperator"):
        check(torch.nn.Identity())  # pyright: ignore[reportArgumentType]


def test_the_report_is_a_table() -> None:
    lines = str(check(Identity((1, 3, 4)))).splitlines()
    assert lines[0] == "Identity(1, 3, 4)"
    assert all(re.match(r"  ✓ \w+", line) for line in lines[1:-1])
    assert lines[-1] == "  all 15 laws hold"


def _checked_expressions(name: str, count: int, device: torch.device) -> list[LinearOrDifferentiableOperator]:
    """Random expressions around one elementary operator, at least half of them deep, each checked."""
    drawn = []

    def prove(expression: LinearOrDifferentiableOperator) -> None:
        drawn.append(expression.to(device))
        check(expression)

    deep = expressions(depth=3, name=name).filter(lambda expression: _depth(expression) >= 2)
    for strategy, examples in ((expressions(name=name), count // 2), (deep, count - count // 2)):
        if examples:
            settings(max_examples=examples)(given(strategy)(prove))()
    return drawn


def _depth(operator: LinearOrDifferentiableOperator) -> int:
    """The number of algebraic steps between an expression and its deepest leaf."""
    if not isinstance(operator, _Combined | Jacobian):
        return 0
    parts = [part for part in operator.modules() if isinstance(part, LinearOrDifferentiableOperator) and part is not operator]
    return 1 + max(map(_depth, parts))


class Doubled(torch.autograd.Function):
    """3x, whose backward gives 6v."""

    @staticmethod
    def forward(x):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 3 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, v):  # pyright: ignore[reportIncompatibleMethodOverride]
        return 6 * v


class WrongBackward(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Doubled.apply(x)


class RightAdjoint(WrongBackward):
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return 3 * y


class RightDerivatives(DifferentiableOperator):
    """WrongBackward with derivatives of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Doubled.apply(x)

    def vjp(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return 3 * v

    def jvp(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return 3 * u


class HalfDetached(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.detach().flip(-1)


class BarelyDetached(LinearOperator):
    """A detached part so small that it passes for rounding until it is tried in double precision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1e-4 * x.detach().flip(-1)


class FromNumPy(LinearOperator):
    """Correlates with a kernel as NumPy makes it."""

    def __init__(self, in_shape: tuple[int, ...]) -> None:
        super().__init__(in_shape)
        self.kernel = torch.from_numpy(np.ones((in_shape[0], 1, 3, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.kernel, padding=1, groups=len(self.kernel))


class NumPyConstant(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, torch.from_numpy(np.ones((3, 1, 3, 3))), padding=1, groups=3)


class NumPyFactor(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(np.ones(x.shape[1:]))


class MovedTwice(Blur):
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.right(y).roll((1, -1), (-2, -1))


class NoAdjoint(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.flip(x.numpy(), -1).copy())


class Unrepeatable(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rand_like(x) + 1


class NoRepr(Blur):
    def __repr__(self) -> str:
        return self.title  # pyright: ignore[reportReturnType]


class WronglyKnown(Blur):
    @property
    def known(self) -> torch.Tensor:
        return torch.arange(self.in_shape[-1]).expand(self.out_shape) > 0


ONE_FAULT = {
    NumPyConstant: ("movable", r"in float32 forward raises .*\.float\(\)"),
    FromNumPy: ("movable", r"kernel is float64 and images are float32: .*\.float\(\)"),
    NumPyFactor: ("dtype", r"torch.float64 out of forward: .*\.float\(\)"),
    NoAdjoint: ("autograd", r"leaves PyTorch .*write it in torch operations, or write adjoint"),
    Unrepeatable: ("purity", "remembers or is random"),
    NoRepr: ("repr", "repr.A. raises AttributeError.*title"),
    WronglyKnown: ("known", r"known is False at \(0, 0, 0\), where the output depends on the image"),
    RightAdjoint: ("gradient", "autograd does not give the derivative of forward.*scaled by 2"),
    RightDerivatives: ("gradient", "autograd does not give the derivative of forward.*scaled by 2"),
}


@pytest.mark.parametrize("wrong", ONE_FAULT, ids=lambda wrong: wrong.__name__)
def test_each_of_these_mistakes_gets_one_right_line(wrong: type) -> None:
    report = check(wrong((3, 5, 7)), strict=False)
    ((law, fault),) = [(verdict.law, verdict.fault) for verdict in report.verdicts if verdict.fault]
    assert law == ONE_FAULT[wrong][0]
    assert re.search(ONE_FAULT[wrong][1], fault)


@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 64, 64)])
def test_a_wrong_backward_and_a_cut_graph_are_found_by_the_dense_matrix(shape: tuple[int, int, int]) -> None:
    for wrong in (WrongBackward, HalfDetached):
        with pytest.raises(
            LawError, match="breaks autograd: forward leaves PyTorch .in part: autograd gives another transpose"
        ):
            check(wrong(shape))
    with pytest.raises(LawError, match=r"autograd does not give the transpose|the adjoint is wrong: .* instead of"):
        check(BarelyDetached(shape))


IN_PLACE = {
    "on x": (lambda x, held: x.mul_(held), "forward changes its input"),
    "on a part of x": (lambda x, held: x[..., 0].zero_() + 0 * x.sum(-1), "forward changes its input"),
    "on what it holds": (lambda x, held: x * held.add_(1), "forward gives another output for the same input"),
    "copied into what it holds": (lambda x, held: held.copy_(x), "applying it changes held"),
    "written by index": (lambda x, held: held.__setitem__(slice(None), x) or 2 * held, "applying it changes held"),
    "out=": (lambda x, held: torch.mul(x, 3, out=held), "applying it changes held"),
    "there and back": (lambda x, held: x * held.mul_(2).div_(2), "forward leaves PyTorch .in part: it works in place"),
}


@pytest.mark.parametrize("linear", [LinearOperator, DifferentiableOperator])
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_forward_in_place_gets_one_line(name: str, linear: type) -> None:
    function, words = IN_PLACE[name]

    class InPlace(linear):
        def __init__(self) -> None:
            super().__init__((1, 4, 5))
            self.held = torch.full((1, 1, 4, 5), 2.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x, self.held)

    report = check(InPlace(), strict=False)
    (fault,) = [verdict.fault for verdict in report.verdicts if verdict.fault]
    assert re.match(words, fault)


@pytest.mark.filterwarnings("error")
def test_check_does_not_warn_of_parameters() -> None:
    class Gain(LinearOperator):
        def __init__(self) -> None:
            super().__init__((1, 4, 5))
            self.gain = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * x

    operator = Gain()
    assert check(operator).passed
    assert operator.gain.requires_grad


def test_a_shift_on_two_axes_is_named() -> None:
    words = r"one pixel off along axis 1 \(moved by 1\) and axis 2 \(moved by -1\)"
    with pytest.raises(LawError, match=words):
        check(MovedTwice((3, 9, 11)))


def test_a_complex_forward_is_told_view_as_real() -> None:
    class Spectrum(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft2(x)

    with pytest.raises(BadType, match="view_as_real"):
        check(Spectrum((1, 4, 6)))


def test_a_missing_init_is_named() -> None:
    class Headless(LinearOperator):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

    for call in (check, lambda operator: operator(torch.zeros(1, 1, 4, 4))):
        with pytest.raises(BadType, match=r"begin __init__ with super\(\).__init__\(in_shape\)"):
            call(Headless())


@pytest.mark.parametrize("name", ["norm", "matrix", "T", "gram", "adjoint", "out_shape", "known", "scipy", "type"])
@pytest.mark.parametrize("base", [LinearOperator, DifferentiableOperator])
@pytest.mark.parametrize("value", ["ortho", torch.ones(3), 2])
def test_an_attribute_that_would_hide_a_method_is_refused(base: type, name: str, value: object) -> None:
    operator = base((1, 4, 4))
    with pytest.raises(BadType, match=f"would hide the operator's {name}.*write self.my_{name}"):
        setattr(operator, name, value)


class InSingle(Blur):
    """Computes in float32 inside."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x.float(), self.kernel.float(), padding=1, groups=3).to(x)


class WrongInSingle(InSingle):
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return 1.001 * self.right(y)


def test_single_precision_is_enough_where_it_is_asked_for() -> None:
    with pytest.raises(LawError, match='float32 inside.*precision="single"'):
        check(InSingle())
    for operator in (InSingle(), *(make((3, 5, 7), torch.Generator().manual_seed(0)) for make in EXAMPLES.values())):
        assert check(operator, precision="single").passed
    with pytest.raises(LawError, match="adjoint"):
        check(WrongInSingle(), precision="single")
    with pytest.raises(BadValue, match="double"):
        check(InSingle(), precision="half")  # pyright: ignore[reportArgumentType]


class Rounding(DifferentiableOperator):
    """Rounds to multiples of a step, with derivative 0, or 1 for a straight-through estimator."""

    def __init__(self, in_shape: tuple[int, ...], step: float, through: bool) -> None:
        super().__init__(in_shape)
        self.step, self.through = step, through

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rounded = (x / self.step).round() * self.step
        return x + (rounded - x).detach() if self.through else rounded


class Kinked(DifferentiableOperator):
    def __init__(self, in_shape: tuple[int, ...], function) -> None:
        super().__init__(in_shape)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class OnePixelDetached(DifferentiableOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.sin()
        y[..., 0, 0] = x[..., 0, 0].detach().sin()
        return y


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("step", [1 / 255, 1 / 50, 1 / 10, 1])
def test_rounding_and_straight_through_estimators_are_rejected(step: float, through: bool, precision) -> None:
    for shape in ((1, 4, 5), (3, 9, 13)):
        report = check(Rounding(shape, step, through), strict=False, precision=precision)
        assert [verdict.law for verdict in report.verdicts if verdict.fault] == ["taylor"]


class StraightThroughJPEG(DifferentiableOperator):
    """Blocks of 8 x 8 by the cosine transform, divided by the standard's table of luminance and rounded."""

    TABLE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
        18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""

    def __init__(self, in_shape: tuple[int, ...], quality: int, through: bool) -> None:
        super().__init__(in_shape)
        self.transform = torch.from_numpy(scipy.fft.dct(np.eye(8), axis=0, norm="ortho")).float()
        table = torch.tensor([float(step) for step in self.TABLE.split()]).view(8, 8)
        scale = 50 / quality if quality < 50 else 2 - quality / 50
        self.steps, self.through = (scale * table).round().clamp(min=1) / 255, through

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blocks = x.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
        coefficients = self.transform @ blocks @ self.transform.T / self.steps
        rounded = coefficients.round()
        if self.through:
            rounded = coefficients + (rounded - coefficients).detach()
        blocks = self.transform.T @ (rounded * self.steps) @ self.transform
        return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)


@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg_with_a_straight_through_gradient_is_rejected(quality: int, through: bool, precision) -> None:
    report = check(StraightThroughJPEG((1, 16, 8), quality, through), strict=False, precision=precision)
    assert [verdict.law for verdict in report.verdicts if verdict.fault] == ["taylor"]


KINKS = {
    "relu": lambda x: (x - 0.5).relu(),
    "abs": torch.abs,
    "clip": lambda x: x.clamp(0.4, 0.6),
    "max-pool": lambda x: F.max_pool2d(x, 2),
    "median": lambda x: x.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2).median(-1).values,
    "sort": lambda x: x.flatten(1).sort(1).values,
    "modulus": lambda x: torch.view_as_real(torch.fft.fft2(x)).norm(dim=-1),
    "steep": lambda x: torch.sigmoid(2000 * (x - 0.5)),
    "constant": lambda x: x.new_full(x.shape, 0.3),
}


@pytest.mark.parametrize("kink", KINKS)
def test_the_taylor_law_accepts_kinks(kink: str) -> None:
    for shape in ((1, 4, 5), (3, 9, 13)):
        operator = Kinked(shape, KINKS[kink]).double()
        for seed in range(5):
            assert not taylor(operator, torch.Generator().manual_seed(seed)).fault


def test_a_detached_pixel_is_found() -> None:
    for shape in ((1, 4, 5), (3, 9, 13)):
        with pytest.raises(LawError, match="taylor: .*detach"):
            check(OnePixelDetached(shape))
