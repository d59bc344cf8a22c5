"""Reads a lesson as a student left it; runs it in this process, and collects its grades."""

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dipops._tools.files import require_regular
from dipops.course.grading import MISSING, Grade, collect_grades
from dipops.course.hints import EXERCISES
from dipops.errors import BadFile, first_line

FENCE, _END, _RULE = "```{code-cell}", "```", "---"
_TAGS = re.compile(r":tags: \[([^\]]*)\]")
_TIME = re.compile(r"^(\s*)%time\s+(?=\w)")
_LINE = re.compile(r"^(\s*)(?:[%!]{1,2}\w.*|\?{1,2}[\w.]+|[\w.]+\?{1,2})$")
_ASSIGNED = re.compile(r"^(\s*[\w, .]+=\s*)[!%]\w.*$")
_TIMED = ("%%time", "%%timeit", "%%capture", "%%prun")
_TAG = "exercise-"
MOST_BYTES = 10 << 20


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
        faults: what else is wrong, such as what the other cells raised, a line each.
    """

    grades: tuple[Grade, ...]
    faults: tuple[str, ...]

    @property
    def points(self) -> int:
        """One for each exercise that is right."""
        return sum(grade.passed for grade in self.grades)

    @property
    def passed(self) -> bool:
        """Whether every exercise is right, and nothing else is wrong."""
        return self.points == len(self.grades) and not self.faults


def cells_of(path: Path) -> list[Cell]:
    """The cells of code of a notebook, .ipynb or MyST Markdown (.md).

    Raises:
        BadFile: it cannot be read, or is larger than 10 MB.
    """
    try:
        require_regular(path)
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 20} MB")
        text = content.decode("utf-8-sig")
        cells = _from_jupyter(text) if path.suffix == ".ipynb" else _from_markdown(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = error.args[0] if isinstance(error, BadFile) else first_line(error)
        raise BadFile(f"{path} cannot be read: {reason}", "a notebook, .ipynb or .md", "save it from Jupyter") from error
    return cells


def exercises_of(path: Path, cells: list[Cell]) -> list[str]:
    """All exercises of the lessons of which any exercise is in the cells.

    Raises:
        BadFile: there is none.
    """
    code = "".join(cell.code for cell in cells).replace("'", '"')
    tagged = {cell.exercise for cell in cells}
    lessons = {name.partition(".")[0] for name in EXERCISES if name in tagged or f'"{name}"' in code}
    if not lessons:
        raise BadFile(f"{path} without an exercise", "a lesson of the course", "see docs/course")
    return [name for name in EXERCISES if name.partition(".")[0] in lessons]


def grades_of(path: Path, solutions: Mapping[str, str] | None = None) -> Graded:
    """Run every cell of a lesson of one's own, one after the other, and collect what is graded.

    The code is run in this process, with all its rights; what others wrote is for ``dipops.course.graded``. If a cell raises,
    the next ones still run.

    Args:
        path: of the notebook.
        solutions: by exercise, code that replaces the cell that is marked for it.

    Raises:
        BadFile: the notebook cannot be read, or has no exercise in it.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    cells = cells_of(path)
    exercises = exercises_of(path, cells)
    codes = [(solutions or {}).get(cell.exercise, cell.code) if cell.exercise else cell.code for cell in cells]
    with collect_grades() as grades, redirect_stdout(io.StringIO()):
        faults = run_cells(codes, path.name)
    last = {grade.exercise: grade for grade in grades}
    return Graded(tuple(last.get(name, Grade(name, MISSING)) for name in exercises), tuple(faults))


def run_cells(codes: Iterable[str], name: str = "notebook", begin: Callable[[int], object] = lambda number: None) -> list[str]:
    """Run cells one after the other in one namespace, and give what they raise, a line each.

    Args:
        codes: of the cells.
        name: of the notebook, for tracebacks.
        begin: called with the number of each cell, from 1, before it runs.
    """
    faults = []
    space: dict[str, Any] = {"__name__": "__main__", "display": _nothing, "get_ipython": _Shell}
    for number, code in enumerate(codes, 1):
        begin(number)
        try:
            exec(compile(without_magics(code), f"{name}, cell {number}", "exec"), space)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # whatever a student's cell raises
            faults.append(f"cell {number} raises {type(error).__name__}: {first_line(error)}")
    return faults


def without_magics(code: str) -> str:
    """The code without what only Jupyter understands: magics but %time, shell commands and questions do nothing."""
    first, _, rest = code.lstrip().partition("\n")
    if first.startswith("%%"):
        return without_magics(rest) if first.split()[0] in _TIMED else ""
    try:
        compile(code, "cell", "exec")
    except (SyntaxError, ValueError):
        timed = [_TIME.sub(r"\1", line) for line in code.splitlines()]
        lines = [_ASSIGNED.sub(r"\1None", _LINE.sub(r"\1pass", line)) for line in timed]
        return "\n".join(lines)
    return code


class _Shell:
    """Stands for IPython's shell: every method does nothing."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _nothing(*values: Any, **options: Any) -> None:
    pass


def _from_jupyter(text: str) -> list[Cell]:
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [Cell("".join(cell["source"]), _exercise(cell.get("metadata", {}).get("tags", ()))) for cell in cells]


def _from_markdown(text: str) -> list[Cell]:
    return [part for part in parts_of(text) if isinstance(part, Cell)]


def parts_of(text: str) -> list[Cell | str]:
    """The cells of a lesson in MyST Markdown, and as text what stands between them, without its header.

    Raises:
        ValueError: the last cell has no end.
    """
    parts: list[Cell | str] = []
    block, prose = None, []
    for line in _without_header(text.splitlines()):
        if block is None and line.startswith(FENCE):
            parts += ["\n".join(prose).strip()] if any(map(str.strip, prose)) else []
            block, prose = [], []
        elif block is None:
            prose.append(line)
        elif line.rstrip() == _END:
            parts.append(_cell(block))
            block = None
        else:
            block.append(line)
    if block is not None:
        raise ValueError("its last cell has no end")
    return [*parts, *(["\n".join(prose).strip()] if any(map(str.strip, prose)) else [])]


def _without_header(lines: list[str]) -> list[str]:
    return lines[lines.index(_RULE, 1) + 1 :] if lines[:1] == [_RULE] and _RULE in lines[1:] else lines


def _cell(lines: list[str]) -> Cell:
    tags = _TAGS.fullmatch(lines[0].rstrip()) if lines else None
    names = [tag.strip() for tag in tags.group(1).split(",")] if tags else []
    return Cell("\n".join(lines[1:] if tags else lines), _exercise(names))


def _exercise(tags: Any) -> str:
    return next((tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)), "")
