"""The prepared run on a GPU, from beginning to end in small sizes: what needs CUDA says so in its record."""

import os
import tarfile
import time
from pathlib import Path

import pytest

from benchmarks import gpu, gpu_report
from benchmarks.gpu_phases import Phases
from benchmarks.harness import RESULTS, Task, append, current_commit, lines
from benchmarks.speed import DEVICE

FOUR_TESTS = """
import pytest

@pytest.mark.cuda
@pytest.mark.parametrize("name", ["one value", "another"])
def test_values(name):
    assert name == "one value"

@pytest.mark.cuda
def test_skipped():
    pytest.skip("no reason")

def test_of_the_cpu():
    assert False
"""
HANGS = ["sh", "-c", "sleep 600 & echo $!; sleep 600"]


def test_a_small_run_measures_everything(tmp_path: Path) -> None:
    phases, commit = Phases(small=True), current_commit()
    for name, tasks in phases.all().items():
        gpu.measure_all(tasks, tmp_path, commit, seconds=600)
        made = [record["task"] for record in lines(tmp_path / "gpu.jsonl")]
        assert made[-len(tasks) :] == [task.name for task in tasks], name
    for record in lines(tmp_path / "gpu.jsonl"):
        needs_cuda = record["settings"].get("capture") or record["settings"].get("compile")
        absent = {"skipped": "no CUDA"} if needs_cuda and DEVICE.type == "cpu" else {}
        assert {key: record["result"][key] for key in ("skipped", "failed") if key in record["result"]} == absent, record
        assert record["commit"] == commit
    page = gpu_report.page(tmp_path, phases)
    for row in (
        "| mixed | 8 | ",
        "| portrait | paper | 2 | ",
        "| none | light | full | eager | ",
        "| eight members over one | under 4 | ",
    ):
        assert row in page


def test_the_laws_are_written_a_line_each_and_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests = tmp_path / "test_four.py"
    tests.write_text(FOUR_TESTS)
    out = tmp_path / "out"
    gpu.main(["--small", "--phases", "laws", "--tests", str(tests), "--out", str(out), "--commit", "abc"])
    head, _, outcomes = (out / "laws-cuda.txt").read_text().partition("\n\n")
    assert "commit abc" in head
    assert "1 passed, 1 failed, 0 error, 1 skipped" in head
    assert [(line.split()[0], line.partition("::")[2]) for line in outcomes.splitlines()] == [
        ("FAILED", "test_values[another]"),
        ("PASSED", "test_values[one value]"),
        ("SKIPPED", "test_skipped"),
    ]
    assert "1 passed, 1 failed" in (out / "gpu.md").read_text()
    with tarfile.open(out / "gpu-run.tar.gz") as archive:
        assert archive.getnames() == ["gpu.md", "laws-cuda.txt", "laws.log"]
    assert "laws: ended with status 1" in capsys.readouterr().out


def test_the_lines_of_workers_are_read_too(tmp_path: Path) -> None:
    output = "[gw3] [ 50%] PASSED tests/test_a.py::test_b[cuda-a b] \nERROR tests/test_c.py - ModuleNotFoundError: cvxpy\n"
    gpu.write_laws(output, "done in 2 s", tmp_path, None)
    *_, error, passed = (tmp_path / "laws-cuda.txt").read_text().splitlines()
    assert error == "ERROR tests/test_c.py - ModuleNotFoundError: cvxpy"
    assert passed == "PASSED tests/test_a.py::test_b[cuda-a b]"


def test_a_phase_that_hangs_is_cut_off_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert gpu.run_limited(HANGS, 1, log, dict(os.environ)) == "cut off after 1 s"
    child, ending = int(log.read_text()), time.monotonic() + 60
    while _runs(child):
        assert time.monotonic() < ending
        time.sleep(0.01)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_task_that_fails_or_comes_too_late_loses_only_itself(tmp_path: Path) -> None:
    def fail(settings: dict) -> dict:
        raise RuntimeError("half way")

    tasks = [Task("gpu-fails", fail), Task("gpu-long", dict, seconds_per_step=1e6), Task("gpu-works", dict, {"n": 4})]
    gpu.measure_all(tasks, tmp_path, None, seconds=60)
    found = {record["task"]: record["result"] for record in lines(tmp_path / "gpu.jsonl")}
    assert found == {"gpu-fails": {"failed": "RuntimeError: half way"}, "gpu-works": {"n": 4}}


def test_the_committed_page_is_that_of_the_records() -> None:
    assert gpu_report.page(RESULTS, Phases()) == (RESULTS / "gpu.md").read_text()


def test_what_another_machine_wrote_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for number, folder in enumerate((ours, theirs)):
        folder.mkdir()
        append(folder / "gpu.jsonl", {"task": "gpu-run-loop", "settings": {"n": number}, "result": {}, "commit": None})
    (theirs / "laws-cuda.txt").write_text("a\nb\nc\n3 passed\n")
    monkeypatch.setattr(gpu_report, "RESULTS", ours)
    monkeypatch.setattr(gpu_report, "write_report", lambda name, text: None)
    gpu_report.main([str(theirs)])
    assert [record["settings"]["n"] for record in lines(ours / "gpu.jsonl")] == [0, 1]
    assert (ours / "laws-cuda.txt").read_text() == (theirs / "laws-cuda.txt").read_text()
