"""Runs a lesson as a student left it, and collects its grades."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dipops.course.grading import Grade, noted
from dipops.errors import BadFile

_BLOCK = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TAGS = re.compile(r"\A:tags: \[(.*?)\]\n")
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
    """What came of a lesson.

    Attributes:
        grades: in the order in which they were asked for, the last one of each exercise.
        faults: what the other cells raised, a line each.
    """

    grades: tuple[Grade, ...]
    faults: tuple[str, ...]


def cells_of(path: Path) -> list[Cell]:
    """The cells of code of a notebook, .ipynb or MyST Markdown (.md).

    Raises:
        BadFile: it cannot be read, or is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = _from_jupyter(text) if path.suffix == ".ipynb" else _from_markdown(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path} cannot be read: {error}", "a notebook, .ipynb or .md", "save it from Jupyter") from error
    if not found:
        raise BadFile(f"{path} without a cell of code", "a lesson of the course", "see docs/course")
    return found


def grades_of(path: Path, solutions: Mapping[str, str] | None = None) -> Graded:
    """Run every cell of a lesson, one after the other, and collect what is graded.

    The code is run as it stands, with all the rights of whoever runs this. A cell that raises does not stop the next.

    Args:
        path: of the notebook.
        solutions: by exercise, code that takes the place of the cell that is marked for it.

    Raises:
        BadFile: the notebook cannot be read.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    faults = []
    space: dict[str, Any] = {"__name__": "__main__"}
    with noted() as grades:
        for number, cell in enumerate(cells_of(path), 1):
            code = (solutions or {}).get(cell.exercise, cell.code) if cell.exercise else cell.code
            try:
                exec(compile(code, f"{path.name}, cell {number}", "exec"), space)
            except Exception as error:  # whatever a student's cell raises
                faults.append(
                    f"cell {number} raises {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                )
    last = {grade.exercise: grade for grade in grades}
    return Graded(tuple(last.values()), tuple(faults))


def _from_jupyter(text: str) -> list[Cell]:
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [Cell(_plain("".join(cell["source"])), _exercise(cell.get("metadata", {}).get("tags", ()))) for cell in cells]


def _from_markdown(text: str) -> list[Cell]:
    found = []
    for block in _BLOCK.findall(text):
        tags = _TAGS.match(block)
        names = [tag.strip() for tag in tags.group(1).split(",")] if tags else []
        found.append(Cell(_plain(_TAGS.sub("", block)), _exercise(names)))
    return found


def _exercise(tags: Any) -> str:
    return next((tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)), "")


def _plain(code: str) -> str:
    """Without the lines that only Jupyter understands."""
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in code.splitlines())
