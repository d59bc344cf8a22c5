"""Go through the images of a restoring command: one, or a folder that is resumed and listed in a table."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from dipops._tools.progress import progress_bar
from dipops.cli.interruption import interruptible, saved_in
from dipops.cli.jobs import Job
from dipops.cli.memory import memory_error
from dipops.cli.outputs import Outputs
from dipops.cli.restoration import Command, Pose, RestoringOptions, restore, summary
from dipops.cli.writing import echo, make_folder
from dipops.errors import BadValue, DipopsError

TABLE = "results.csv"
_COLUMNS: tuple[str, ...] = ("input", "output", "status", "sigma", "steps", "seconds", "psnr", "message")


def restore_all(
    name: str, request: Mapping[str, Any], pose: Pose, jobs: tuple[list[Job], Path | None], options: RestoringOptions
) -> None:
    """Restore one image, or every image of a folder."""
    every, folder = jobs
    command = Command(name, request, pose, options)
    if folder is None:
        _restore(command, every[0], options.outputs(every[0]))
    else:
        _restore_folder(command, every, folder)


def _restore(command: Command, job: Job, outputs: Outputs) -> None:
    """Restore an image, and print a line."""
    with interruptible(lambda: saved_in(command.options.checkpoint)):
        record = restore(command, job, outputs, lambda line: echo(command.options.run.quiet, line))
    echo(command.options.run.quiet, summary(job, record))


def _restore_folder(command: Command, jobs: Sequence[Job], folder: Path) -> None:
    """Restore what is not finished yet; errors are listed at the end, and one ends the command with exit code 1."""
    options = command.options
    single = {"--figure": options.figure, "--checkpoint": options.checkpoint}
    if given := [name for name, path in single.items() if path is not None]:
        advice = f"leave {given[0]} out; finished images are not made again"
        raise BadValue(f"{given[0]} for several images", "one image", advice)
    make_folder(folder)
    table = Outputs(folder / TABLE, inputs=[job.input for job in jobs], force=options.run.force)
    every = [(job, options.outputs(job)) for job in jobs]
    quiet = replace(command, options=replace(options, run=replace(options.run, quiet=True)))
    rows: list[dict[str, Any]] = []
    finished = partial(_finished, rows, len(jobs))
    going_on = "give the same command again to go on"
    with (
        interruptible(lambda: f"{finished()} are in {folder}; {going_on}"),
        progress_bar(len(jobs), not options.run.quiet, "image") as bar,
    ):
        try:
            for job, outputs in every:
                write = (lambda line: None) if options.run.quiet else bar.write
                rows.append(_row(quiet, job, outputs, write))
                bar.update()
        finally:
            table.write({folder / TABLE: _csv(rows)}, {"command": command.name})
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        name = "" if row["input"] in row["message"] else f"{row['input']}: "
        typer.echo(f"dipops: {name}{row['message']}", err=True)
    echo(options.run.quiet, f"{finished()} are in {folder}; {folder / TABLE} lists them")
    if failed:
        raise typer.Exit(1)


def _finished(rows: Sequence[Mapping[str, Any]], count: int) -> str:
    return f"{sum(row['status'] == 'finished' for row in rows)} of {count} images"


def _row(command: Command, job: Job, outputs: Outputs, write: Callable[[str], object]) -> dict[str, Any]:
    """Restore an image of a folder unless it is finished: its row in the table."""
    row: dict[str, Any] = {"input": str(job.input), "output": str(job.output)}
    try:
        record = outputs.finished(command.asked(job))
        if record is None:
            record = restore(command, job, outputs, write)
            write(summary(job, record))
    except (DipopsError, MemoryError, RuntimeError) as error:
        fault = error if isinstance(error, DipopsError) else memory_error(error)
        if fault is None:
            raise
        return row | {"status": "failed", "message": str(fault)}
    return row | {"status": "finished", **{name: _rounded(record.get(name)) for name in _COLUMNS[3:]}}


def _rounded(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
