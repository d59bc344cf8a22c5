"""The lessons as notebooks to hand out, also with the metadata of nbgrader."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from dipops.course.notebooks import Cell, parts_of
from dipops.errors import BadFile

_SCHEMA = 3
_CALL = 'grade("'
_KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def lessons() -> list[Path]:
    """The files of the lessons, in their order: those of the package, or of the clone that it runs from.

    Raises:
        BadFile: neither has them.
    """
    clone = Path(__file__).parents[2] / "docs" / "course"
    folders = (Path(str(files("dipops"))) / "data" / "course", clone)
    found = next((names for folder in folders if (names := list(folder.glob("[0-9]*-*.md")))), None)
    if found is None:
        raise BadFile("no lessons in this installation", "dipops from its wheel or from a clone", "install it again")
    return sorted(found, key=lambda path: int(path.name.partition("-")[0]))


def notebook(lesson: Path, nbgrader: bool = False) -> str:
    """A lesson as a Jupyter notebook, format 4.5.

    Args:
        lesson: its Markdown file.
        nbgrader: make two cells of each exercise: one to fill in, and a locked one of one point, which asserts that the
            answer is right.
    """
    cells: list[dict[str, Any]] = []
    for part in parts_of(lesson.read_text("utf-8")):
        if isinstance(part, str):
            cells.append(_cell("markdown", _between_notebooks(part)))
        elif nbgrader and part.exercise:
            cells += _graded_cells(part)
        else:
            tags = {"tags": [f"exercise-{part.exercise}"]} if part.exercise else {}
            cells.append(_cell("code", part.code, tags))
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells, 1)]
    return json.dumps(
        {"cells": numbered, "metadata": _KERNEL, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False
    )


def _between_notebooks(text: str) -> str:
    """Links to lessons lead to their notebooks; of links to other pages the words stay."""
    return re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", re.sub(r"\]\(([0-9]+-[\w-]+)\.md\)", r"](\1.ipynb)", text))


def _graded_cells(part: Cell) -> list[dict[str, Any]]:
    blank, _, call = part.code.rpartition(_CALL)
    name = part.exercise.replace(".", "-")
    test = f"outcome = {_CALL}{call.rstrip()}\nassert outcome.passed, outcome"
    answer = {"grade": False, "solution": True, "locked": False, "grade_id": name}
    proof = {"grade": True, "solution": False, "locked": True, "grade_id": f"{name}-test", "points": 1}
    return [_cell("code", blank.rstrip(), _metadata(answer)), _cell("code", test, _metadata(proof))]


def _metadata(about: dict[str, Any]) -> dict[str, Any]:
    return {"nbgrader": {**about, "task": False, "schema_version": _SCHEMA, "cell_type": "code"}}


def _cell(kind: str, source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    code = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": metadata or {}, "source": source, **code}
