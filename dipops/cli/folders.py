"""Go through the images of a restoring command: one, or a folder that is resumed and listed in a table."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from dipops._tools.files import plain_values
from dipops._tools.progress import progress_bar
from dipops.cli.interruption import NOTHING, interruptible, saved_in
from dipops.cli.jobs import Job, require_different
from dipops.cli.memory import memory_error
from dipops.cli.outputs import Occupied, Outputs
from dipops.cli.restoration import Command, Pose, RestoringOptions, restore, summary
from dipops.cli.writing import echo, made_folder
from dipops.errors import BadValue, DipopsError, first_line

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
    saved = NOTHING if command.options.tile else None
    with interruptible(lambda: saved or saved_in(command.options.checkpoint)):
        record = restore(command, job, outputs, lambda line: echo(command.options.run.quiet, line))
    echo(command.options.run.quiet, summary(job, record))


def _restore_folder(command: Command, jobs: Sequence[Job], folder: Path) -> None:
    """Restore what is not finished yet; errors are listed at the end, and one ends the command with exit code 1."""
    options = command.options
    single = {"--figure": options.figure, "--checkpoint": options.checkpoint}
    if given := [name for name, path in single.items() if path is not None]:
        advice = f"leave {given[0]} out; finished images are not made again"
        raise BadValue(f"{given[0]} for several images", "one image", advice)
    require_different(jobs, options.dip.runs)
    with made_folder(folder):
        table = _table(folder, options)
        every = [(job, _outputs(options, job)) for job in jobs]
        faults = [outputs for _, outputs in every if isinstance(outputs, DipopsError)]
        if len(faults) == len(jobs):
            raise faults[0]
        rows: list[dict[str, Any]] = []
        try:
            _restore_jobs(command, every, rows, folder)
        finally:
            table.write({table.main: _csv(rows)}, {"command": command.name})
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        name = "" if row["input"] in row["message"] else f"{row['input']}: "
        typer.echo(f"dipops: {name}{row['message']}", err=True)
    echo(options.run.quiet, f"{_finished(rows, len(jobs))} are in {folder}; {table.main} lists them")
    if failed:
        raise typer.Exit(1)


def _restore_jobs(
    command: Command, every: Sequence[tuple[Job, Outputs | DipopsError]], rows: list[dict[str, Any]], folder: Path
) -> None:
    """Restore the images, and add a row for each."""
    run = command.options.run
    quiet = replace(command, options=replace(command.options, run=replace(run, quiet=True)))
    with (
        interruptible(lambda: f"{_finished(rows, len(every))} are in {folder}; give the same command again to go on"),
        progress_bar(len(every), not run.quiet, "image") as bar,
    ):
        for job, outputs in every:
            rows.append(_row(quiet, job, outputs, (lambda line: None) if run.quiet else bar.write))
            bar.update()


def _table(folder: Path, options: RestoringOptions, number: int = 1) -> Outputs:
    """The table of the results, under the next number where someone has changed the last one."""
    try:
        return Outputs(folder / (f"results-{number}.csv" if number > 1 else "results.csv"), force=options.run.force)
    except Occupied:
        return _table(folder, options, number + 1)


def _outputs(options: RestoringOptions, job: Job) -> Outputs | DipopsError:
    """The files that are written for an image, or why they cannot be."""
    try:
        return options.outputs(job)
    except DipopsError as error:
        return error


def _finished(rows: Sequence[Mapping[str, Any]], count: int) -> str:
    return f"{sum(row['status'] == 'finished' for row in rows)} of {count} images"


def _row(command: Command, job: Job, outputs: Outputs | DipopsError, write: Callable[[str], object]) -> dict[str, Any]:
    """Restore an image of a folder unless it is finished: its row in the table."""
    row: dict[str, Any] = {"input": str(job.input), "output": str(job.output)}
    try:
        if isinstance(outputs, DipopsError):
            raise outputs
        record = outputs.finished()
        if record is None or _essence(record) != _essence(plain_values(command.asked(job))):
            record = restore(command, job, outputs, write)
            write(summary(job, record))
    except Exception as error:  # one image must not end the work on all others
        fault = error if isinstance(error, DipopsError) else memory_error(error)
        message = str(fault) if fault else f"{type(error).__name__}: {first_line(error)}; restore it alone to see more"
        return row | {"status": "failed", "message": message}
    return row | {"status": "finished", **{name: _rounded(record.get(name)) for name in _COLUMNS[3:]}}


def _essence(record: Mapping[str, Any]) -> list[Any]:
    """What the result depends on: the request and the content of the files, wherever they are."""
    contents = {role: file["sha256"] for role, file in record.get("files", {}).items()}
    return [record.get("command"), record.get("request"), contents]


def _rounded(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
