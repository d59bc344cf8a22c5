"""What commands print and write."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from torch import Tensor

from dipops import images
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


def save_image(path: Path, image: Tensor) -> None:
    """Write an image; where that fails after all, write it to the temporary folder, and say so in the BadFile."""
    try:
        images.save(path, image)
    except BadFile as error:
        descriptor, rescue = tempfile.mkstemp(prefix="dipops-", suffix=path.suffix)
        os.close(descriptor)
        images.save(rescue, image)
        came, expected, _ = error.args
        raise BadFile(came, expected, f"the image is in {rescue}") from error


def save_text(path: Path, text: str) -> None:
    """Write a text."""
    write_whole(path, lambda file: file.write(text.encode()))


def make_folder(path: Path) -> None:
    """Make the folder where it does not exist."""
    if path.exists() and not path.is_dir():
        raise BadFile(f"{path} is a file", "a folder", "choose another --output")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"cannot make {path}: {error.strerror}", "a folder", "choose another --output") from error
