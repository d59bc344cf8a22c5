"""An experiment's runs as the paper's figure: pictures side by side, or curves of the objective."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dipops import images
from dipops.paper.contestants import ORACLE
from dipops.paper.experiments import OBJECTIVE, Experiment
from dipops.paper.store import Store
from dipops.paper.tables import Run, runs_of
from dipops.paper.tasks import Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CASES = 4
_TILE = 2.1


def figure(row: Experiment, size: Size, runs: Sequence[Run], store: Store, data: Path) -> "Figure":
    """The figure of an experiment from the first seed of its runs.

    Curves where the objective is what is shown; for networks a column a layer or unit and a row a prior; else a row a picture,
    four at most, and a column for what was given, for each system over its score, and for the truth.

    Raises:
        BadValue: no run is there.
    """
    firsts = runs_of(row, size, [run for run in runs if run.task.seed == 0])
    found = {(run.task.case, run.task.contestant): run for run in firsts}
    if row.metric == OBJECTIVE:
        drawing = _curves(row, list(found.values()))
    elif all(", " in name for name in row.contestants):
        drawing = _by_prior(row, found, store, data, size)
    else:
        drawing = _side_by_side(row, found, store, data, size)
    drawing.suptitle(f"{row.title}\n{size}" if not size.whole else row.title, fontsize=11, wrap=True)
    return drawing


Found = dict[tuple[str, str], Run]


def _curves(row: Experiment, runs: Sequence[Run]) -> "Figure":
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for run in runs:
        curve = run.record["facts"]["curves"]["objective"]
        axes.loglog(curve["step"], curve["value"], label=run.task.case, linewidth=1.4)
    axes.set(xlabel="step", ylabel="E = ½ ‖g(θ) − y‖²")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    return drawing


def _by_prior(row: Experiment, found: Found, store: Store, data: Path, size: Size) -> "Figure":
    """Of the first picture, which stands at the left, where there is one."""
    case = next(case.name for case in row.cases if any(key[0] == case.name for key in found))
    parts = {name: name.rpartition(", ")[::2] for name in row.contestants if (case, name) in found}
    columns, rows = (list(dict.fromkeys(part[place] for part in parts.values())) for place in (0, 1))
    photos = [row.posed(case, data, size.crop).y[0]] if row.case(case).sources else []
    drawing, grid = _grid(len(rows), len(photos) + len(columns))
    for photo in photos:
        _show(grid[0][0], photo, "")
        grid[0][0].set_title("photo", fontsize=10)
    for name, (column, prior) in parts.items():
        axes = grid[rows.index(prior)][len(photos) + columns.index(column)]
        run = found[case, name]
        _show(axes, images.load(store.picture(run.task.key)), _scored(run))
        axes.set_title(column if prior == rows[0] else "", fontsize=10)
        if column == columns[0]:
            _label(axes, prior)
    return drawing


def _side_by_side(row: Experiment, found: Found, store: Store, data: Path, size: Size) -> "Figure":
    """What was given, a guide where there is one, what each system made of it, and the truth where it is known."""
    cases = [case.name for case in row.cases if any(key[0] == case.name for key in found)][:_MOST_CASES]
    names = [name for name in row.contestants if any(key[1] == name for key in found)]
    lines: list[dict[str, tuple[Tensor, str]]] = []
    for case in cases:
        problem = row.posed(case, data, size.crop)
        made = {name: found[case, name] for name in names if (case, name) in found}
        shown = {name: (images.load(store.picture(run.task.key)), _scored(run)) for name, run in made.items()}
        guide = {} if problem.operator.guide is None else {"guide": (problem.operator.guide, "")}
        truth = {} if problem.truth is None else {"truth": (problem.truth[0], "")}
        lines.append({"given": (problem.y[0], ""), **guide, **shown, **truth})
    heads = [head for head in ("given", "guide", *names, "truth") if any(head in line for line in lines)]
    drawing, grid = _grid(len(cases), len(heads))
    for axes_of_line, line, case in zip(grid, lines, cases, strict=True):
        _label(axes_of_line[0], case)
        for axes, head in zip(axes_of_line, heads, strict=True):
            axes.set_title(head if case == cases[0] else "", fontsize=10)
            if head in line:
                _show(axes, *line[head])
    return drawing


def _grid(rows: int, columns: int) -> tuple["Figure", Any]:
    import matplotlib.pyplot as plt

    size = (_TILE * columns + 0.3, (_TILE + 0.25) * rows + 0.5)
    drawing, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="compressed")
    for axes in grid.flat:
        axes.set_axis_off()
    return drawing, grid


def _show(axes: Any, picture: Tensor, note: str) -> None:
    axes.imshow(images.to_pil(picture), cmap="gray", vmin=0, vmax=255)
    axes.text(0.5, -0.03, note, transform=axes.transAxes, ha="center", va="top", fontsize=8)


def _label(axes: Any, text: str) -> None:
    axes.text(-0.05, 0.5, text, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=10)


def _scored(run: Run) -> str:
    """The scores of the picture that is shown, which is that of the first column; never the oracle's."""
    column, scores = next(iter(run.scores.items()), ("", {}))
    assert column != ORACLE
    return ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
