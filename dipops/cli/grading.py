"""grade: run lessons of the course as students left them, each in a process of its own, and grade their exercises."""

from pathlib import Path
from typing import Annotated

import typer

from dipops.cli.interruption import NOTHING, interruptible
from dipops.cli.outputs import Outputs, require_inputs
from dipops.course.gradebook import gradebook
from dipops.course.judging import graded_all, plain, submissions_in
from dipops.course.notebooks import Graded
from dipops.course.sandbox import Limits, missing_locks

Lessons = Annotated[
    list[Path],
    typer.Argument(help="Notebooks of the course, .ipynb or .md, or folders of them.", callback=require_inputs),
]
Table = Annotated[Path | None, typer.Option("--csv", help="File for the grades, one row for each submission.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds for the cells of each submission, and again for its answers.")]
Jobs = Annotated[int, typer.Option(min=1, help="Number of submissions to grade at a time.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a table that dipops did not write.")]


def grade(lessons: Lessons, csv: Table = None, timeout: Timeout = 120, jobs: Jobs = 1, force: Force = False) -> None:
    """Run lessons of the course, each in a process of its own, and print a line for each exercise.

    Exit code 0: every exercise of every submission is right; 1: one is not, or a submission is broken; 2: nothing was graded.
    """
    paths = submissions_in(lessons)
    outputs = Outputs(csv, inputs=paths, force=force) if csv else None
    if missing := missing_locks():
        typer.echo(f"dipops: this machine cannot keep submissions from {', '.join(missing)}: grade in a container", err=True)
    results: list[tuple[Path, Graded]] = []

    def write() -> str:
        """Write the table of what is graded so far, and say so."""
        if csv and outputs and results:
            outputs.write({csv: gradebook(results).encode("utf-8-sig")}, {"submissions": len(results)})
            return f"{csv} has the grades of {len(results)} of {len(paths)} submissions"
        return NOTHING

    with interruptible(write):
        for path, graded in graded_all(paths, Limits(seconds=timeout), jobs):
            _print(path, graded)
            results.append((path, graded))
    write()
    raise typer.Exit(0 if all(graded.passed for _, graded in results) else 1)


def _print(path: Path, graded: Graded) -> None:
    typer.echo(f"{plain(str(path))}: {graded.points} of {len(graded.grades)}")
    for line in (*graded.grades, *graded.faults):
        typer.echo(f"  {line}")
