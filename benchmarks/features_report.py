"""The tables and figures of what layers know: ``python -m benchmarks.features_report``, after ``benchmarks.features``."""

from statistics import mean
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.core import save_figure
from benchmarks.crops import DATA
from benchmarks.features import (
    DIP_STEPS,
    IMAGES,
    LAYERS,
    MAXIMISED,
    MONKEY,
    PIXEL_STEPS,
    PRIORS,
    TASKS,
    TUNED_ON,
    TUNING,
    UNITS,
    WEIGHTS,
    image_file,
)
from benchmarks.harness import Records, Row, render, require_records, table, write_report
from dipops import images
from dipops.paper import preimages
from dipops.paper.preimages import TV_WEIGHT, Preimage


def main() -> None:
    mpl.use("Agg")
    records = require_records(TASKS, "python -m benchmarks.features")
    write_report("features", report(records))
    if missing := [task.name for task in (*MONKEY.values(), *MAXIMISED.values()) if not image_file(task.settings).exists()]:
        print(f"no figures: the images of {len(missing)} tasks are not in {IMAGES}")
        return
    photo = images.load(DATA / "feature_inversion" / "monkey.jpg")
    save_figure("images/features-monkey", preimages.figure(photo, [_preimage(records, *key) for key in MONKEY]))
    save_figure("images/features-units", draw_units())


def report(records: Records) -> str:
    means = {weight: mean(_tuning(records, layer, weight)["probability"] for layer in TUNED_ON) for weight in WEIGHTS}
    return render(
        "features",
        tuning=tuning(records, means),
        best_weight=max(means, key=means.__getitem__),
        used_weight=TV_WEIGHT,
        monkey={network: monkey(records, network) for network in LAYERS},
        dip_steps=DIP_STEPS,
        pixel_steps=PIXEL_STEPS,
        units=units(records),
    )


def tuning(records: Records, means: dict[float, float]) -> str:
    rows: list[Row] = []
    for layer in TUNED_ON:
        results = [_tuning(records, layer, weight) for weight in WEIGHTS]
        cells = [layer, *(f"{result['probability']:.3f} ({result['error']:.3f})" for result in results)]
        rows.append((cells, [records[TUNING[layer, weight].name] for weight in WEIGHTS]))
    rows.append((["mean", *(f"{value:.3f}" for value in means.values())], [record for _, row in rows for record in row]))
    return table(["layer", *(f"{weight:g}" for weight in WEIGHTS)], rows)


def monkey(records: Records, network: str) -> str:
    rows: list[Row] = []
    for layer in LAYERS[network]:
        runs = [records[MONKEY[network, layer, prior].name] for prior in PRIORS]
        scores = [f"{run['result'][score]:.3f}" for run in runs for score in ("error", "probability")]
        rows.append(([layer, *scores], runs))
    return table(["layer", *(f"{prior}: {score}" for prior in PRIORS for score in ("error", "probability"))], rows)


def units(records: Records) -> str:
    rows: list[Row] = []
    for (name, prior), task in MAXIMISED.items():
        result = records[task.name]["result"]
        scores = [f"{result['activation_of_target']:.2f}", result["class"], f"{result['probability']:.2f}"]
        rows.append(([name, prior, *scores], [records[task.name]]))
    return table(["unit", "prior", "activation", "class seen", "its probability"], rows)


def draw_units() -> Any:
    priors = list(dict.fromkeys(prior for _, prior in MAXIMISED))
    figure, grid = plt.subplots(len(priors), len(UNITS), figsize=(2.3 * len(UNITS), 2.4 * len(priors)), layout="compressed")
    for (name, prior), task in MAXIMISED.items():
        axes = grid[priors.index(prior)][list(UNITS).index(name)]
        axes.imshow(images.to_pil(images.load(image_file(task.settings))))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name if prior == priors[0] else "", fontsize=11)
        axes.set_ylabel(prior if name == next(iter(UNITS)) else "", fontsize=11)
    return figure


def _tuning(records: Records, layer: str, weight: float) -> dict[str, Any]:
    return records[TUNING[layer, weight].name]["result"]


def _preimage(records: Records, network: str, layer: str, prior: str) -> Preimage:
    task = MONKEY[network, layer, prior]
    return Preimage(image=images.load(image_file(task.settings)), **records[task.name]["result"])


if __name__ == "__main__":
    main()
