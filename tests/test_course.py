"""The course: every lesson runs with its solutions, and every check fails without them, or with a wrong answer."""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch

from dipops import DifferentiableOperator, LinearOperator
from dipops.course import Grade, grade, grades_of, hint, slide
from dipops.course.grading import check_of
from dipops.course.hints import EXERCISES
from dipops.course.lessons import lessons
from dipops.course.notebooks import cells_of
from dipops.errors import BadFile, BadValue
from tests.commands import run

COURSE = Path(__file__).parents[1] / "docs" / "course"
LESSONS = lessons()


def solutions_of(lesson: Path) -> dict[str, str]:
    """By exercise, the code that answers it."""
    text = (COURSE / "solutions" / lesson.with_suffix(".py").name).read_text()
    parts = re.split(r"^# %% (\S+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_exercise_has_a_lesson_and_a_solution() -> None:
    assert len(LESSONS) == 10
    in_lessons = [cell.exercise for lesson in LESSONS for cell in cells_of(lesson) if cell.exercise]
    assert sorted(in_lessons) == sorted(EXERCISES)
    for lesson in LESSONS:
        exercises = [cell for cell in cells_of(lesson) if cell.exercise]
        assert 3 <= len(exercises) <= 6
        assert {cell.exercise for cell in exercises} == set(solutions_of(lesson))
        assert all(f'grade("{cell.exercise}"' in cell.code for cell in exercises)
        assert all(word in lesson.read_text() for word in ("**Goal.**", "**Time.**", "**Afterwards you can**"))


@pytest.mark.course
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_runs_with_its_solutions(lesson: Path) -> None:
    solutions = solutions_of(lesson)
    graded = grades_of(lesson, solutions)
    assert not graded.faults
    assert {outcome.exercise for outcome in graded.grades} == set(solutions)
    assert all(outcome.passed for outcome in graded.grades), graded.grades


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_check_fails_without_a_solution(lesson: Path, tmp_path: Path) -> None:
    first, *_ = cells = cells_of(lesson)
    blocks = [f"```{{code-cell}}\n:tags: [exercise-{cell.exercise}]\n{cell.code}\n```" for cell in cells if cell.exercise]
    bare = tmp_path / "bare.md"
    bare.write_text("\n\n".join([f"```{{code-cell}}\n{_imports(first.code)}\n```", *blocks]))
    graded = grades_of(bare)
    assert len(graded.grades) == len(blocks)
    assert not any(outcome.passed for outcome in graded.grades)
    assert not any(outcome.fault == "" for outcome in graded.grades)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_every_exercise_has_two_hints_that_are_no_solution(exercise: str) -> None:
    first, second = hint(exercise), hint(exercise, 2)
    assert first != second
    assert repr(first) == first, "a notebook shows it without quotes"
    for text in (first, second):
        assert text.endswith(".")
        assert "\n" not in text
        with pytest.raises(SyntaxError):
            compile(text, exercise, "exec")


def test_every_exercise_has_a_check() -> None:
    assert all(callable(check_of(name)) for name in EXERCISES)
    with pytest.raises(BadValue, match="the nearest are"):
        hint("adjoints.shifted")
    with pytest.raises(BadValue, match="1 or 2"):
        hint("adjoints.shift", 3)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("least-squares.gradient", lambda A, x, y: torch.zeros_like(x.zero_()) + 0 * y.zero_().sum()),
        ("ill-posed.picard", lambda A, y: 0 * y.zero_().sum() + torch.zeros(8)),
        ("nonlinear.relative-error", lambda A, x, x0: float(0 * x.copy_(x0).sum())),
        ("variation.bias", lambda height, weight, left, right: {1.0: 0.75, 0.5: 19 / 60, 0.2: 0.0}.get(height, 0.0)),
        ("own.operator", type("Mirror", (LinearOperator,), {"forward": lambda self, x: x.flip(-1)})),
    ],
)
def test_changing_the_arguments_or_knowing_them_gains_nothing(exercise: str, answer: Any) -> None:
    assert not grade(exercise, answer).passed


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("stopping.hold-out", "in_place"),
        ("nonlinear.jvp", "central"),
        ("least-squares.landweber", "landweber"),
        ("tomography.projections", "rows"),
        ("adjoints.average", "Average"),
    ],
)
def test_right_answers_in_another_style_pass(exercise: str, answer: str) -> None:
    assert grade(exercise, STYLES[answer]).passed, grade(exercise, STYLES[answer])


def _in_place(mask: torch.Tensor, fraction: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    watched = mask * (torch.rand(mask.shape, generator=generator, dtype=torch.float64) < fraction)
    mask -= watched
    return mask, watched


def _central(A: Any, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    x += 1e-4 * u
    ahead = A(x)
    x -= 2e-4 * u
    return (ahead - A(x)) / 2e-4


def _landweber(A: Any, y: torch.Tensor, steps: int) -> torch.Tensor:
    x = torch.zeros(1, *A.in_shape)
    for _ in range(steps):
        x -= A.adjoint(A(x) - y) / A.norm() ** 2
    return x


class _Average(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(*x.shape[:-2], x.shape[-2] // 2, 2, x.shape[-1] // 2, 2).mean((-3, -1))


class _ByHand(_Average):
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return torch.kron(y, torch.full((2, 2), 0.25, dtype=y.dtype))


class _Inherited(_ByHand):
    pass


STYLES: dict[str, Any] = {
    "in_place": _in_place,
    "central": _central,
    "landweber": _landweber,
    "rows": lambda x: [x.sum(0), x.sum(1).flip(0)],
    "Average": _Inherited,
}


def test_a_slider_draws_one_value_outside_of_a_notebook() -> None:
    drawn = []
    slide(drawn.append, "σ", [0.1, 0.2], 0.2)
    assert drawn == [0.2]
    with pytest.raises(BadValue, match="begin with one"):
        slide(drawn.append, "σ", [0.1, 0.2], 0.3)


def test_a_slider_draws_anew_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIPOPS_SLIDERS", raising=False)
    plt.switch_backend("Agg")  # before there seems to be a notebook, whose events it would ask for
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    shown, drawn = [], []
    monkeypatch.setattr("IPython.display.display", lambda *widgets, **options: shown.extend(widgets))
    slide(drawn.append, "σ", [0.1, 0.2, 0.4], 0.2)
    slider = shown[-1].children[0]
    slider.value = 0.4
    assert drawn == [0.2, 0.4]
    monkeypatch.setenv("DIPOPS_SLIDERS", "0")
    count = len(shown)
    slide(drawn.append, "σ", [0.1, 0.2], 0.1)
    assert (drawn[-1], len(shown)) == (0.1, count)


def _imports(code: str) -> str:
    """The import statements of a cell."""
    return "\n".join(ast.unparse(node) for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom))


class Mirrored(LinearOperator):
    def forward(self, x):
        return torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], dim=-1)

    def adjoint(self, y):
        return 2 * torch.cat([y[..., 1:], torch.zeros_like(y[..., :1])], dim=-1)


class Squared(LinearOperator):
    def forward(self, x):
        return x.clamp(min=0) ** 2.2


class Same(DifferentiableOperator):
    def forward(self, x):
        return x.clone()


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("adjoints.shift", ..., "fill in the blank"),
        (
            "adjoints.shift",
            Mirrored,
            "the law of gradient is broken|the law of adjoint is broken: the adjoint looks scaled by 2",
        ),
        ("adjoints.shift", lambda x: x, "hand over the class itself"),
        ("adjoints.shift-adjoint", lambda y: y.roll(-1, -1), "the first column comes back in as the last"),
        ("adjoints.shift-adjoint", lambda y: 1 / 0, "it raises ZeroDivisionError"),
        ("adjoints.dot-test", lambda A, x, y: 0.0, "is wrong"),
        ("adjoints.composition", lambda A, B, y: B.adjoint(A.adjoint(y)) * 2, "2 times what it should be"),
        ("adjoints.composition", lambda A, B, y: A.adjoint(B.adjoint(y)), "transposing reverses the order"),
        ("ill-posed.null-image", lambda A: torch.ones(1, 6, 8) / 48**0.5, "the operator does see it"),
        ("ill-posed.null-image", lambda A: torch.zeros(1, 6, 8), "its norm is 0"),
        ("ill-posed.picard", lambda A, y: torch.zeros(8), "it is zero"),
        ("least-squares.gradient", lambda A, x, y: A.adjoint(y - A(x)), "its sign is wrong"),
        ("least-squares.discrepancy", lambda r, s: next((k for k, v in enumerate(r) if v <= s), None), "one too early"),
        ("least-squares.tikhonov", lambda A, y, mu: None, "does the function return it"),
        ("variation.total-variation", lambda x: x.diff(dim=1).abs().sum() + x.diff(dim=2).abs().sum(), "the sum of |down|"),
        ("variation.projection", lambda p, r: p.clamp(-r, r), "keep its direction"),
        ("variation.chambolle-pock", lambda y, weight, steps: y, "is wrong"),
        ("prior.fit", lambda network, z, y, steps: y, "the weights of the network did not move"),
        ("prior.average", lambda images, decay: sum(images) / len(images), "is wrong"),
        (
            "stopping.windowed-variance",
            lambda o, w: [torch.stack(o[k : k + w]).double().var(0).mean() for k in range(4)],
            "not by W - 1",
        ),
        ("stopping.hold-out", lambda mask, fraction, generator: (mask, mask), "in both masks"),
        ("nonlinear.gamma", Squared, "it says that it is linear"),
        ("nonlinear.jvp", lambda A, x, u: (A(x + 1e-5 * u) - A(x)) / 1e-5, "its error falls as h, not as h²"),
        ("nonlinear.gauss-newton", lambda A, x, y: x, "not solved any better"),
        ("own.operator", Same, "takes nothing away"),
        ("own.restore", lambda problem: problem.y, "gains 0.00 dB"),
    ],
)
def test_the_grade_of_a_wrong_answer_says_what_is_wrong(exercise: str, answer: object, words: str) -> None:
    outcome = grade(exercise, answer)
    assert not outcome.passed
    assert any(word in outcome.fault for word in words.split("|")), outcome
    assert repr(outcome) == f"✗ {exercise}: {outcome.fault}"


def test_an_unknown_exercise_is_refused() -> None:
    with pytest.raises(BadValue, match="the nearest are adjoints"):
        grade("adjoint.shifts", None)
    assert repr(Grade("own.restore")) == "✓ own.restore"


def test_a_notebook_is_graded_by_arun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = "from dipops.course import grade\ngrade('prior.average', lambda p, d: p[0] if len(p) == 1 else sum(\n"
    right += "    (d ** (len(p) - 1 - k)) * ((1 - d) if k else 1) * image for k, image in enumerate(p)))"
    cells = [
        {"cell_type": "markdown", "source": ["# mine"], "metadata": {}},
        {"cell_type": "code", "source": ["%matplotlib inline\n", right], "metadata": {}},
    ]
    lesson = tmp_path / "mine.ipynb"
    lesson.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    assert run("grade", lesson) == 1
    assert "1 of 4\n  ✗ prior.parameters: not handed in" in capsys.readouterr().out
    cells.append({"cell_type": "code", "source": "1 / 0", "metadata": {}})
    lesson.write_text(json.dumps({"cells": cells}))
    assert run("grade", lesson) == 1
    assert "cell 2 raises ZeroDivisionError" in capsys.readouterr().out
    lesson.write_text("{")
    with pytest.raises(BadFile, match="save it from Jupyter"):
        grades_of(lesson)
