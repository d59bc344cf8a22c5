"""The command line."""

import io
import sys
from typing import Annotated, Any

import typer

from dipops._tools.files import package_version
from dipops.cli import checking, comparing, grading, lab, lessons, networks, paper, restoring
from dipops.cli.groups import flatten
from dipops.cli.interruption import Interrupted, handled_termination, with_interruption
from dipops.cli.memory import memory_error
from dipops.errors import DipopsError

_UsageError: Any = typer.BadParameter.__base__  # of typer's own Click, or of the package, as its version has it

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inverse problems in imaging: restore images from noisy or incomplete measurements.",
)


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")] = False,
) -> None:
    pass


def version() -> None:
    """Print the version."""
    typer.echo(package_version("dipops"))


for command in (
    *(restoring.denoise, restoring.upscale, restoring.inpaint, restoring.flash),
    *(networks.preimage, networks.maximise),
    *(comparing.compare, comparing.demo, checking.check, grading.grade, lab.lab, version),
):
    app.command()(with_interruption(flatten(command)))
app.add_typer(lessons.app, name="course")
app.add_typer(paper.app, name="paper")


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for σ, and file names, that a terminal cannot show
    try:
        with handled_termination():
            sys.exit(app(prog_name="dipops", standalone_mode=False) or 0)
    except _UsageError as error:
        _end_usage(error)
    except Interrupted as error:
        _end(str(error), error.exit_code)
    except DipopsError as error:
        _end(str(error), 2)
    except KeyboardInterrupt:
        _end("interrupted: nothing was saved", 130)
    except OSError as error:
        _end(f"cannot use {error.filename or 'a file'}: {error.strerror or error}; check the path", 2)
    except (MemoryError, RuntimeError) as error:
        fault = memory_error(error)
        if fault is None:
            raise
        _end(str(fault), 2)


def _end_usage(error: Any) -> None:
    """Print in one line what is wrong with the words of a command; the help, where there were none."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        sys.exit(2)
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    _end(message if error.ctx is None else f"{message}; {error.ctx.get_usage().replace('Usage:', 'usage:')}", 2)


def _end(text: str, exit_code: int) -> None:
    """Print the text in one line, and exit."""
    typer.echo(f"dipops: {' '.join(text.split())}", err=True)
    sys.exit(exit_code)
