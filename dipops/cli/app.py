"""The command line."""

import sys

import typer

from dipops.cli import comparing, grading, networks, paper, proving, restoring
from dipops.errors import DipopsError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inverse problems in imaging: restore a picture from what is left of it.",
)
for command in (
    *(restoring.denoise, restoring.upscale, restoring.inpaint, restoring.flash),
    *(networks.preimage, networks.maximise),
    *(comparing.compare, comparing.demo, proving.check, grading.grade, proving.version),
):
    app.command()(command)
app.add_typer(paper.app, name="paper")


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    try:
        app()
    except DipopsError as error:
        typer.echo(f"dipops: {error}", err=True)
        sys.exit(2)
