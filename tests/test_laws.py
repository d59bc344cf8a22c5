"""Every operator and every random expression obeys every law; the report on a wrong operator says what is wrong."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from dipops import DifferentiableOperator, Identity, LinearOperator, LinearOrDifferentiableOperator, check
from dipops.errors import BadType, LawError
from dipops.testing.examples import EXAMPLES
from dipops.testing.strategies import expressions
from tests.zoo import SHAPE, ZOO, Blur

PER_EXAMPLE = 30


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_obeys_every_law(name: str, device: torch.device) -> None:
    report = check(EXAMPLES[name]((3, 5, 7), torch.Generator().manual_seed(0)).to(device))
    assert report.passed
    assert len(report.verdicts) >= 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_random_expressions_obey_every_law(name: str, device: torch.device) -> None:
    """At least 20 around each elementary operator and 300 in all, half of them of depth 2 or more."""
    expressions_checked = _checked_expressions(name, device)
    assert len(expressions_checked) >= max(20, 300 / len(EXAMPLES))
    assert sum(_depth(expression) >= 2 for expression in expressions_checked) >= len(expressions_checked) / 2


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


@pytest.mark.parametrize("operator", [Holds((3, 4, 5)), Wraps((3, 4, 5)), Kinks((3, 200, 200)), Roots((3, 4, 5))], ids=repr)
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


def _checked_expressions(name: str, device: torch.device) -> list[LinearOrDifferentiableOperator]:
    """Random expressions around one elementary operator, at least half of them deep, each checked."""
    drawn = []

    def prove(expression: LinearOrDifferentiableOperator) -> None:
        drawn.append(expression.to(device))
        check(expression)

    deep = expressions(depth=3, name=name).filter(lambda expression: _depth(expression) >= 2)
    for strategy in (expressions(name=name), deep):
        settings(max_examples=PER_EXAMPLE // 2)(given(strategy)(prove))()
    return drawn


def _depth(operator: LinearOrDifferentiableOperator) -> int:
    """The number of algebraic steps between an expression and its deepest leaf."""
    parts = [part for part in operator.modules() if isinstance(part, LinearOrDifferentiableOperator) and part is not operator]
    return 1 + max(map(_depth, parts)) if parts else 0
