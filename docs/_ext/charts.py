"""Charts of measured figures, drawn from the records in benchmarks/results."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
from written import draw

_RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
_PRIORS = {"Tikhonov": ("#9a9a9a", "o"), "TV": ("#d98b2b", "s"), "DIP": ("#2a6fb0", "D")}


def write(folder):
    """priors.svg."""
    draw(folder, priors)


def priors():
    """PSNR of each prior for each operator."""
    scores: dict[str, dict[str, float]] = {}
    for line in (_RESULTS / "priors.jsonl").read_text().splitlines():
        record = json.loads(line)
        settings = record["settings"]
        scores.setdefault(settings["operator"], {})[settings["prior"]] = record["result"]["psnr"]
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(scores) + 0.9), layout="constrained")
    rows = range(len(scores))
    best = [max(of_prior[name] for name in _PRIORS) for of_prior in scores.values()]
    axes.hlines(rows, [min(of_prior[name] for name in _PRIORS) for of_prior in scores.values()], best, color="0.8", zorder=1)
    for name, (colour, marker) in _PRIORS.items():
        values = [of_prior[name] for of_prior in scores.values()]
        axes.scatter(values, rows, color=colour, marker=marker, s=42, label=name, zorder=2)
    axes.set_yticks(rows, list(scores))
    axes.invert_yaxis()
    axes.set_xlabel("PSNR, dB")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    return figure
