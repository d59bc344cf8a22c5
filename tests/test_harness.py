"""The harness: a task runs once, its record is whole, and its cost is told before."""

import json
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import Task, in_turn, require_one_machine, run


def test_a_task_runs_once_and_keeps_its_settings(tmp_path: Path) -> None:
    calls: list[int] = []
    said: list[str] = []

    def work(settings: dict) -> dict:
        calls.append(settings["n"])
        return {"twice": 2 * settings["n"]}

    tasks = [Task("double", work, {"n": 4}, steps=10, seconds_per_step=0.5)]
    run(tasks, tmp_path, said.append)
    records = run(tasks, tmp_path, said.append)
    assert calls == [4]
    assert records["double"]["result"] == {"twice": 8}
    assert said[0].endswith("10 steps of 0.5 s, about 5 s")
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["environment"]["packages"]["torch"]
    run([Task("double", work, {"n": 5})], tmp_path, said.append)
    assert calls == [4, 5]


def test_a_failed_task_leaves_nothing(tmp_path: Path) -> None:
    def fail(settings: dict) -> dict:
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        run([Task("fails", fail)], tmp_path, lambda text: None)
    assert not list(tmp_path.iterdir())


def test_timings_of_two_machines_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, untimed = tasks = [Task("one", dict), Task("two", dict), Task("untimed", dict, alone=False)]
    run(tasks, tmp_path, lambda text: None)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)

    def measured_elsewhere(task: Task) -> None:
        path = tmp_path / f"{task.key}.json"
        path.write_text(path.read_text().replace('"torch": "', '"torch": "9.'))

    measured_elsewhere(untimed)
    require_one_machine(tasks)
    measured_elsewhere(one)
    with pytest.raises(SystemExit, match="several machines"):
        require_one_machine(tasks)
    measured_elsewhere(two)
    require_one_machine(tasks)


def test_candidates_are_timed_in_turn() -> None:
    order: list[str] = []
    result = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert order == ["a", "b"] * 4
    assert result["ratio_to_first"]["a"] == 1
    assert len(result["seconds"]["b"]) == 3
