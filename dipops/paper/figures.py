"""An experiment's runs as the paper's figure: images in rows and columns, or curves of the objective."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dipops import images
from dipops.paper.config import RunConfig
from dipops.paper.contestants import ORACLE
from dipops.paper.experiments import OBJECTIVE, Experiment
from dipops.paper.grid import Cells, image_grid
from dipops.paper.runs import Run
from dipops.paper.tables import runs_at
from dipops.study import Record, Store, scores_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 4


def figure(row: Experiment, config: RunConfig, runs: Mapping[Run, Record], store: Store, data: Path) -> "Figure":
    """The figure of an experiment from the first seed of its runs.

    Curves where the objective is what is shown; for networks a column a layer or unit and a row a prior; else a row an image,
    four at most, and a column for what was given, for each system over its score, and for the ground truth.

    Raises:
        BadValue: no run is there.
    """
    firsts = runs_at(row, config, {run: record for run, record in runs.items() if run.seed == 0})
    if row.metric == OBJECTIVE:
        drawing = _curves(firsts)
    else:
        shown = {
            (run.image, run.contestant): (images.load(store.image(run.key)), _note(record)) for run, record in firsts.items()
        }
        draw = _by_prior if all(", " in name for name in row.contestants) else _by_image
        drawing = draw(row, config, shown, data)
    drawing.suptitle(row.title if config == RunConfig() else f"{row.title}\n{config}", fontsize=11, wrap=True)
    return drawing


def _curves(runs: Mapping[Run, Record]) -> "Figure":
    import matplotlib.pyplot as plt

    drawing, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for run, record in runs.items():
        curve = record["facts"]["curves"]["objective"]
        axes.loglog(curve["step"], curve["value"], label=run.image, linewidth=1.4)
    axes.set(xlabel="step", ylabel="E = ½ ‖g(θ) − y‖²")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    return drawing


def _by_prior(row: Experiment, config: RunConfig, shown: Cells, data: Path) -> "Figure":
    """The first image that was run: at the left the photo, then what each contestant, named "column, prior", made of it."""
    image = next(image for image in row.images if any(name == image.name for name, _ in shown))
    parts = {name: name.rpartition(", ") for name in row.contestants if (image.name, name) in shown}
    cells = {(prior, column): shown[image.name, name] for name, (column, _, prior) in parts.items()}
    if image.files:
        top, _ = next(iter(cells))
        cells = {(top, "photo"): (row.problem_for(image.name, data, config.crop).y[0], ""), **cells}
    return image_grid(cells)


def _by_image(row: Experiment, config: RunConfig, shown: Cells, data: Path) -> "Figure":
    """What was given, a guide where there is one, what each system made of it, and the ground truth where it is known."""
    names = [image.name for image in row.images if any(name == image.name for name, _ in shown)][:_MOST_ROWS]
    problems = {name: row.problem_for(name, data, config.crop) for name in names}
    guides = {name: problem.operator.guide for name, problem in problems.items()}
    cells = {(name, "given"): (problem.y[0], "") for name, problem in problems.items()}
    cells |= {(name, "guide"): (guide, "") for name, guide in guides.items() if guide is not None}
    cells |= {(name, system): shown[name, system] for system in row.contestants for name in names if (name, system) in shown}
    cells |= {(name, "ground truth"): (p.truth[0], "") for name, p in problems.items() if p.truth is not None}
    return image_grid(cells)


def _note(record: Record) -> str:
    """The scores of the image that is shown, which is that of the first column; never the oracle's."""
    column, scores = next(iter(scores_of(record).items()), ("", {}))
    assert column != ORACLE
    return ", ".join(f"{metric} {value:.2f}" for metric, value in scores.items())
