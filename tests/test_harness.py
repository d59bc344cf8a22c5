"""The harness: a task runs once, its record is a whole line that names machine and commit, and reports come from records."""

import json
import multiprocessing
import time
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import core, dip, dip_report, features, features_report, harness, peers, speed_report, tv
from benchmarks.harness import RESULTS, Record, Task, append, in_turn, records_of, require_one_machine, run, table
from dipops import recipes
from dipops._tools.files import write_json
from dipops.priors.generators.hourglass import Hourglass


def silent(text: str) -> None:
    pass


def double(settings: dict) -> dict:
    return {"twice": 2 * settings["n"]}


def record_on(torch: str) -> Record:
    environment = {"processor": "one", "gpu": None, "cores": 2, "packages": {"torch": torch}, "python": "3.12"}
    return {"environment": environment}


def append_for_ever(path: Path) -> None:
    while True:
        append(path, {"values": list(range(20_000))})


def append_ten(path: Path) -> None:
    for number in range(10):
        append(path, {"number": number})


def test_a_task_runs_once_and_keeps_its_settings(tmp_path: Path) -> None:
    echoed: list[str] = []
    tasks = [Task("report-double", double, {"n": 4}, steps=10, seconds_per_step=0.5)]
    run(tasks, tmp_path, echoed.append)
    assert echoed[0].endswith("10 steps of 0.5 s, about 5 s")
    assert run(tasks, tmp_path, echoed.append)["report-double"]["result"] == {"twice": 8}
    assert len((tmp_path / "report.jsonl").read_text().splitlines()) == 1
    run([Task("report-double", double, {"n": 5})], tmp_path, silent)
    first, second = map(json.loads, (tmp_path / "report.jsonl").read_text().splitlines())
    assert (first["settings"], second["settings"]) == ({"n": 4}, {"n": 5})
    assert first["environment"]["packages"]["torch"]
    assert "commit" in first


def test_a_failed_task_leaves_nothing(tmp_path: Path) -> None:
    def fail(settings: dict) -> dict:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        run([Task("fails", fail)], tmp_path, silent)
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    append(tmp_path / "report.jsonl", {"psnr": float("inf")})
    assert (tmp_path / "report.jsonl").read_text() == '{"psnr": null}\n'


def test_what_is_not_finite_is_text_in_a_file(tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", {"psnr": [float("inf"), -float("inf")], "objective": {"mean": float("nan")}})
    assert json.loads((tmp_path / "record.json").read_text()) == {"psnr": ["inf", "-inf"], "objective": {"mean": "nan"}}


def test_several_writers_keep_every_line(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    writers = [multiprocessing.get_context("fork").Process(target=append_ten, args=(path,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    numbers = [json.loads(line)["number"] for line in path.read_text().splitlines()]
    assert sorted(numbers) == sorted(list(range(10)) * 4)


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    for kill in range(1, 4):
        writer = multiprocessing.get_context("fork").Process(target=append_for_ever, args=(path,))
        writer.start()
        while not path.exists() or path.read_bytes().count(b"\n") < 3 * kill:
            time.sleep(0.01)
        writer.kill()
        writer.join()
        assert all(json.loads(line)["values"][-1] == 19_999 for line in path.read_text().splitlines())


def test_the_newest_record_of_an_ancestor_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task("report-double", double, {"n": 4})
    for commit, result in (("a", 1), ("b+changes", 2), ("elsewhere", 3)):
        append(tmp_path / "report.jsonl", {"task": task.name, "settings": {"n": 4}, "result": result, "commit": commit})
    monkeypatch.setattr(harness, "ancestors", lambda: frozenset({"a", "b"}))
    assert records_of([task], tmp_path)[task.name]["result"] == 2
    assert not records_of([Task("report-double", double, {"n": 5})], tmp_path)
    monkeypatch.setattr(harness, "ancestors", lambda: None)
    assert records_of([task], tmp_path)[task.name]["result"] == 3


def test_a_record_names_the_commit_and_its_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "abc", "status": ""}
    monkeypatch.setattr(harness, "_git", lambda command, *options: answers[command])
    assert harness.current_commit() == "abc"
    answers["status"] = "M dipops/tune.py"
    assert harness.current_commit() == "abc+changes"


def test_timings_of_two_machines_are_not_compared() -> None:
    one, two, untimed = tasks = [Task("one", dict), Task("two", dict), Task("untimed", dict, alone=False)]
    records = {one.name: record_on("2.13"), two.name: record_on("2.13"), untimed.name: record_on("2.4")}
    require_one_machine(tasks, records)
    with pytest.raises(SystemExit, match="several machines"):
        require_one_machine(tasks, records | {two.name: record_on("2.4")})


def test_a_table_names_the_machine_of_each_row() -> None:
    new, old = record_on("2.13"), record_on("2.4")
    assert table(["n"], [([1], [new]), ([2], [new])]).splitlines() == [
        *("| n |", "| --- |", "| 1 |", "| 2 |", ""),
        "Measured on one, 2 cores, instructions unknown, torch 2.13, Python 3.12.",
    ]
    *lines, _, machines = table(["n"], [([1], [new]), ([2], [new, old])]).splitlines()
    assert lines == ["| n | machine |", "| --- | --- |", "| 1 | 1 |", "| 2 | 1, 2 |"]
    assert "2 is one, 2 cores, instructions unknown, torch 2.4" in machines


@pytest.mark.parametrize(
    ("name", "module", "tasks"),
    [
        ("core", core, core.TASKS),
        ("dip", dip_report, dip.TASKS),
        ("tv", tv, tv.TASKS),
        ("features", features_report, features.TASKS),
        ("speed", speed_report, speed_report.SOURCES),
        ("peers", peers, peers.TASKS),
    ],
)
def test_a_report_is_made_from_its_records(name: str, module: ModuleType, tasks: list[Task]) -> None:
    records = records_of(tasks)
    if len(records) < len(tasks):
        pytest.skip(f"{len(tasks) - len(records)} measurements are to be made again")
    assert module.report(records) == (RESULTS / f"{name}.md").read_text()


def test_the_light_recipe_is_that_of_its_version() -> None:
    """Where this fails, write another version in benchmarks/dip.py: the records are of other settings."""
    assert dip.LIGHT["version"] == "2026-12: 86 steps by Muon"
    recipe = recipes.denoise()
    generator = recipe.prior.generator
    assert isinstance(generator, Hourglass)
    assert (generator.channels, generator.skips) == ((32, 64, 64, 64, 64), 8)
    assert generator.upsampling == ("nearest", *["bilinear"] * 4)
    assert recipe.prior.perturbation == 1 / 30


def test_candidates_are_timed_in_turn() -> None:
    order: list[str] = []
    result = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert order == ["a", "b"] * 4
    assert result["ratio_to_first"]["a"] == 1
    assert len(result["seconds"]["b"]) == 3
