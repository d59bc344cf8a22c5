"""What commands print, and the content of the files that they write."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dipops._tools.files import exists
from dipops.errors import BadFile, BadValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def echo(quiet: bool, text: str) -> None:
    """Print a line, unless the command is quiet."""
    if not quiet:
        typer.echo(text)


def figure_content(path: Path, figure: "Figure") -> bytes:
    """The figure in the format of the suffix; it is closed."""
    import matplotlib.pyplot as plt

    file = BytesIO()
    figure.savefig(file, format=figure_format(path), dpi=150)
    plt.close(figure)
    return file.getvalue()


def figure_format(path: Path) -> str:
    """The format that the suffix names, or BadValue where no figure can be written in it."""
    from matplotlib.backend_bases import FigureCanvasBase

    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FigureCanvasBase.get_supported_filetypes():
        raise BadValue(f"{path} with suffix {path.suffix!r}", "a figure such as .png, .svg or .pdf", "choose such a name")
    return suffix


@contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make the folder where it does not exist; where what is within ends in an error, folders that stayed empty go again."""
    if exists(path) and not path.is_dir():
        raise BadFile(f"{path} is a file", "a folder", "choose another name for the folder")
    new = [folder for folder in (path, *path.parents) if not exists(folder)]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"cannot make {path}: {error.strerror}", "a folder", "choose another name for the folder") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in new:
                folder.rmdir()
        raise
