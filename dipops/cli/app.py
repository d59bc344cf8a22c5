"""The command line."""

import sys

import typer

from dipops._tools.files import package_version
from dipops.cli import checking, comparing, grading, networks, paper, restoring
from dipops.cli.groups import flatten
from dipops.errors import DipopsError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inverse problems in imaging: restore images from noisy or incomplete measurements.",
)


def version() -> None:
    """Print the version."""
    typer.echo(package_version("dipops"))


for command in (
    *(restoring.denoise, restoring.upscale, restoring.inpaint, restoring.flash),
    *(networks.preimage, networks.maximise),
    *(comparing.compare, comparing.demo, checking.check, grading.grade, version),
):
    app.command()(flatten(command))
app.add_typer(paper.app, name="paper")


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    try:
        app()
    except DipopsError as error:
        typer.echo(f"dipops: {error}", err=True)
        sys.exit(2)
