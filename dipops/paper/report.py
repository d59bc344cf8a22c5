"""All that a store holds as one HTML page that needs no other file."""

import base64
import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from dipops import images
from dipops.errors import BadValue
from dipops.paper.config import RunConfig
from dipops.paper.experiments import EXPERIMENTS, Experiment
from dipops.paper.figures import figure
from dipops.paper.runs import Run, finished
from dipops.paper.tables import runs_at, table
from dipops.study import Record, Store, machine, versions

_WIDTH, _HEIGHT = 320, 120
_CURVES = {"psnr_average": "PSNR of the average", "psnr": "PSNR", "objective": "objective"}


def report(store: Store, data: Path) -> tuple[str, int]:
    """The page, and how many experiments are on it.

    For each experiment and each configuration that was run: the table, the figure, for each image what was given and the
    answer of the paper's method under a slider, the curves of every run, and what it was run with.

    Raises:
        BadValue: there is no run.
        BadFile: an image of the data cannot be read.
    """
    from jinja2 import Environment

    runs_of = {row.name: finished(row, store) for row in EXPERIMENTS.values()}
    sections = [
        _section(row, config, runs_at(row, config, runs_of[row.name]), store, data)
        for row in EXPERIMENTS.values()
        for config in dict.fromkeys(run.config for run in runs_of[row.name])
    ]
    if not sections:
        raise BadValue(f"{store.folder} without a run", "at least one", "run an experiment first")
    page = Environment(autoescape=True).from_string(files("dipops.paper").joinpath("report.html").read_text("utf-8"))
    machines = sorted({_machine(record) for runs in runs_of.values() for record in runs.values()})
    return page.render(sections=sections, machines=machines), len(sections)


def _section(row: Experiment, config: RunConfig, runs: Mapping[Run, Record], store: Store, data: Path) -> dict[str, Any]:
    method = next(iter(row.contestants))
    firsts = [run for run in runs if run.contestant == method and run.seed == 0 and row.image(run.image).files]
    return {
        "config": config,
        "runs": runs,
        "table": table(row, config, runs, store, data),
        "figure": _drawn(figure(row, config, runs, store, data)),
        "sliders": [_slider(row, run, store, data) for run in firsts],
        "curves": [(run, *_curve(record["facts"]["curves"])) for run, record in runs.items() if "curves" in record["facts"]],
    }


def _slider(row: Experiment, run: Run, store: Store, data: Path) -> tuple[Run, str, str]:
    """A run, what was given and its answer."""
    buffer = io.BytesIO()
    images.to_pil(row.problem_for(run.image, data, run.config.crop).y[0]).save(buffer, "PNG")
    return run, _inline(buffer.getvalue()), _inline(store.image(run.key).read_bytes())


def _curve(curves: Mapping[str, Mapping[str, list[float]]]) -> tuple[str, str]:
    """The PSNR of the average where it is known, else the objective, over the steps: in words, and as the points of a line."""
    name = next(name for name in _CURVES if name in curves)
    steps, values = curves[name]["step"], curves[name]["value"]
    last, low, high = max(steps, default=0), min(values, default=0), max(values, default=1)
    points = (
        f"{_WIDTH * step / last:.1f},{_HEIGHT * (high - value) / max(high - low, 1e-12):.1f}"
        for step, value in zip(steps, values, strict=True)
    )
    return f"{_CURVES[name]}: {low:.4g} to {high:.4g} in {last} steps", " ".join(points)


def _machine(record: Record) -> str:
    return f"{machine(record)}, Python {record['environment']['python']}, {versions([record])}"


def _drawn(drawing: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=110)
    plt.close(drawing)
    return _inline(buffer.getvalue())


def _inline(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
