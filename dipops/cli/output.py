"""What commands print and write, and what they refuse to write before work begins."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dipops._tools.files import write_whole
from dipops.errors import BadFile, BadValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def echo(quiet: bool, text: str) -> None:
    """Print a line, unless the command is quiet."""
    if not quiet:
        typer.echo(text)


def save_figure(path: Path, figure: "Figure") -> None:
    """Write a figure in the format of the suffix, and close it."""
    import matplotlib.pyplot as plt

    write_whole(path, lambda file: figure.savefig(file, format=figure_format(path), dpi=150))
    plt.close(figure)


def figure_format(path: Path) -> str:
    """The format that the suffix names, or BadValue where no figure can be written in it."""
    from matplotlib.backend_bases import FigureCanvasBase

    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FigureCanvasBase.get_supported_filetypes():
        raise BadValue(f"{path} with suffix {path.suffix!r}", "a figure such as .png, .svg or .pdf", "choose such a name")
    return suffix


def make_folder(path: Path) -> None:
    """Make the folder where it does not exist."""
    if path.exists() and not path.is_dir():
        raise BadFile(f"{path} is a file", "a folder", "choose another --output")
    path.mkdir(parents=True, exist_ok=True)


def require_writable(*paths: Path | None) -> None:
    """Refuse, before hours of work, files that could not be written after them, and one file for two things."""
    files = [path.resolve() for path in paths if path is not None]
    for file in files:
        if file.is_dir() or not file.parent.is_dir():
            raise BadFile(f"cannot write {file}", "a file in a folder that exists", "make the folder, or choose another name")
        if files.count(file) > 1:
            raise BadValue(f"{file} would be written twice", "files of different names", "choose another name")
