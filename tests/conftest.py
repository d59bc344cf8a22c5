"""One thread, reproducible draws, a pretend GPU where there is none; skips with one line of what is still missing."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.pretend import hooks

if TYPE_CHECKING:
    import torch

collect_ignore = [] if find_spec("cvxpy") else ["test_sweep.py"]  # all of which compares with it
DATA = Path(os.environ.get("DIPOPS_DATA", "no-such-folder"))


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a process that runs tests; one that hands them out to others would import PyTorch for nothing."""
    if config.getoption("numprocesses", None):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic products on a real GPU
    hooks.load()  # which torch, once imported, would not take
    import torch
    from hypothesis import HealthCheck, settings

    torch.set_num_threads(1)
    # Drawing operators takes long on a busy machine; the other health checks do not depend on time.
    settings.register_profile("dipops", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("dipops")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: looking through it for garbage, meanwhile and in every test, takes seconds and finds none."""
    gc.disable()
    outcome = yield
    gc.freeze()
    gc.enable()
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pretend that there is a GPU as long as a test and its fixtures need one."""
    if hooks.missing or not item.get_closest_marker("cuda"):
        return (yield)
    from tests.pretend.stubs import pretended

    with pretended():
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    import torch

    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip(hooks.missing or "no CUDA device here")
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip("DIPOPS_DATA does not name the folder of test images")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, and the GPU where there is one."""
    import torch

    return torch.device(request.param)


@pytest.fixture
def no_global_draws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails where the global random states are used or changed; setting one back is a change too, which other threads see."""
    import torch

    before = _states()
    for setter in ("manual_seed", "set_rng_state", "seed"):
        monkeypatch.setattr(torch, setter, pytest.fail)
    yield
    assert _states() == before


def _states() -> tuple[bytes, ...]:
    import torch

    ours, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    return ours.numpy().tobytes(), repr(numpys).encode(), repr(pythons).encode()


@pytest.fixture
def data() -> Path:
    """The folder of test images, for tests marked ``data``."""
    return DATA
