"""What dipops does neither uses nor changes a global random state: PyTorch's, NumPy's or Python's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dipops import Identity, Problem, TotalVariation, check, compare, estimate, images, recipes
from dipops.course import grade
from dipops.course.hints import EXERCISES
from dipops.study import runner
from dipops.study.records import Task
from dipops.study.store import Store
from dipops.tune import SURE, tune
from tests.zoo import Seeds

PROBLEM = Problem.simulate(Identity((1, 16, 16)), images.portrait(32)[:1, :16, :16], 0.1)


def study(folder: Path) -> None:
    def perform(target: str, progress: bool) -> tuple[dict[str, Any], torch.Tensor]:
        return {"scores": {}}, recipes.denoise().solve(PROBLEM, steps=1, progress=False).image

    runner.run([Task("run", "a run", "", perform)], Store(folder), progress=False)


ACTIONS: dict[str, Callable[[Path], object]] = {
    **{f"grade {name}": lambda _, name=name: grade(name, lambda *_: None) for name in EXERCISES},
    "grade a network": lambda _: grade("prior.fit", lambda network, z, y, steps: network(z).detach()),
    "light recipe": lambda _: recipes.denoise().solve(PROBLEM, steps=1, progress=False),
    "paper recipe": lambda _: recipes.denoise("paper").solve(PROBLEM, steps=1, progress=False),
    "estimate": lambda _: estimate(PROBLEM, recipes.denoise().prior),
    "tune": lambda _: tune(PROBLEM, TotalVariation, SURE(), weights=(0.1, 0.2), progress=False),
    "compare": lambda _: compare(PROBLEM, {"TV": TotalVariation(0.1)}, progress=False),
    "study": study,
}


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.usefixtures("no_global_draws")
def test_global_random_states_are_neither_used_nor_changed(name: str, tmp_path: Path) -> None:
    ACTIONS[name](tmp_path)


def test_an_operator_that_sets_the_seed_itself_is_found_whatever_the_state() -> None:
    operator = Seeds((3, 4, 5))
    operator(torch.zeros(1, 3, 4, 5))
    assert "purity" in [verdict.law for verdict in check(operator, strict=False).verdicts if verdict.fault]
