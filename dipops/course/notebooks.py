"""Runs a lesson as a student left it, and collects its grades."""

import io
import json
import re
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dipops.course.grading import EXERCISES, Grade, collect_grades
from dipops.errors import BadFile, first_line

_BLOCK = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TAGS = re.compile(r"\A:tags: \[(.*?)\]\n")
_MAGIC = re.compile(r"^(\s*)(?:[%!]{1,2}\w.*|\w[\w.]*\?{1,2})$")
_TAG = "exercise-"


@dataclass(frozen=True)
class Cell:
    """A cell of code.

    Attributes:
        code: its text.
        exercise: whose answer it holds, or empty.
    """

    code: str
    exercise: str = ""


@dataclass(frozen=True)
class Graded:
    """The outcome of a lesson.

    Attributes:
        grades: of every exercise of the lesson, the last one where there are several; a missing exercise is not passed.
        faults: what the other cells raised, a line each.
    """

    grades: tuple[Grade, ...]
    faults: tuple[str, ...]


def cells_of(path: Path) -> list[Cell]:
    """The cells of code of a notebook, .ipynb or MyST Markdown (.md).

    Raises:
        BadFile: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        cells = _from_jupyter(text) if path.suffix == ".ipynb" else _from_markdown(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path} cannot be read: {error}", "a notebook, .ipynb or .md", "save it from Jupyter") from error
    return cells


def grades_of(path: Path, solutions: Mapping[str, str] | None = None) -> Graded:
    """Run every cell of a lesson, one after the other, and collect what is graded.

    The code is run unchanged, with all the rights of whoever runs this. If a cell raises, the next ones still run.

    Args:
        path: of the notebook.
        solutions: by exercise, code that replaces the cell that is marked for it.

    Raises:
        BadFile: the notebook cannot be read, or has no exercise in it.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    faults = []
    space: dict[str, Any] = {"__name__": "__main__", "display": lambda *values, **options: None}
    cells = cells_of(path)
    exercises = _exercises_of(cells)
    if not exercises:
        raise BadFile(f"{path} without an exercise", "a lesson of the course", "see docs/course")
    with collect_grades() as grades, redirect_stdout(io.StringIO()):
        for number, cell in enumerate(cells, 1):
            code = (solutions or {}).get(cell.exercise, cell.code) if cell.exercise else cell.code
            try:
                exec(compile(code, f"{path.name}, cell {number}", "exec"), space)
            except (Exception, SystemExit) as error:  # whatever a student's cell raises
                faults.append(f"cell {number} raises {type(error).__name__}: {first_line(error)}")
    last = {grade.exercise: grade for grade in grades}
    return Graded(tuple(last.get(name, Grade(name, "not handed in")) for name in exercises), tuple(faults))


def _exercises_of(cells: list[Cell]) -> list[str]:
    """All exercises of the lessons of which any exercise is in the cells."""
    code = "".join(cell.code for cell in cells).replace("'", '"')
    tagged = {cell.exercise for cell in cells}
    lessons = {name.partition(".")[0] for name in EXERCISES if name in tagged or f'"{name}"' in code}
    return [name for name in EXERCISES if name.partition(".")[0] in lessons]


def _from_jupyter(text: str) -> list[Cell]:
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [Cell(_plain("".join(cell["source"])), _exercise(cell.get("metadata", {}).get("tags", ()))) for cell in cells]


def _from_markdown(text: str) -> list[Cell]:
    cells = []
    for block in _BLOCK.findall(text):
        tags = _TAGS.match(block)
        names = [tag.strip() for tag in tags.group(1).split(",")] if tags else []
        cells.append(Cell(_plain(_TAGS.sub("", block)), _exercise(names)))
    return cells


def _exercise(tags: Any) -> str:
    return next((tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)), "")


def _plain(code: str) -> str:
    """The code without the lines that only Jupyter understands."""
    return "\n".join(_MAGIC.sub(r"\1pass", line) for line in code.splitlines())
