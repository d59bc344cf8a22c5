"""Products of float32 are computed in float32 within every call, whatever the caller has set, and that is put back."""

import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dipops import Descent, Problem, Tikhonov, estimate, prox, recipes, solve
from dipops._tools.precision import float32_of_steps, full_float32
from dipops.operators import ColourMatrix
from tests.test_defaults import ACTIONS, BLUR, COLOURS, PROBLEM, TINY, X

PRODUCTS = ("convolution", "convolution_backward", "mm", "addmm", "bmm", "mv")
CALLER = "data_term", "mixed precision"  # the first is part of a step
REPEATED = "input ", "generator, ", "pixels, ", "Langevin, "  # the same calls with other arguments
NEW = hasattr(torch.backends, "fp32_precision")
SWITCHES: dict[str, Callable[[], Any]] = {
    "matmul": torch.get_float32_matmul_precision,
    "cublas": lambda: torch.backends.cuda.matmul.allow_tf32,
    "cudnn": lambda: torch.backends.cudnn.allow_tf32,
}
NEW_SWITCHES: dict[str, Callable[[], Any]] = {
    "new": lambda: torch.backends.fp32_precision,
    "new cuda.matmul": lambda: torch.backends.cuda.matmul.fp32_precision,
    "new cudnn": lambda: torch.backends.cudnn.fp32_precision,
    "new cudnn.conv": lambda: torch.backends.cudnn.conv.fp32_precision,
    "new cudnn.rnn": lambda: torch.backends.cudnn.rnn.fp32_precision,
    "new mkldnn": lambda: torch.backends.mkldnn.fp32_precision,
    "new mkldnn.matmul": lambda: torch.backends.mkldnn.matmul.fp32_precision,
    "new mkldnn.conv": lambda: torch.backends.mkldnn.conv.fp32_precision,
    "new mkldnn.rnn": lambda: torch.backends.mkldnn.rnn.fp32_precision,
}
FAST = ("tf32", "bf16", "high", "medium", True)


def switches() -> dict[str, Any]:
    """What PyTorch gives for each switch; it refuses to read one that contradicts others."""
    return {name: _read(switch) for name, switch in (SWITCHES | (NEW_SWITCHES if NEW else {})).items()}


def _read(switch: Callable[[], Any]) -> Any:
    try:
        return switch()
    except RuntimeError:
        return "refused"


def are_full() -> bool:
    return not any(value in FAST or value == "refused" for value in switches().values())


def _set(setting: str) -> None:
    *places, value = setting.split()
    where: Any = torch.backends
    for name in places[0].split("."):
        where = getattr(where, name)
    setattr(where, places[1], value == "True" if places[1] == "allow_tf32" else value)


SETTINGS: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "cublas": lambda: _set("cuda.matmul allow_tf32 True"),
    "no cudnn": lambda: _set("cudnn allow_tf32 False"),
}
NEW_SETTINGS: dict[str, Callable[[], None]] = {
    "new": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "new, none": lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    "new cuda.matmul": lambda: _set("cuda.matmul fp32_precision tf32"),
    "new cudnn": lambda: _set("cudnn fp32_precision ieee"),
    "new cudnn.conv": lambda: _set("cudnn.conv fp32_precision ieee"),
    "new mkldnn.matmul": lambda: _set("mkldnn.matmul fp32_precision bf16"),
    "new mkldnn.conv": lambda: _set("mkldnn.conv fp32_precision tf32"),
    "both": lambda: (torch.set_float32_matmul_precision("high"), _set("cuda.matmul fp32_precision ieee"))[1],
}


@pytest.fixture(autouse=True)
def _as_pytorch_begins() -> Iterator[None]:
    """Afterwards all switches are as PyTorch begins."""
    with warnings.catch_warnings(action="ignore"):  # of PyTorch 2.9, about the old switches
        yield
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True
        for backend in ("cuda", "mkldnn") if NEW else ():
            for operation in ("all", "matmul", *(("conv", "rnn") if backend == "mkldnn" else ())):
                torch._C._set_fp32_precision_setter(backend, operation, "none")
        if NEW:
            torch.backends.fp32_precision = "none"


@pytest.fixture(params=[*SETTINGS, *(NEW_SETTINGS if NEW else ())])
def setting(request: pytest.FixtureRequest) -> None:
    """Something that a user may set."""
    (SETTINGS | NEW_SETTINGS)[request.param]()


class Watched(TorchDispatchMode):
    """Notes of each product of float32 whether the switches are full."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        single = any(isinstance(value, Tensor) and value.dtype is torch.float32 for value in args)
        if single and func._schema.name.split("::")[1] in PRODUCTS:
            self.seen.append(are_full())
        return out


CALLS = {
    **{name: action for name, action in ACTIONS.items() if name not in CALLER and not name.startswith(REPEATED)},
    "prox with products": lambda: prox(Tikhonov(0.1, BLUR), X[None], gap=1e-2),
    "projecting recipe": lambda: recipes.restore().solve(Problem.simulate(BLUR, X, 0), steps=1, progress=False),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_computes_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dipops.methods.descent.fastest_precision", lambda y: "full")  # mixed steps follow the caller
    torch.set_float32_matmul_precision("high")
    before = switches()
    with Watched() as watched:
        CALLS[name]()
    assert switches() == before
    assert all(watched.seen)


def test_products_are_watched() -> None:
    for name in ("ConjugateGradient", "project", "norm", "simulate", "estimate", "tune", "Hourglass", "prox with products"):
        with Watched() as watched:
            CALLS[name]()
        assert watched.seen, name


def test_scipy_is_given_products_in_float32() -> None:
    operator = ColourMatrix(COLOURS.shape, np.eye(3)).scipy()
    with Watched() as watched:
        operator.matvec(np.ones(COLOURS.numel(), np.float32))
        operator.rmatvec(np.ones(COLOURS.numel(), np.float32))
    assert len(watched.seen) == 2
    assert all(watched.seen)


def looking(seen: list[bool]) -> Any:
    """A blur that notes in each call whether the switches are full."""

    class Looks(type(BLUR)):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(are_full())
            return super().forward(x)

    return Looks


def test_what_an_operator_finds_out_about_itself_is_found_in_float32() -> None:
    seen: list[bool] = []
    operator = looking(seen)((1, 16, 16))
    _ = operator.out_shape, operator.known
    assert seen
    assert all(seen)
    assert not are_full()


@pytest.mark.usefixtures("setting")
def test_what_was_set_is_put_back() -> None:
    before = switches()
    with full_float32():
        assert are_full()
        with full_float32():
            assert are_full()
        assert are_full()
    assert switches() == before
    with pytest.raises(KeyError), full_float32():
        raise KeyError
    assert switches() == before


@pytest.mark.usefixtures("setting")
def test_the_steps_of_mixed_precision_have_what_the_caller_has_set() -> None:
    before = switches()
    with full_float32():
        for precision in ("mixed", "mixed, captured"):
            with float32_of_steps(precision):
                assert switches() == before
                with full_float32():
                    assert are_full()
                assert switches() == before
            assert are_full()
        with float32_of_steps("full, captured"):
            assert are_full()
    assert switches() == before


@pytest.mark.skipif(not NEW, reason="PyTorch 2.9 brought the new switches")
def test_a_switch_that_follows_another_still_does() -> None:
    solve(PROBLEM, TINY, Descent(precision="full"), steps=1, progress=False)
    torch.backends.fp32_precision = "tf32"
    assert torch.backends.mkldnn.conv.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "tf32"
    torch.backends.fp32_precision = "ieee"
    assert torch.backends.mkldnn.conv.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_a_solve_in_mixed_precision_leaves_the_setting_of_the_caller() -> None:
    seen: list[bool] = []
    problem = Problem(looking(seen)((1, 16, 16), 3), PROBLEM.y, PROBLEM.noise)
    for precision in ("mixed", "full"):
        seen.clear()
        solve(problem, TINY, Descent(precision=precision), steps=3, callbacks=(), progress=False)
        assert sum(seen) == len(seen) - (3 if precision == "mixed" else 0)
    seen.clear()
    estimate(problem, TINY, Descent(precision="mixed"))
    of_start, *of_steps = seen
    assert of_start, "the prior looks how large y is"
    assert of_steps
    assert not any(of_steps)


def test_threads_share_the_switches() -> None:
    """The last one puts back what the first one found."""
    before, inside, leave = switches(), threading.Barrier(3), [threading.Event() for _ in range(2)]
    left = [threading.Event() for _ in range(2)]

    def hold(number: int) -> None:
        with full_float32():
            inside.wait()
            leave[number].wait()
        left[number].set()

    holders = [threading.Thread(target=hold, args=(number,)) for number in range(2)]
    for holder in holders:
        holder.start()
    inside.wait()
    with full_float32(), float32_of_steps("mixed"):
        assert are_full()
    for number, full in enumerate((True, False)):
        leave[number].set()
        left[number].wait()
        assert are_full() == full
    assert switches() == before


def test_nothing_is_warned_of() -> None:
    with warnings.catch_warnings(action="error"), full_float32():
        pass
