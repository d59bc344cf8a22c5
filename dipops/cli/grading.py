"""grade: run lessons of the course as a student left them, and grade their exercises."""

from pathlib import Path
from typing import Annotated

import typer

from dipops.cli.outputs import require_inputs
from dipops.course.notebooks import grades_of

Lessons = Annotated[
    list[Path], typer.Argument(help="Notebooks of the course, .ipynb or .md. Their code is run.", callback=require_inputs)
]


def grade(lessons: Lessons) -> None:
    """Run lessons of the course and print a line for each exercise; exit code 1 if one is not correct."""
    passed = [_passes(lesson) for lesson in lessons]
    raise typer.Exit(0 if all(passed) else 1)


def _passes(lesson: Path) -> bool:
    """Print the grades of a lesson; whether every exercise is right."""
    graded = grades_of(lesson)
    passed = sum(grade.passed for grade in graded.grades)
    typer.echo(f"{lesson}: {passed} of {len(graded.grades)}")
    for line in (*graded.grades, *graded.faults):
        typer.echo(f"  {line}")
    return passed == len(graded.grades) and not graded.faults
