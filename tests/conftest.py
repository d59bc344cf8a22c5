"""One thread, no TF32, reproducible draws, a pretend GPU where there is none; skips with one line of what is still missing."""

import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.pretend import hooks

NO_PRETENCE = hooks.load()  # which torch, once imported, would not take

import torch  # noqa: E402

torch.set_num_threads(1)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

# Drawing operators takes long on a busy machine; the other health checks do not depend on time.
settings.register_profile("dipops", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dipops")

DATA = Path(os.environ.get("DIPOPS_DATA", "no-such-folder"))


# Long tests of numbers, which on the pretend GPU are the CPU's: it takes every n-th value of a parameter, or none where it
# says None; -m slow runs the rest.
FEWER: dict[str, tuple[str, int] | None] = {
    "test_random_expressions_obey_every_law": ("name", 6),
    "test_a_mutated_override_is_rejected": ("mutation", 4),
    "test_every_linear_operator_can_be_projected_on": None,
    "test_descent_ends_at_the_same_minimum": None,
    "test_tikhonov_is_solved_exactly_by_conjugate_gradients_and_by_primal_dual": None,
    "test_the_deep_image_prior_removes_noise": None,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        pretended = NO_PRETENCE is None and isinstance(item, pytest.Function) and item.get_closest_marker("cuda")
        if pretended and item.originalname in FEWER and not _is_taken(item, FEWER[item.originalname]):
            item.add_marker("slow")


def _is_taken(item: pytest.Function, fewer: tuple[str, int] | None) -> bool:
    return fewer is not None and item.callspec.indices[fewer[0]] % fewer[1] == 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pretend that there is a GPU as long as a test and its fixtures need one."""
    if NO_PRETENCE or not item.get_closest_marker("cuda"):
        return (yield)
    from tests.pretend.stubs import pretended

    with pretended():
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip(NO_PRETENCE or "no CUDA device here")
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip("DIPOPS_DATA does not name the folder of test images")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, and the GPU where there is one."""
    return torch.device(request.param)


@pytest.fixture
def no_global_draws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails where the global random states are used or changed; setting one back is a change too, which other threads see."""
    before = _states()
    for setter in ("manual_seed", "set_rng_state", "seed"):
        monkeypatch.setattr(torch, setter, pytest.fail)
    yield
    assert _states() == before


def _states() -> tuple[bytes, ...]:
    ours, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    return ours.numpy().tobytes(), repr(numpys).encode(), repr(pythons).encode()


@pytest.fixture
def data() -> Path:
    """The folder of test images, for tests marked ``data``."""
    return DATA
