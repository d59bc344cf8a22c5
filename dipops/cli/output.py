"""What commands print and write, and what they refuse to write before work begins."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dipops._tools.files import write_whole
from dipops.errors import BadFile, BadValue
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.cost import estimate
from dipops.stopping import StopRule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONG = 60.0


def echo(quiet: bool, text: str) -> None:
    """Print a line, unless the command is quiet."""
    if not quiet:
        typer.echo(text)


def print_cost_estimate(problem: Problem, recipe: Recipe, steps: int | None, quiet: bool) -> None:
    """Print time and memory of a run that will take over a minute, unless the command is quiet."""
    if not quiet and (cost := estimate(problem, recipe.prior, recipe.method, steps or recipe.steps)).seconds > _LONG:
        stops = any(isinstance(monitor, StopRule) for monitor in recipe.monitors)
        typer.echo(f"{cost}{'; a stopping rule may end it sooner' if stops else ''}")


def save_figure(path: Path, figure: "Figure") -> None:
    """Write a figure in the format of the suffix, and close it."""
    import matplotlib.pyplot as plt

    write_whole(path, lambda file: figure.savefig(file, format=figure_format(path), dpi=150))
    plt.close(figure)


def figure_format(path: Path) -> str:
    """The format that the suffix names, or BadValue where no figure can be written so."""
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


def require_writable(path: Path, format_of: Callable[[Path], str] = str) -> None:
    """Refuse, before hours of work, a file that could not be written after them; format_of refuses its suffix."""
    format_of(path)
    if path.is_dir() or not path.parent.is_dir():
        raise BadFile(f"cannot write {path}", "a file in a folder that exists", "make the folder, or choose another name")


def require_distinct_paths(paths: Mapping[str, Path | None]) -> None:
    """Refuse two files of one path; the keys name the files in the message."""
    names: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None and (other := names.setdefault(path.resolve(), name)) != name:
            raise BadValue(f"{name} {path}", f"another file than the {other}", "choose another name")
