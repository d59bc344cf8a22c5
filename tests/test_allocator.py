"""Memory that is freed within a solve is taken again."""

import ctypes
import sys
import threading
from pathlib import Path

import pytest
import torch

from dipops import DeepImagePrior, Descent, Hourglass, Identity, Problem, TotalVariation, solve
from dipops._tools.allocator import SWITCH, reused_memory
from dipops.priors.interface import PixelPrior

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="only for the C library of GNU/Linux"
)
BYTES = 48 * 2**20  # beyond what that library keeps by itself
PAGES = BYTES // resource.getpagesize()


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def take_and_free() -> int:
    """Pages that the system had to make for one block."""
    before = faults()
    torch.ones(BYTES // 4)
    return faults() - before


def held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_freed_block_is_taken_again_within_and_given_back_at_the_end() -> None:
    with reused_memory():
        assert min(take_and_free() for _ in range(8)) < PAGES / 10
        within = held()
    assert held() < within - BYTES / 2
    assert take_and_free() > PAGES / 2


def test_it_is_given_back_where_the_work_fails() -> None:
    def fail() -> None:
        with reused_memory():
            take_and_free()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert take_and_free() > PAGES / 2


def test_a_solve_reuses_memory() -> None:
    x = torch.zeros(1, 1, 64, 64)
    counts: list[int] = []

    class Large(Identity):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            counts.append(take_and_free())
            return x

    solve(Problem(Large((1, 64, 64)), x), PixelPrior(), Descent(), steps=6, progress=False)
    assert min(counts[2:]) < PAGES / 10


class Library:
    """A C library that records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def mallopt(self, option: int, value: int) -> None:
        self.calls.append(f"mallopt {option}")

    def malloc_trim(self, pad: int) -> None:
        self.calls.append("trim")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    return library


def test_a_network_that_recomputes_keeps_no_memory(library: Library) -> None:
    """It would take what recomputation saves."""
    problem = Problem(Identity((3, 16, 16)), torch.rand(3, 16, 16))
    for prior in (DeepImagePrior(Hourglass((4, 4), recompute=True)), DeepImagePrior(Hourglass((4, 4)))):
        solve(problem, prior + TotalVariation(0.1), steps=1, progress=False)
        assert bool(library.calls) is not prior.recompute


def test_an_environment_variable_switches_it_off(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    with reused_memory():
        assert not library.calls
    assert not library.calls


def test_the_last_of_several_solves_gives_memory_back(library: Library) -> None:
    """Two threads hold it in turn: the end of one is not the end for the other."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with reused_memory():
            inside.set()
            leave.wait()

    other = threading.Thread(target=hold)
    other.start()
    inside.wait()
    try:
        with reused_memory():
            pass
        assert len(library.calls) == 2
    finally:
        leave.set()
        other.join()
    assert library.calls[-1] == "trim"
    assert len(library.calls) == 6
