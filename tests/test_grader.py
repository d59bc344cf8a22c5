"""The safe grader: whatever a submission does is a row of its own, and gains nothing."""

import csv
import io
import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import torch

from dipops.course import Grade, graded
from dipops.course.gradebook import gradebook, remarks
from dipops.course.hints import EXERCISES
from dipops.course.judging import graded_all, submissions_in
from dipops.course.lessons import lessons
from dipops.course.notebooks import Graded, cells_of, exercises_of, without_magics
from dipops.course.sandbox import Limits, missing_locks
from dipops.course.wire import BadMessage, decoded, encoded, read_message, write_message
from dipops.errors import BadFile, BadValue
from tests.commands import run

IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom dipops import *\nfrom dipops.course import grade"
SHIFT = """class Shift(LinearOperator):
    def forward(self, x):
        return F.pad(x[..., :-1], (1, 0))
grade("adjoints.shift", Shift)"""
MAGICS = "%matplotlib inline\n!ls\nx = !ls\nget_ipython().run_line_magic('time', '')\n"
BACK = 'def back(y):\n    return F.pad(y[..., 1:], (0, 1))\nassert grade("adjoints.shift-adjoint", back).passed'
PRODUCT = "def product(A, B, y):\n    return B.adjoint(A.adjoint(y))\ngrade('adjoints.composition', product)"
CONSTANT = """g = torch.Generator().manual_seed(1)
y = torch.rand(2, 1, 4, 6, generator=g, dtype=torch.float64)
grade("adjoints.shift-adjoint", lambda _: F.pad(y[..., 1:], (0, 1)))"""
FIND = """import gc
import dipops.course.child as child
there = next(thing for thing in gc.get_objects() if isinstance(thing, child._Answers))"""
FORGED = "there._say({'id': 'x', 'ready': {'adjoints.shift': ['linear', 'Shift']}, 'faults': []})"
NBGRADER = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False, "cell_type": "code"}
LOCKED = pytest.mark.skipif(bool(missing_locks()), reason="this machine has no Landlock or no filter of system calls")
HOSTILE = {
    "exits": "import os; os._exit(0)",
    "allocates": "x = [torch.ones(1 << 28) for _ in range(10)]",
    "forks": "import os\nwhile True:\n    os.fork()",
    "replaces": "import dipops.course as c\nimport dipops.course.checks as k\nc.grade = grade = lambda *a: None\n"
    "k.expect = k.expect_equal = lambda *a, **b: None",
    "forges": "import os\nprint('✓ adjoints.shift')\nfor fd in range(3, 40):\n    try:\n"
    '        os.write(fd, b\'\\x01\\0\\0\\0\\x20\\0\\0\\0{"adjoints.shift": ""}\')\n    except OSError:\n        pass',
    "writes": "import dipops.course.checks as k\nopen(k.__file__, 'a').write('#')",
    "knows": f"{CONSTANT}\n1 / 0",
}
MORE_HOSTILE = {
    "sleeps": "import time; time.sleep(1e6)",
    "starts": "import subprocess; subprocess.run(['id'])",
    "calls": "import socket; socket.create_connection(('127.0.0.1', 22), 2)",
    "kills": "import os; os.kill(os.getppid(), 9)",
    "leaves": "import os\nos.setsid()",
    "changes": "import os, dipops.course.checks as k\nos.chmod(k.__file__, 0)",
    "lifts": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "reads": f"open({str(Path(__file__))!r}).read()",
    "lists": "import os; os.listdir('/tmp')",
    "looks": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "floods": "while True:\n    open('a', 'ab').write(b'0' * (1 << 20))",
    "fills": "k = 0\nwhile True:\n    k += 1\n    open(f'{k}', 'wb').write(b'0' * (8 << 20))",
    "nests": "import os\nfor _ in range(1500):\n    os.mkdir('a')\n    os.chdir('a')",
    "hides": "import os\nkept = []\nwhile True:\n    kept.append(open('a', 'wb'))\n    os.remove('a')\n"
    "    kept[-1].write(b'0' * (8 << 20))",
    "copies": "from dipops.course.tomography import _sirt",
    "survives": "import ctypes\nif ctypes.CDLL(None).prctl(1, 0):\n    raise PermissionError",
    "never reads": f"{FIND}\nimport time\n{FORGED}\ntime.sleep(1e6)",
    "says too much": f"{FIND}\nthere.sink.write(b'\\x01\\0\\0\\0\\xff\\xff\\xff\\xff' + b'0' * 10**6)",
    "sends no value": f"{FIND}\nchild.encoded = lambda value, blobs: {{'tensor': ['float64', [2**40, 2**40], 0, False]}}",
    "pickles": f"{FIND}\nimport pickle\nchild.encoded = lambda value, blobs: blobs.append(pickle.dumps(print))",
    "lies": f"{FIND}\ntorch.Tensor.__eq__ = lambda *a: True\ntorch.equal = lambda *a: True",
}


def submission(path: Path, *codes: str) -> Path:
    """A notebook with these cells."""
    if path.suffix == ".md":
        path.write_text("\n\n".join(f"```{{code-cell}}\n{code}\n```" for code in codes))
    else:
        cells = [{"cell_type": "code", "source": code, "metadata": {}} for code in codes]
        path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def points(outcome: Graded) -> set[str]:
    return {grade.exercise for grade in outcome.grades if grade.passed}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graded]:
    """The grades of a folder of good, hostile and broken submissions."""
    folder = tmp_path_factory.mktemp("class")
    submission(folder / "good.ipynb", MAGICS + IMPORTS, SHIFT, BACK)
    for name, code in HOSTILE.items():
        submission(folder / f"{name}.md", IMPORTS, code, *([] if name == "knows" else [BACK]))
    (folder / "cut.ipynb").write_text((folder / "good.ipynb").read_text()[:-30])
    (folder / "empty.ipynb").write_text("")
    (folder / "bytes.md").write_bytes(b"```{code-cell}" + bytes(range(256)))
    (folder / "deep.ipynb").write_text("[" * 100_000)
    paths = submissions_in([folder])
    return {path.stem: outcome for path, outcome in graded_all(paths, Limits(seconds=180, memory=1 << 30), jobs=2)}


def test_a_good_submission_among_hostile_ones_has_its_points(outcomes: dict[str, Graded]) -> None:
    assert points(outcomes["good"]) == {"adjoints.shift", "adjoints.shift-adjoint"}
    assert not outcomes["good"].faults
    assert {grade.fault for grade in outcomes["good"].grades if not grade.passed} == {"not handed in"}


def test_what_a_submission_does_is_its_own_fault(outcomes: dict[str, Graded]) -> None:
    assert "cell 2 ended the process" in remarks(outcomes["exits"])
    assert "cell 2 raises ZeroDivisionError" in remarks(outcomes["knows"])
    assert "allocate" in remarks(outcomes["allocates"])
    assert "Aᵀy is wrong" in remarks(outcomes["knows"])
    for name in ("cut", "empty", "bytes", "deep"):
        assert not outcomes[name].grades
        assert "cannot be read" in remarks(outcomes[name])


def test_no_submission_gains_a_point_that_it_has_not_earned(outcomes: dict[str, Graded]) -> None:
    for name in HOSTILE:
        assert points(outcomes[name]) <= {"adjoints.shift-adjoint"}, name
        assert not outcomes[name].passed
    for name in ("exits", "replaces", "forges", "knows"):
        assert not points(outcomes[name]), name
    assert points(outcomes["allocates"]) == {"adjoints.shift-adjoint"}


@LOCKED
def test_the_locks_keep_files_and_processes_as_they_are(outcomes: dict[str, Graded]) -> None:
    assert "PermissionError" in remarks(outcomes["forks"])
    assert "PermissionError" in remarks(outcomes["writes"])
    assert points(outcomes["forks"]) == points(outcomes["writes"]) == {"adjoints.shift-adjoint"}


@pytest.mark.parametrize(
    ("code", "exercise", "fault", "seconds"),
    [
        ("import os\ngrade('adjoints.dot-test', lambda *a: os._exit(0))", "adjoints.dot-test", "it ended the process", 180),
        pytest.param(
            "def turn(y):\n    while True: pass\ngrade('adjoints.shift-adjoint', turn)",
            *("adjoints.shift-adjoint", "it took too long", 60),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["ends", "never ends"],
)
def test_an_answer_that_takes_the_process_with_it_costs_no_other(
    tmp_path: Path, code: str, exercise: str, fault: str, seconds: float
) -> None:
    outcome = graded(submission(tmp_path / "a.md", IMPORTS, code, PRODUCT), Limits(seconds=seconds))
    faults = {grade.exercise: grade.fault for grade in outcome.grades}
    assert faults[exercise] == fault
    assert points(outcome) == {"adjoints.composition"}


def test_an_endless_cell_ends_with_its_time_and_leaves_nothing(tmp_path: Path) -> None:
    before, start = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("dipops-grade-*")), time.monotonic()
    outcome = graded(submission(tmp_path / "a.md", IMPORTS, SHIFT, "while True:\n    pass"), Limits(seconds=6))
    assert time.monotonic() - start < 60
    assert not points(outcome)
    assert all("took too long" in grade.fault for grade in outcome.grades)
    assert set(Path(os.environ.get("TMPDIR", "/tmp")).glob("dipops-grade-*")) <= before


def test_an_interrupted_command_keeps_what_is_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(paths: list[Path], *_: object) -> Iterator[tuple[Path, Graded]]:
        yield paths[0], Graded((Grade("prior.fit"),), ())
        raise KeyboardInterrupt

    monkeypatch.setattr("dipops.cli.grading.graded_all", interrupted)
    path = submission(tmp_path / "a.md", IMPORTS, SHIFT)
    assert run("grade", path, path.parent, "--csv", tmp_path / "grades.csv") == 130
    assert "prior.fit" in (tmp_path / "grades.csv").read_text()


def test_a_text_in_a_folder_is_no_submission(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Read me")
    path = submission(tmp_path / "a.md", IMPORTS, SHIFT)
    assert submissions_in([tmp_path]) == [path]


def test_an_interrupted_grading_ends_its_processes(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    outcome = graded(submission(tmp_path / "a.md", IMPORTS, "while True:\n    pass", SHIFT), Limits(seconds=600), stop)
    assert "interrupted" in remarks(outcome)


@pytest.mark.slow
@LOCKED
@pytest.mark.parametrize("name", MORE_HOSTILE)
def test_more_hostile_submissions_gain_nothing(name: str, tmp_path: Path) -> None:
    path = submission(
        tmp_path / "a.md", IMPORTS, MORE_HOSTILE[name], 'grade("adjoints.shift", Shift)', BACK.replace("1:", "2:")
    )
    outcome = graded(path, Limits(seconds=30, folder=50 << 20))
    assert not points(outcome)
    assert outcome.faults or all(grade.fault for grade in outcome.grades)


@LOCKED
@pytest.mark.parametrize(("name", "fault"), [("copies", "PermissionError"), ("survives", "PermissionError"), ("nests", "")])
def test_a_submission_cannot_copy_answers_outlive_the_grader_or_stop_it(
    name: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    outcome = graded(submission(tmp_path / "a.md", IMPORTS, MORE_HOSTILE[name], BACK), Limits(seconds=180))
    assert fault in remarks(outcome)
    assert points(outcome) <= {"adjoints.shift-adjoint"}
    assert not list(tmp_path.glob("dipops-grade-*"))


@pytest.mark.slow
def test_without_locks_a_submission_is_graded_all_the_same(tmp_path: Path) -> None:
    good = graded(submission(tmp_path / "a.md", IMPORTS, SHIFT, BACK), Limits(locked=False))
    assert points(good) == {"adjoints.shift", "adjoints.shift-adjoint"}
    for code in ("import os; os._exit(0)", "import os\nif os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(40)"):
        outcome = graded(
            submission(tmp_path / "b.md", IMPORTS, code, "while True: pass", SHIFT), Limits(seconds=15, locked=False)
        )
        assert not points(outcome)


def test_the_command_writes_a_table_and_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    submission(folder / "=a.md", IMPORTS, BACK)
    (folder / "b.ipynb").write_text("{")
    (folder / ".ipynb_checkpoints").mkdir()
    submission(folder / ".ipynb_checkpoints" / "b-checkpoint.ipynb", IMPORTS, SHIFT)
    table = tmp_path / "grades.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("grade", ".", "--csv", table, "--timeout", 120, "--jobs", 2) == 1
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"))))
    assert [(row["submission"], row["points"], row["of"]) for row in rows] == [("'=a.md", "1", "5"), ("b.ipynb", "0", "0")]
    assert rows[0]["adjoints.shift-adjoint"] == "1"
    assert rows[0]["adjoints.shift"] == "0"
    assert "cannot be read" in rows[1]["remarks"]
    assert "1 of 5" in capsys.readouterr().out
    table.write_text("mine")
    assert run("grade", folder, "--csv", table) == 2
    assert table.read_text() == "mine"
    assert "--force" in capsys.readouterr().err


def test_bad_arguments_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("")
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, arguments in {
        "without a notebook": [empty],
        "is missing": [tmp_path / "no.ipynb"],
        "a notebook, .ipynb or .md": [tmp_path / "a.txt"],
        "--timeout": [tmp_path, "--timeout", 0],
        "--jobs": [tmp_path, "--jobs", 0],
        "cannot write": [submission(tmp_path / "b.md", SHIFT), "--csv", tmp_path / "no" / "grades.csv"],
    }.items():
        assert run("grade", *arguments) == 2
        message = capsys.readouterr().err
        assert words in message
        assert message.count("\n") == 1
    with pytest.raises(BadFile):
        submissions_in([empty])
    with pytest.raises(BadValue):
        submissions_in([tmp_path / "a.txt"])


def test_the_table_has_a_column_for_each_exercise_and_keeps_formulas_out() -> None:
    one = Graded((Grade("prior.fit"), Grade("prior.average", "=1+1")), ("cell 2 raises X: y",))
    text = gradebook([(Path("a.md"), one), (Path("-b.md"), Graded((), ("@x cannot be read",)))])
    assert text.splitlines() == [
        "submission,points,of,prior.fit,prior.average,remarks",
        "a.md,1,2,1,0,prior.average: =1+1 | cell 2 raises X: y",
        "'-b.md,0,0,,,'@x cannot be read",
    ]


def test_the_lessons_are_exported_for_nbgrader(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    assert run("course", "export", "--nbgrader", tmp_path / "new") == 0
    exported = [tmp_path / "new" / f"{lesson.stem}.ipynb" for lesson in lessons()]
    assert set(exported) == set((tmp_path / "new").glob("*.ipynb"))
    ids = []
    for path in exported:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        for answer, test in zip(marked[::2], marked[1::2], strict=True):
            assert answer.metadata.nbgrader == {**NBGRADER, "solution": True, "grade_id": answer.metadata.nbgrader.grade_id}
            proof = {"grade": True, "locked": True, "points": 1, "grade_id": f"{answer.metadata.nbgrader.grade_id}-test"}
            assert test.metadata.nbgrader == {**NBGRADER, **proof}
            assert "grade(" not in answer.source
            assert test.source.endswith("assert outcome.passed, outcome")
            ids += [answer.metadata.nbgrader.grade_id, test.metadata.nbgrader.grade_id]
        assert "".join(exercises_of(path, cells_of(path)))
    assert len(set(ids)) == len(ids) == 2 * len(EXERCISES)
    assert all(re.fullmatch("[A-Za-z0-9_-]+", grade_id) for grade_id in ids)


def test_plain_notebooks_have_the_cells_of_the_lessons(tmp_path: Path) -> None:
    assert run("course", "export", tmp_path) == 0
    for lesson in lessons():
        assert cells_of(tmp_path / f"{lesson.stem}.ipynb") == cells_of(lesson)
    (tmp_path / f"{lessons()[0].stem}.ipynb").write_text("mine")
    assert run("course", "export", tmp_path) == 2
    assert (tmp_path / f"{lessons()[0].stem}.ipynb").read_text() == "mine"


def test_the_wheel_has_every_lesson_and_no_solution() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {f"docs/course/{lesson.name}": f"dipops/data/course/{lesson.name}" for lesson in lessons()}


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install x\nfiles = !ls\nt = %timeit -o f()\nx?\n?x", "pass\nfiles = None\nt = None\npass\npass"),
        ("%%bash\nls", ""),
        ("%%time\nx = 1", "x = 1"),
        ("%time x = f()", "x = f()"),
        ("x = (5\n %y)", "x = (5\n %y)"),
        ('"""\n%x\n"""', '"""\n%x\n"""'),
    ],
)
def test_magics_do_nothing_and_python_stays(code: str, plain: str) -> None:
    assert without_magics(code) == plain


def test_a_cell_without_end_and_a_large_notebook_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```{code-cell}\nx = 1\n")
    (tmp_path / "b.md").write_bytes(b" " * (11 << 20))
    os.mkfifo(tmp_path / "c.md")
    for name, words in {"a": "no end", "b": "larger than 10 MB", "c": "FIFO"}.items():
        with pytest.raises(BadFile, match=words):
            cells_of(tmp_path / f"{name}.md")


def test_values_come_back_as_they_were_sent() -> None:
    stream, blobs = io.BytesIO(), []
    values = [
        1,
        -0.5,
        "σ",
        None,
        True,
        ...,
        torch.rand(2, 3),
        torch.arange(4),
        torch.tensor(True),
        torch.empty(0, 3),
        {"a": [1.0]},
    ]
    head = {"value": encoded([*values, object()], blobs)}
    write_message(stream, head, blobs)
    stream.seek(0)
    came, got = read_message(stream)
    back = decoded(came["value"], got)
    assert type(back.pop()).__name__ == "object"
    for value, other in zip(values, back, strict=True):
        assert value.equal(other) if isinstance(value, torch.Tensor) else value == other


@pytest.mark.parametrize(
    "value",
    [
        {"tensor": ["float64", [2**40, 2**40], 0, False]},
        {"tensor": ["float64", [2], 0, False]},
        {"tensor": ["float64", [-1], 0, False]},
        {"tensor": ["float64", [1], 3, False]},
        {"tensor": ["object", [1], 0, False]},
        {"tensor": ["float64", ["1"], 0, False]},
        {"tensor": 0},
        {"list": 3},
        {"dict": [1]},
        {},
        {"a": 1, "b": 2},
    ],
)
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(BadMessage):
        decoded(value, [b"0" * 8])


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\1\0\0\0\xff\xff\xff\xff",
        b"\2\0\0\0\2\0\0\0\xff\xff\xff\x7f{}",
        b"\1\0\0\0\2\0\0\0[]",
        b"\1\0\0\0\2\0\0\0{]",
    ],
)
def test_what_is_no_message_is_refused_before_it_is_read(content: bytes) -> None:
    with pytest.raises(BadMessage):
        read_message(io.BytesIO(content))
