"""Images in rows and columns, each over a note."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from dipops import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cells = Mapping[tuple[str, str], tuple[Tensor, str]]
"""An image and its note by row and column."""
_TILE = 2.0


def image_grid(cells: Cells) -> "Figure":
    """A figure of images, with the names of the rows at the left and those of the columns on top, in the order of the cells."""
    import matplotlib.pyplot as plt

    rows, columns = (list(dict.fromkeys(names[axis] for names in cells)) for axis in (0, 1))
    size = (_TILE * len(columns) + 0.3, (_TILE + 0.25) * len(rows) + 0.5)
    figure, grid = plt.subplots(len(rows), len(columns), figsize=size, squeeze=False, layout="compressed")
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=10)
    for (axes, *_), name in zip(grid, rows, strict=True):
        axes.text(-0.05, 0.5, name, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=10)
    for (row, column), (image, note) in cells.items():
        axes = grid[rows.index(row)][columns.index(column)]
        axes.imshow(images.to_pil(image), cmap="gray", vmin=0, vmax=255)
        axes.text(0.5, -0.03, note, transform=axes.transAxes, ha="center", va="top", fontsize=8)
    return figure
