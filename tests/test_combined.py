"""Rows of the paper's tables that are computed from images of finished runs, and the columns of debiased answers."""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dipops import ClippedGaussian, Problem, metrics
from dipops.paper.config import RunConfig
from dipops.paper.experiments import EXPERIMENTS
from dipops.paper.runs import Run, finished, perform
from dipops.paper.tables import table
from dipops.study.store import Store
from tests.test_paper import TINY, data_for

ROW = EXPERIMENTS["denoise-50"]
NAMES = [image.name for image in ROW.images[:2]]
SMALL = RunConfig(crop=32)
NOISE = ClippedGaussian(50 / 255)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_for(tmp_path_factory.mktemp("data"), "denoise-50", count=2)


def restored(problem: Problem, run: Run) -> Tensor:
    """What a good system might give: the mean of clipped noise around the ground truth, with errors of its own."""
    assert problem.truth is not None
    draw = torch.Generator().manual_seed(31 * run.seed + len(run.contestant))
    return (NOISE.bias(problem.truth) + 0.1 * torch.randn(problem.truth.shape, generator=draw)).clamp(0, 1)


def fill(store: Store, data: Path, seeds: Mapping[str, int], names: list[str] = NAMES) -> None:
    """Save runs of these systems with so many seeds, as if they had been made."""
    for name in names:
        problem = ROW.problem_for(name, data, SMALL.crop)
        for contestant, count in seeds.items():
            for seed in range(count):
                run = Run(ROW.name, name, contestant, seed, SMALL)
                column = "average" if contestant == "DIP" else "answer"
                environment = {"processor": "a test", "torch_threads": 1, "packages": {}}
                record = {
                    "run": {**vars(run), "config": vars(SMALL)},
                    "scores": {column: {"PSNR": 20.0}, "last": {"PSNR": 19.0}},
                    "facts": {},
                    "seconds": 1.0,
                    "device": "cpu",
                    "environment": environment,
                }
                store.save(run.key, record, restored(problem, run))


def lines_of(store: Store, data: Path) -> dict[str, dict[str, str]]:
    drawn = table(ROW, SMALL, finished(ROW, store), store, data)
    return {line["system"]: line for line in csv.DictReader(io.StringIO(drawn.csv()))}


def score(image: Tensor, problem: Problem) -> float:
    return float(metrics.psnr(image.clamp(0, 1), problem.truth))


def test_runs_are_averaged_debiased_and_fused_from_a_store(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, data, {"DIP": 3, "NLM": 1, "CBM3D": 1})
    expected: dict[str, list[float]] = {"mean": [], "debiased": [], "NLM": [], "CBM3D": [], "CBM3D alone": []}
    for name in NAMES:
        problem = ROW.problem_for(name, data, SMALL.crop)
        runs = torch.cat([restored(problem, Run(ROW.name, name, "DIP", seed, SMALL)) for seed in range(3)])
        nlm, cbm3d = (restored(problem, Run(ROW.name, name, system, 0, SMALL)) for system in ("NLM", "CBM3D"))
        mean = runs.mean(0, keepdim=True)
        made = {
            "mean": mean,
            "debiased": NOISE.debias(mean),
            "NLM": NOISE.debias((mean + nlm) / 2),
            "CBM3D": NOISE.debias((mean + cbm3d) / 2),
            "CBM3D alone": NOISE.debias(cbm3d),
        }
        for key, image in made.items():
            expected[key].append(score(image, problem))
    lines = lines_of(store, data)
    assert list(lines) == [
        *("DIP", "CBM3D", "NLM"),
        *("DIP, mean of 3 runs", "DIP, mean of 3 runs + NLM", "DIP, mean of 3 runs + CBM3D"),
        *("NLM, debiased", "CBM3D, debiased"),
    ]
    figures = {
        "mean": lines["DIP, mean of 3 runs"]["average"],
        "debiased": lines["DIP, mean of 3 runs"]["answer, debiased"],
        "NLM": lines["DIP, mean of 3 runs + NLM"]["answer, debiased"],
        "CBM3D": lines["DIP, mean of 3 runs + CBM3D"]["answer, debiased"],
        "CBM3D alone": lines["CBM3D, debiased"]["answer, debiased"],
    }
    for key, figure in figures.items():
        assert float(figure) == pytest.approx(sum(expected[key]) / 2, abs=0.02), f"{key}: files of 8 bits cost under 0.01 dB"
    assert lines["DIP, mean of 3 runs + NLM"]["seconds"] == "4.0"


def test_what_is_missing_in_the_store_is_left_out(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, data, {"DIP": 1})
    assert list(lines_of(store, data)) == ["DIP"]
    fill(store, data, {"NLM": 1}, NAMES[:1])
    assert list(lines_of(store, data)) == [
        "DIP",
        "NLM (1 of these images)",
        "DIP + NLM (1 of these images)",
        "NLM, debiased (1 of these images)",
    ]
    fill(store, data, {"DIP": 3}, NAMES[:1])
    assert "DIP + NLM (1 of these images)" in lines_of(store, data), "as many seeds as every image has"
    fill(store, data, {"DIP": 2}, NAMES[1:])
    assert "DIP, mean of 2 runs" in lines_of(store, data)


def test_a_run_has_its_answer_debiased_and_a_recipe_that_stops_keeps_its_stop(data: Path) -> None:
    run = Run("denoise-50", NAMES[0], "DIP", 0, TINY)
    record, image = perform(run, data)
    columns = list(record["scores"])
    assert (columns[0], set(columns)) == ("stopped", {"stopped", "average", "last", "debiased", "oracle"})
    problem = ROW.problem_for(NAMES[0], data, TINY.crop)
    assert record["scores"]["stopped"]["PSNR"] == pytest.approx(score(image, problem))
    assert record["scores"]["debiased"]["PSNR"] == pytest.approx(score(NOISE.debias(image), problem))
    paper, _ = perform(replace(run, config=replace(TINY, settings="paper")), data)
    assert next(iter(paper["scores"])) == "average"


def test_total_variation_is_shown_blind_and_debiased(data: Path) -> None:
    record, image = perform(Run("denoise-50", NAMES[0], "TV", 0, TINY), data)
    assert list(record["scores"]) == ["answer", "debiased"]
    debiased = score(NOISE.debias(image), ROW.problem_for(NAMES[0], data, TINY.crop))
    assert record["scores"]["debiased"]["PSNR"] == pytest.approx(debiased, abs=1e-3)
    assert record["scores"]["answer"]["PSNR"] != record["scores"]["debiased"]["PSNR"]


def test_a_table_says_what_debiasing_knows(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = Run("denoise-50", NAMES[0], "TV", 0, SMALL)
    fill(store, data, {"TV": 1, "CBM3D": 1}, NAMES[:1])
    record = store.record(run.key)
    assert "Debiased:" not in table(ROW, SMALL, {run: record}, store).notes
    scores = {**record["scores"], "debiased": {"PSNR": 21.0}}
    drawn = table(ROW, SMALL, {run: {**record, "scores": scores}}, store)
    assert "Debiased: σ and that the noise was clipped are known" in drawn.notes
    assert "answer, debiased" in drawn.heads
    drawn = table(ROW, SMALL, finished(ROW, store), store, data)
    assert "Debiased:" in drawn.notes, "CBM3D is"
