"""Memory that is freed within a solve is taken again."""

import ctypes
import sys
from pathlib import Path

import pytest
import torch

from dipops import DeepImagePrior, Descent, Hourglass, Identity, NoPrior, Problem, solve
from dipops._tools.allocator import reused_memory
from dipops.priors.interface import PixelPrior

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="only the C library of GNU/Linux is told"
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
    with reused_memory(NoPrior()):
        assert min(take_and_free() for _ in range(8)) < PAGES / 10
        within = held()
    assert held() < within - BYTES / 2
    assert take_and_free() > PAGES / 2


def test_it_is_given_back_where_the_work_fails() -> None:
    def fail() -> None:
        with reused_memory(NoPrior()):
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


def test_nothing_is_kept_for_a_network_that_recomputes() -> None:
    """It would take what recomputation saves."""
    prior = DeepImagePrior(Hourglass((8, 8), recompute=True))
    prior.start(Problem(Identity((3, 16, 16)), torch.rand(3, 16, 16)), [0])
    with reused_memory(prior):
        assert min(take_and_free() for _ in range(3)) > PAGES / 2
