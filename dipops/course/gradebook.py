"""Grades of many submissions as a table for a spreadsheet: a row for each submission, a column for each exercise."""

from collections.abc import Sequence
from pathlib import Path

from dipops._tools import tables
from dipops.course.hints import EXERCISES
from dipops.course.judging import plain
from dipops.course.notebooks import Graded

_FORMULA = ("=", "+", "-", "@")


def gradebook(graded: Sequence[tuple[Path, Graded]]) -> str:
    """The table as CSV.

    Columns: submission; points; of (how many there are to get); each exercise of the lessons that were handed in, 1 or 0,
    and empty where the submission is of another lesson; remarks, which say what is wrong.
    """
    given = {grade.exercise for _, outcome in graded for grade in outcome.grades}
    exercises = [name for name in EXERCISES if name in given]
    rows = []
    for path, outcome in graded:
        points = {grade.exercise: int(grade.passed) for grade in outcome.grades}
        marks = [points.get(name, "") for name in exercises]
        rows.append([_text(str(path)), outcome.points, len(points), *marks, _text(remarks(outcome))])
    return tables.csv(["submission", "points", "of", *exercises, "remarks"], rows) + "\n"


def remarks(graded: Graded) -> str:
    """What is wrong, in one line; exercises of one fault together."""
    names: dict[str, list[str]] = {}
    for grade in graded.grades:
        if not grade.passed:
            names.setdefault(grade.fault, []).append(grade.exercise)
    return " | ".join([*(f"{', '.join(exercises)}: {fault}" for fault, exercises in names.items()), *graded.faults])


def _text(text: str) -> str:
    """The text, which no spreadsheet takes for a formula and no encoding refuses."""
    text = plain(text.encode(errors="backslashreplace").decode())
    return f"'{text}" if text.startswith(_FORMULA) else text
