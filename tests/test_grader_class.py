"""A class of forty, ten of them hostile or broken, graded by the command, with Landlock and without."""

import csv
import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dipops.course.hints import EXERCISES
from dipops.course.lessons import lessons
from dipops.course.notebooks import cells_of
from dipops.course.sandbox import missing_locks
from tests.test_course import solutions_of
from tests.test_grader import BACK, HOSTILE, IMPORTS, submission

EARNED = {"allocates", "forks", "writes"}
"""Hostile submissions that hand in a right answer too."""


@pytest.fixture(scope="module")
def class_of_forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each lesson solved, half solved and untouched; ten hostile or broken ones."""
    folder = tmp_path_factory.mktemp("class")
    for lesson in lessons():
        cells, solutions = cells_of(lesson), solutions_of(lesson)
        half = dict(list(solutions.items())[:2])
        for name, answers in {"solved": solutions, "half": half, "untouched": {}}.items():
            submission(folder / f"{name}-{lesson.stem}.ipynb", *(answers.get(cell.exercise, cell.code) for cell in cells))
    for name, code in HOSTILE.items():
        submission(folder / f"{name}.md", IMPORTS, code, *([] if name == "knows" else [BACK]))
    (folder / "cut.ipynb").write_text((folder / f"solved-{lessons()[0].stem}.ipynb").read_text()[:-30])
    (folder / "empty.ipynb").write_text("")
    (folder / "deep.ipynb").write_text("[" * 100_000)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the locks are those of Linux")
@pytest.mark.parametrize("landlock", [True, False], ids=["with Landlock", "without Landlock"])
def test_a_class_of_forty_has_the_points_it_earned(landlock: bool, class_of_forty: Path, tmp_path: Path) -> None:
    table = tmp_path / "grades.csv"
    command = [sys.executable, "-m", "dipops", "grade", class_of_forty, "--csv", table, "--timeout", "300", "--jobs", "2"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, preexec_fn=None if landlock else _hide_landlock
    )
    assert done.returncode == 1, done.stderr
    assert ("reading and writing your files" in done.stderr) is not (landlock and not missing_locks())
    rows = {Path(row["submission"]).stem: row for row in csv.DictReader(table.open(encoding="utf-8-sig"))}
    assert len(rows) == 40
    for lesson in lessons():
        answers = solutions_of(lesson)
        expected = {"solved": set(answers), "half": set(list(answers)[:2]), "untouched": set()}
        for name, earned in expected.items():
            row = rows[f"{name}-{lesson.stem}"]
            assert {exercise for exercise in EXERCISES if row.get(exercise) == "1"} == earned, row
    for name in (*HOSTILE, "cut", "empty", "deep"):
        assert rows[name]["points"] in ({"0", "1"} if name in EARNED else {"0"}), rows[name]
        assert rows[name]["remarks"]
        assert rows[name].get("adjoints.shift") != "1"


def _hide_landlock() -> None:
    """Answer Landlock's system calls as a kernel without it does, in this process and those that it starts."""
    load, at_least, above, end = 0x20, 0x35, 0x25, 0x06
    missing, allowed = 0x00050026, 0x7FFF0000
    program = [(load, 0, 0, 0), (at_least, 0, 2, 444), (above, 1, 0, 446), (end, 0, 0, missing), (end, 0, 0, allowed)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, struct.pack("HP", len(program), ctypes.addressof(code)), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
