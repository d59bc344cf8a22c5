"""grade: run lessons of the course as they were left, and say what is right."""

from pathlib import Path
from typing import Annotated

import typer

from dipops.course.notebooks import grades_of

Lessons = Annotated[list[Path], typer.Argument(help="Notebooks of the course, .ipynb or .md. Their code is run.")]


def grade(lessons: Lessons) -> None:
    """Grade lessons of the course: runs them and prints a line for every exercise; exit 1 where one is not right."""
    right = True
    for lesson in lessons:
        graded = grades_of(lesson)
        passed = sum(one.passed for one in graded.grades)
        typer.echo(f"{lesson}: {passed} of {len(graded.grades)}")
        for line in (*map(str, graded.grades), *graded.faults):
            typer.echo(f"  {line}")
        right = right and passed == len(graded.grades) and not graded.faults
    raise typer.Exit(0 if right else 1)
