"""Grades submissions of others: each in a process of its own, under limits, by checks that run in this one."""

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from dipops.course.checks import salted
from dipops.course.grading import MISSING, Grade, grade
from dipops.course.notebooks import FENCE, MOST_BYTES, Cell, Graded, cells_of, exercises_of
from dipops.course.sandbox import Limits
from dipops.course.submission import Ended, submitted
from dipops.errors import BadFile, BadValue, first_line

_SUFFIXES = (".ipynb", ".md")
_SALTS = 1 << 40
_LONGEST = 300


def submissions_in(paths: Sequence[Path]) -> list[Path]:
    """The notebooks among the paths, and those in the folders among them, in the order of their names.

    Raises:
        BadFile: a path is missing, or a folder has no notebook in it.
        BadValue: a file is neither .ipynb nor .md.
    """
    return list(dict.fromkeys(found for path in paths for found in _notebooks(path)))


def graded(path: Path, limits: Limits | None = None, stop: Event | None = None) -> Graded:
    """Grade a submission; its code runs in a process of its own, and whatever it does is a fault of its own.

    Each answer is tried on random numbers that are drawn anew. One that ends the process, or takes more than half of the time
    that is left, costs no other answer anything: the rest is graded in another process. The cells have ``limits.seconds``, and
    the answers what is left of twice that.

    Args:
        path: of the notebook.
        limits: by default those of ``Limits``.
        stop: ends the grading once it is set.
    """
    limits, stop = limits or Limits(), stop or Event()
    try:
        cells = cells_of(path)
        exercises = exercises_of(path, cells)
    except BadFile as error:
        return Graded((), (error.args[0],))
    try:
        with salted(secrets.randbelow(_SALTS)):
            return _judged(cells, exercises, limits, stop)
    except Exception as error:  # no submission may end the grading of the others
        return Graded(tuple(Grade(name, MISSING) for name in exercises), (f"it cannot be graded: {plain(first_line(error))}",))


def graded_all(paths: Sequence[Path], limits: Limits | None = None, jobs: int = 1) -> Iterator[tuple[Path, Graded]]:
    """Grade submissions, several at a time, and give each with its grades in the order of the paths.

    Args:
        paths: of the notebooks.
        limits: of each.
        jobs: how many at a time.
    """
    stop = Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(graded, path, limits, stop) for path in paths]
            for path, future in zip(paths, futures, strict=True):
                yield path, future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _notebooks(path: Path) -> list[Path]:
    if not path.exists():
        raise BadFile(f"{path} is missing", "a notebook or a folder of them", "check the path")
    if not path.is_dir():
        if path.suffix not in _SUFFIXES:
            raise BadValue(f"{path}", "a notebook, .ipynb or .md", "save it from Jupyter")
        return [path]
    files = [file for file in sorted(path.rglob("*")) if file.suffix in _SUFFIXES and not file.is_dir()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    visible = [file for file in shown if _may_be_notebook(file)]
    if not visible:
        raise BadFile(f"{path} without a notebook", "a folder with files .ipynb or .md", "check the path")
    return visible


def _may_be_notebook(path: Path) -> bool:
    """Whether a file is to be graded: a text in Markdown without a cell is not; what cannot be read is, and says so then."""
    if path.suffix != ".md" or not path.is_file():
        return True
    try:
        with path.open("rb") as file:
            return FENCE.encode() in file.read(MOST_BYTES)
    except OSError:
        return True


def _judged(cells: list[Cell], exercises: list[str], limits: Limits, stop: Event) -> Graded:
    """The grades of all exercises, by as many processes as answers end one."""
    codes, until = [cell.code for cell in cells], time.monotonic() + 2 * limits.seconds
    faults: dict[str, str] = {}
    raised: tuple[str, ...] = ()
    while missing := [name for name in exercises if name not in faults]:
        name = ""
        try:
            with submitted(codes, limits, min(until, time.monotonic() + limits.seconds), stop) as submission:
                raised = submission.faults
                for name in missing:
                    now = time.monotonic()
                    submission.until = now + (until - now) / 2
                    faults[name] = grade(name, submission.answer(name)).fault if submission.handed_in(name) else MISSING
        except Ended as end:
            faults |= dict.fromkeys([name] if name else missing, str(end))
    grades = tuple(Grade(name, plain(faults[name])) for name in exercises)
    return Graded(grades, tuple(map(plain, raised)))


def plain(text: str) -> str:
    """A text or path of a submission that may be printed: one line, no control characters, not long."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:_LONGEST])
