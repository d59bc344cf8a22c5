"""The deep image prior's table and figures: ``python -m benchmarks.dip_report``, after ``python -m benchmarks.dip``."""

from statistics import mean
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.core import save_figure
from benchmarks.crops import CHECKING, CHOOSING, HELD_OUT
from benchmarks.dip import (
    CANDIDATES,
    IMAGES,
    LIGHT_STEPS,
    PATIENCE,
    RULES,
    SEEDS,
    SIGMAS,
    TARGETS,
    TASK_IMAGE,
    TASK_SIZE,
    TASK_STEPS,
    TASKS,
    THIN,
    name_of,
)
from benchmarks.harness import Records, Row, render, require_records, table, write_report

NEAR = 0.1
CLOSE = 0.5


def main() -> None:
    mpl.use("Agg")
    records = require_records(TASKS, "python -m benchmarks.dip")
    write_report("dip", report(records))
    save_figure("dip-stops", draw_stops(records))
    save_figure("dip-impedance", draw_impedance(records))


def report(records: Records) -> str:
    house = records["dip-house"]["result"]
    return render(
        "dip",
        records=records,
        chosen_on=", ".join(CHOOSING),
        tasks=f"{TASK_SIZE} x {TASK_SIZE} pixels of the {TASK_IMAGE}",
        light_steps=LIGHT_STEPS,
        patience=PATIENCE,
        parameter_table=parameters(records),
        candidate_table=candidates(records),
        task_table=tasks(records),
        stop_table=stops(records),
        house_runs=", ".join(f"{dB:.2f}" for dB in house["runs"]),
        house_gain=house["mean_of_runs"] - mean(house["runs"]),
        answer_table=answers(records),
        projection_table=projections(records),
        impedance_table=impedance(records),
        best_of_cat=records[name_of("curve", "light", "cat", 0)]["result"]["oracle"][1],
    )


def parameters(records: Records) -> str:
    record = records["dip-parameters"]
    return table(["row", "parameters"], [([name, f"{count:,}"], [record]) for name, count in record["result"].items()])


def candidates(records: Records) -> str:
    rows: list[Row] = []
    means = []
    for number, network in enumerate(CANDIDATES):
        runs = [records[name_of("candidate", number, image)] for image in CHOOSING]
        best = [run["result"]["best"] for run in runs]
        cost = records["dip-costs"]["result"][network]
        means.append(mean(dB for _, dB in best))
        cells = [network, f"{cost['parameters']:,}", f"{cost['gflop']:.1f}", *map(at, best), f"{means[-1] - means[0]:+.2f}"]
        rows.append((cells, [records["dip-costs"], *runs]))
    return table(["network", "parameters", "GFLOP a step", *CHOOSING, "mean difference"], rows)


def tasks(records: Records) -> str:
    rows: list[Row] = []
    for name, steps in TASK_STEPS.items():
        runs = [records[name_of("task", recipe, name, TASK_IMAGE)] for recipe in ("paper", "light")]
        paper, light = (run["result"] for run in runs)
        near = first_above(light["average"], paper["best"][1] - NEAR) or "not reached"
        gain = f"{light['best'][1] - paper['best'][1]:+.2f}"
        rows.append(([name, steps, at(paper["best"]), at(light["best"]), gain, near, at(light["stop"])], runs))
    near = f"light reaches the paper's best - {NEAR} at"
    return table(["task", "steps", "paper's", "light", "difference", near, "light at its variance's stop"], rows)


def stops(records: Records) -> str:
    rows: list[Row] = []
    close = dict.fromkeys([*RULES, "held out"], 0)
    runs = [(image, seed, "light") for image in IMAGES for seed in SEEDS]
    runs += [(image, seed, "paper") for image in CHECKING for seed in SEEDS]
    for image, seed, recipe in runs:
        sources = [records[name_of("curve", recipe, image, seed)]]
        curve = sources[0]["result"]
        best = curve["oracle"][1]
        behind = {rule: best - curve["stops"].get(rule, [0, curve["last"]])[1] for rule in RULES}
        if recipe == "light":
            sources.append(records[name_of("held-out", image, seed)])
            behind["held out"] = best - sources[1]["result"]["stop"][1]
            for rule, loss in behind.items():
                close[rule] += loss <= CLOSE
        label = image if recipe == "light" else f"{image}, the paper's settings"
        losses = (f"{behind[rule]:.2f}" if rule in behind else "–" for rule in close)
        rows.append(([label, seed, at(curve["oracle"]), *losses], sources))
    light = rows[: len(IMAGES) * len(SEEDS)]
    counts = [f"{count} of {len(light)}" for count in close.values()]
    rows.append(([f"within {CLOSE} dB, light", "", "", *counts], [source for _, sources in light for source in sources]))
    return table(["image", "seed", "oracle", *close], rows)


def answers(records: Records) -> str:
    rows: list[Row] = []
    for sigma in SIGMAS:
        runs = {
            image: [records[name_of("answer", sigma, image, kind)] for kind in ("plain", "warm-up")]
            for image in (*CHOOSING, *HELD_OUT)
        }
        scores = {image: [dB for run in pair for dB in run["result"]["psnr"]] for image, pair in runs.items()}
        scores["mean"] = [mean(column) for column in zip(*scores.values(), strict=True)]
        runs["mean"] = [run for pair in runs.values() for run in pair]
        rows += [([sigma, name, *(f"{dB:.2f}" for dB in row)], runs[name]) for name, row in scores.items()]
    return table(["σ", "image", "without warm-up", "debiased", "with warm-up", "debiased"], rows)


def projections(records: Records) -> str:
    rows: list[Row] = []
    for task in ("x4", "50% missing"):
        for image in CHECKING:
            record = records[name_of("projection", task, image)]
            scores = record["result"]["psnr"] + record["result"]["data_psnr"]
            rows.append(([task, image, *("exact" if dB is None else f"{dB:.2f}" for dB in scores)], [record]))
    return table(["task", "image", "PSNR", "PSNR after", "data PSNR", "data PSNR after"], rows)


def impedance(records: Records) -> str:
    runs = {target: records[name_of("impedance", target)] for target in TARGETS}
    image = runs["image"]["result"]["objective"]
    bar = min(image[:200])
    own = image.index(bar) + 1
    rows: list[Row] = []
    for target, run in runs.items():
        curve = run["result"]["objective"]
        step = _below(curve, bar)
        times = f"{(step or len(curve)) / own:.1f}"
        cells = [target, step or f"not in {len(curve)}", times if step else f"more than {times}"]
        rows.append((cells, [runs["image"], run]))
    return table(["fitted to", f"steps until E ≤ {bar:.0f}, the image's lowest in 200", "times the image's"], rows)


def draw_stops(records: Records) -> Any:
    figure, grid = plt.subplots(2, 3, figsize=(13, 6.4), sharex=True, layout="constrained")
    drawn = [rule for rule in RULES if "1000" not in rule]
    for axes, image in zip(grid.flat, IMAGES, strict=True):
        run = records[name_of("curve", "light", image, 0)]["result"]
        steps = range(THIN, THIN * len(run["raw"]) + 1, THIN)
        axes.plot(steps, run["raw"], color="0.75", linewidth=0.6, label="output")
        axes.plot(steps, run["average"], color="k", linewidth=1.6, label="average")
        axes.plot(*run["oracle"], "k*", markersize=12, label="oracle")
        for number, rule in enumerate(drawn):
            if rule in run["stops"]:
                axes.plot(*run["stops"][rule], "osv"[number], color=f"C{number}", markersize=8, label=rule)
        axes.plot(*records[name_of("held-out", image, 0)]["result"]["stop"], "D", color="C3", markersize=7, label="held out")
        axes.set(title=image, ylim=(run["oracle"][1] - 9, run["oracle"][1] + 1))
        axes.grid(alpha=0.3)
    for axes in grid[-1]:
        axes.set_xlabel("step")
    for axes in grid[:, 0]:
        axes.set_ylabel("PSNR (dB)")
    grid[0, 0].legend(fontsize=8, loc="lower right")
    return figure


def draw_impedance(records: Records) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for target in TARGETS:
        curve = records[name_of("impedance", target)]["result"]["objective"]
        axes.loglog(range(1, len(curve) + 1), curve, label=target, linewidth=1.4)
    axes.axhline(records[name_of("impedance", "image")]["result"]["objective"][199], color="k", linewidth=1, linestyle=":")
    axes.set(xlabel="step", ylabel="E = ½ ‖g(θ) − y‖²")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    return figure


def at(peak: list[float]) -> str:
    """A step and the value there, as a cell."""
    step, value = peak
    return f"{value:.2f} at {step}"


def _below(curve: list[float], bar: float) -> int | None:
    """The first step whose value is at most a bar."""
    return next((step for step, value in enumerate(curve, 1) if value <= bar), None)


def first_above(curve: list[float], bar: float) -> int | None:
    """The step at which a curve, thinned, first reaches a bar."""
    return next((THIN * index for index, value in enumerate(curve, 1) if value >= bar), None)


if __name__ == "__main__":
    main()
