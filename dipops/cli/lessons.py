"""course: the lessons as notebooks."""

from pathlib import Path
from typing import Annotated

import typer

from dipops.cli.interruption import with_interruption
from dipops.cli.options import Force
from dipops.cli.outputs import Outputs
from dipops.cli.writing import made_folder
from dipops.course.lessons import lessons, notebook

app = typer.Typer(no_args_is_help=True, help="The course: its lessons as notebooks.")

Folder = Annotated[Path, typer.Argument(help="Where to write the notebooks.")]
Nbgrader = Annotated[bool, typer.Option("--nbgrader", help="With nbgrader's metadata: cells to fill in, and locked tests.")]


@app.callback()
def _group() -> None:
    pass


@app.command()
@with_interruption
def export(folder: Folder, nbgrader: Nbgrader = False, force: Force = False) -> None:
    """Write every lesson as a notebook."""
    notebooks = {lesson.stem: notebook(lesson, nbgrader).encode() for lesson in lessons()}
    main, *others = files = {folder / f"{name}.ipynb": content for name, content in notebooks.items()}
    with made_folder(folder):
        Outputs(main, others, force=force).write(files, {"nbgrader": nbgrader})
    typer.echo(f"{len(files)} notebooks in {folder}")
