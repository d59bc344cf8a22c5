"""All that a store holds as one HTML page that needs no other file."""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from dipops import images
from dipops._tools.files import write_whole
from dipops.errors import BadValue
from dipops.paper.experiments import EXPERIMENTS, Experiment
from dipops.paper.figures import figure
from dipops.paper.store import Store
from dipops.paper.tables import Run, Table, finished, machine, table, versions
from dipops.paper.tasks import Size

_WIDTH, _HEIGHT = 320, 120


def write_report(output: Path, store: Store, data: Path) -> int:
    """Write the page; returns how many experiments are on it.

    For each experiment and each size of it that was run: the table, the figure, for each picture what was given and the
    answer of the paper's method under a slider, the curves of every run, and what it was run with.

    Raises:
        BadValue: there is no run.
        BadFile: a picture of the data, or the page, cannot be read or written.
    """
    from jinja2 import Environment

    sections = [
        _section(row, size, runs, store, data)
        for row in EXPERIMENTS.values()
        for size, runs in _by_size(finished(row, store)).items()
    ]
    if not sections:
        raise BadValue(f"{store.folder} without a run", "at least one", "run an experiment first")
    template = Environment(autoescape=True).from_string(files("dipops.paper").joinpath("report.html").read_text())
    page = template.render(sections=sections, environment=_machines(sections))
    write_whole(output, lambda file: file.write(page.encode()))
    return len(sections)


def _by_size(runs: Sequence[Run]) -> dict[Size, list[Run]]:
    found: dict[Size, list[Run]] = {}
    for run in runs:
        found.setdefault(run.task.size, []).append(run)
    return found


def _section(row: Experiment, size: Size, runs: Sequence[Run], store: Store, data: Path) -> dict[str, Any]:
    made: Table = table(row, size, runs, store, data)
    method = next(iter(row.contestants))
    first = {run.task.case: run for run in runs if run.task.contestant == method and run.task.seed == 0}
    return {
        "anchor": f"{row.name}-{runs[0].task.key[-10:]}",
        "title": row.title,
        "size": str(size),
        "notes": made.notes,
        "heads": made.heads,
        "lines": made.lines,
        "figure": _drawn(figure(row, size, runs, store, data)),
        "sliders": [_slider(row, run, store, data) for name, run in first.items() if row.case(name).sources],
        "curves": [_curve(run) for run in runs if "curves" in run.record["facts"]],
        "runs": [_settings(run) for run in runs],
    }


def _slider(row: Experiment, run: Run, store: Store, data: Path) -> dict[str, str]:
    buffer = io.BytesIO()
    images.to_pil(row.posed(run.task.case, data, run.task.size.crop).y[0]).save(buffer, "PNG")
    before, after = (_inline(part) for part in (buffer.getvalue(), store.picture(run.task.key).read_bytes()))
    return {"name": run.task.case, "method": run.task.contestant, "before": before, "after": after}


def _curve(run: Run) -> dict[str, str]:
    """The PSNR of the average where it is known, else the objective, over the steps, as the points of a line."""
    curves = run.record["facts"]["curves"]
    name = next((name for name in ("psnr_average", "psnr", "objective") if name in curves), "")
    steps, values = curves[name]["step"], curves[name]["value"]
    low, high = min(values, default=0), max(values, default=1)
    points = " ".join(
        f"{_WIDTH * step / max(steps[-1], 1):.1f},{_HEIGHT * (1 - (value - low) / max(high - low, 1e-12)):.1f}"
        for step, value in zip(steps, values, strict=True)
    )
    words = {"psnr_average": "PSNR of the average", "psnr": "PSNR", "objective": "objective"}[name]
    return {
        "label": f"{run.task.case}, {run.task.contestant}, seed {run.task.seed}",
        "words": f"{words}: {low:.4g} to {high:.4g} in {steps[-1] if steps else 0} steps",
        "points": points,
    }


def _settings(run: Run) -> dict[str, str]:
    facts = run.record["facts"]
    kept = ", ".join(f"{name} {step}" for name, step in facts.get("at", {}).items())
    return {
        "label": f"{run.task.case}, {run.task.contestant}, seed {run.task.seed}",
        "key": run.task.key,
        "seconds": f"{run.record['seconds']:.1f}",
        "steps": f"{facts['steps']} steps" + (f" (kept: {kept})" if kept else "") if "steps" in facts else "",
        "settings": run.record["settings"],
        "operator": run.record["operator"],
        "machine": f"{machine(run)}, Python {run.record['environment']['python']}, {versions([run])}",
    }


def _machines(sections: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({run["machine"] for section in sections for run in section["runs"]})


def _drawn(drawing: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=110)
    plt.close(drawing)
    return _inline(buffer.getvalue())


def _inline(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
