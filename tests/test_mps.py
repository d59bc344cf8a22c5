"""A device without float64, as Apple's MPS: a stub of it, since there is none here."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dipops import Identity, Problem, check
from dipops._tools import precision
from dipops.cli.options import torch_device
from dipops.errors import BadValue
from dipops.operators import ColourMatrix
from dipops.operators.blur import _product, _Spectral
from dipops.stopping import WindowedVariance
from dipops.testing.examples import EXAMPLES

MPS = torch.device("meta")


class WithoutFloat64(TorchDispatchMode):
    """Within it, the meta device refuses float64, as MPS does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.device == MPS and tensor.dtype is torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return out


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MPS is the meta device, which has shapes and dtypes and no numbers."""
    monkeypatch.setattr(precision, "has_float64", lambda device: device.type != "meta")
    with WithoutFloat64():
        yield


@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("name", EXAMPLES)
def test_no_operator_makes_float64_there(name: str) -> None:
    operator = EXAMPLES[name]((3, 9, 11), torch.Generator().manual_seed(0)).float()
    if any(word in name for word in ("Sparse", "Radon", "Warp", "SciPy")):
        pytest.skip("a sparse matrix, which the meta device does not multiply")
    x, y = torch.zeros(1, *operator.in_shape, device=MPS), torch.zeros(1, *operator.out_shape, device=MPS)
    moved = operator.to(MPS)
    try:
        out = moved.forward(x)
    except NotImplementedError:
        pytest.skip("meta tensors have no numbers")
    assert out.dtype is torch.float32
    assert out.device == MPS
    assert moved.vjp(x, y).dtype is torch.float32


@pytest.mark.usefixtures("stub")
def test_what_is_made_of_tensors_there_is_made_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="float64"):
        torch.zeros(2, device=MPS).double()
    rule = WindowedVariance(window=2)
    y = torch.zeros(1, 1, 4, 4, device=MPS)
    monkeypatch.setattr("dipops.stopping.variance.has_float64", precision.has_float64)
    problem = Problem(Identity((1, 4, 4)), torch.zeros(1, 1, 4, 4))
    object.__setattr__(problem, "y", y)
    rule.start(problem)
    rule.update(1, y, y)
    assert rule._sum.dtype is torch.float32
    moved: list[Tensor] = []
    monkeypatch.setattr(Tensor, "cpu", lambda self: (moved.append(self), torch.eye(*self.shape))[1])
    assert ColourMatrix((3, 4, 4), torch.ones(2, 3)).to(MPS).norm() > 0
    assert _Spectral(torch.zeros(4, 4, device=MPS), (4, 4), (0, 0), 1).spectrum.dtype is torch.float32
    assert _product(torch.zeros(3, 3, device=MPS), (4, 4), 1)
    assert len(moved) == 3


def test_check_runs_on_the_cpu_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dipops.testing.laws.has_float64", lambda device: False)
    report = check(Identity((1, 3, 4)))
    assert report.passed
    assert "tried on the CPU but for movable, since cpu has no float64" in str(report).splitlines()[-1]
    monkeypatch.undo()
    assert "tried on" not in str(check(Identity((1, 3, 4))))


def test_a_problem_in_float64_is_refused_in_one_line() -> None:
    problem = Problem(Identity((1, 3, 4)).double(), torch.zeros(1, 1, 3, 4, dtype=torch.float64))
    for target in ("mps", torch.device("mps", 0)):
        with pytest.raises(BadValue, match=r"float64 to mps.*; write problem.to\(torch.float32\) first"):
            problem.to(target)
    assert problem.to(torch.float32).y.dtype is torch.float32


def test_the_command_line_takes_mps_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadValue, match="--device mps; expected a Mac with a GPU.*; use --device auto or cpu"):
        torch_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("mps").type == "mps"
    assert torch_device("auto").type == "cpu"
