"""Writes benchmarks/results/speed.md from what was measured: ``python -m benchmarks.speed_report``."""

from statistics import geometric_mean, mean, stdev
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.core import save_figure
from benchmarks.crops import CHECKING, HELD_OUT
from benchmarks.dip import HELD_OUT_SEEDS, PATIENCE, TASK_SIZE, THIN, curve_task
from benchmarks.dip_report import NEAR, at, first_above
from benchmarks.harness import Record, Records, Row, Task, render, require_one_machine, require_records, table, write_report
from benchmarks.speed import (
    BY_DEPTH,
    BY_SIZE,
    BY_WIDTH,
    LANCZOS,
    OTHER_RATES,
    OTHERS,
    PEAKS,
    PHOTOS,
    RATES,
    REACHED,
    RUNS,
    START,
    TASKS,
)
from dipops import Descent

CURVES = {
    (recipe, image, seed): curve_task(recipe, image, seed)
    for recipe in ("paper", "light")
    for image in HELD_OUT
    for seed in HELD_OUT_SEEDS
}
SOURCES = [*TASKS, *PHOTOS.values(), *CURVES.values()]


def main() -> None:
    mpl.use("Agg")
    records = require_records(SOURCES, "python -m benchmarks.speed, and benchmarks.dip,")
    require_one_machine(TASKS, records)
    write_report("speed", report(records))
    save_figure("speed-pareto", draw_pareto(records))


def report(records: Records) -> str:
    gains = [run["paper"][1] - run["loop"][1] for run in (records[task.name]["result"] for task in PEAKS)]
    start = records[START.name]
    return render(
        "speed",
        near=NEAR,
        task_size=TASK_SIZE,
        rates=rates(records),
        peaks=PEAKS[0].settings,
        peak_records=[records[task.name] for task in PEAKS],
        gain={"runs": len(gains), "mean": mean(gains), "error": stdev(gains) / len(gains) ** 0.5},
        race=races(records),
        others=others(records),
        photos=photos(records),
        reductions=reductions(records),
        start=table(["what", "seconds"], [([name, f"{seconds:.2f}"], [start]) for name, seconds in start["result"].items()]),
        runs=runs(records),
        by_size=by_size(records),
        by_width=growth("width", BY_WIDTH, records),
        by_depth=growth("scales", BY_DEPTH, records),
    )


def photos(records: Records) -> str:
    """What ``dipops denoise`` takes and gives, by size and prior."""
    rows: list[Row] = []
    for size in dict.fromkeys(size for size, _ in PHOTOS):
        tv, dip = (records[PHOTOS[size, prior].name] for prior in ("tv", "dip"))
        cells = [f"{made['result']['seconds']:.0f} s, {made['result']['psnr'][1]:.2f} dB" for made in (tv, dip)]
        rows.append(([f"{size} x {size}", f"{dip['result']['psnr'][0]:.2f} dB", *cells], [tv, dip]))
    return table(["pixels", "noisy", "total variation", "deep image prior"], rows)


def rates(records: Records) -> str:
    rows: list[Row] = []
    for size, task in RATES.items():
        record = records[task.name]
        seconds, precision = record["result"]["seconds"], record["result"]["precision"]
        gains = [f"{seconds[name]:.3f} ({seconds['loop'] / seconds[name]:.1f}x)" for name in ("paper", "light")]
        rows.append(([size, f"{seconds['loop']:.3f}", *gains, f"{precision['light']} precision"], [record]))
    return table(["pixels", "the loop", "the paper's recipe", "the light recipe", "ran in"], rows)


def races(records: Records) -> dict[str, Any]:
    """The race to the paper's best on every image: its table, and what it comes to."""
    rate_record = records[RATES[128].name]
    rate = rate_record["result"]["seconds"]
    rows: list[Row] = []
    ratios, lost = [], []
    for image in HELD_OUT:
        for seed in HELD_OUT_SEEDS:
            sources = [records[CURVES[recipe, image, seed].name] for recipe in ("paper", "light")]
            paper, light = (source["result"] for source in sources)
            best = paper["oracle"][1]
            steps, ratio, seconds = race(best, paper["average"], light["average"], (rate["loop"], rate["light"]))
            last_step, answer = stopped(light["stops"])
            ratios += [ratio] if ratio else []
            lost.append(best - answer)
            ends = [f"{last_step * rate['light']:.0f}", f"{lost[-1]:+.2f}"]
            cells = [image, seed, at(paper["oracle"]), at(light["oracle"]), *steps, *seconds, *ends]
            rows.append((cells, [*sources, rate_record]))
    heads = ["paper's best", "light's best", "steps", "light", "loop, s", "light, s", "ratio", "by its stop, s", "dB behind"]
    totals = {"reached": len(ratios), "of": len(rows), "ratio": geometric_mean(ratios), "behind": mean(lost)}
    return {"table": table(["image", "seed", *heads], rows), **totals}


def stopped(stops: dict[str, list[float]]) -> tuple[int, float]:
    """When the light recipe's two rules, asked now and then, end a run, and the score of what the first keeps."""
    discrepancy, variance = stops["discrepancy"], stops["exponential variance"]
    step, score = min((int(discrepancy[0]), discrepancy[1]), (int(variance[0]) + PATIENCE["light"], variance[1]))
    every = Descent.every
    return -(-step // every) * every, score


def race(
    best: float, paper: list[float], light: list[float], rates: tuple[float, float]
) -> tuple[list[str], float | None, list[str]]:
    """How soon two curves come near the best of the first.

    Returns:
        the steps of each as cells; how many times sooner the second is, in seconds, if both are; the seconds and that ratio.
    """
    steps = [first_above(curve, best - NEAR) for curve in (paper, light)]
    seconds = [step and step * rate for step, rate in zip(steps, rates, strict=True)]
    ratio = seconds[0] / seconds[1] if seconds[0] and seconds[1] else None
    cells = [*(f"{value:.0f}" if value else "not reached" for value in seconds), f"{ratio:.1f}" if ratio else "–"]
    return [str(step or "not reached") for step in steps], ratio, cells


def others(records: Records) -> dict[str, str]:
    """The race on other tasks: its table, and the means of its ratios."""
    rows: list[Row] = []
    ratios: dict[str, list[float]] = {}
    for name, steps in OTHERS.items():
        rate_record = records[OTHER_RATES[name].name]
        rates = rate_record["result"]["paper"], rate_record["result"]["light"]
        for image in CHECKING:
            sources = [records[REACHED[name, image, recipe].name] for recipe in ("paper", "light")]
            paper, light = (source["result"] for source in sources)
            _, ratio, raced = race(paper["best"][1], paper["average"], light["average"], rates)
            if ratio:
                ratios.setdefault(name, []).append(ratio)
            rows.append(([name, image, steps, at(paper["best"]), at(light["best"]), *raced], [*sources, rate_record]))
    heads = ["task", "image", "steps of the paper's", "paper's best", "light's best", "paper's, s", "light, s", "ratio"]
    means = (f"{name} {geometric_mean(values):.1f} ({len(values)} of {len(CHECKING)})" for name, values in ratios.items())
    return {"table": table(heads, rows), "means": "; ".join(means)}


def reductions(records: Records) -> str:
    rows: list[Row] = []
    for size, task in LANCZOS.items():
        seconds = records[task.name]["result"]["seconds"]
        times = [f"{1000 * seconds[name]:.1f} ms" for name in ("dipops", "dense")]
        ratio = f"{seconds['dense'] / seconds['dipops']:.1f}"
        rows.append(([f"3 x {size} x {size}", *times, ratio], [records[task.name]]))
    return table(["image", "LanczosDownsampler", "dense convolution", "ratio"], rows)


def runs(records: Records) -> str:
    rows: list[Row] = []
    for (size, members), task in RUNS.items():
        one, many = (records[task.name]["result"][str(count)] for count in (1, members))
        rows.append(([size, members, f"{one:.3f}", f"{many:.3f}", f"{many / (members * one):.2f}"], [records[task.name]]))
    return table(["pixels", "K", "one run, s a step", "K runs, s a step", "K runs over K times one"], rows)


def by_size(records: Records) -> str:
    rows: list[Row] = []
    for size in dict.fromkeys(size for size, _ in BY_SIZE):
        both = [records[BY_SIZE[size, recompute].name] for recompute in (False, True)]
        rows.append(([size, *_cost(both[0]), *_cost(both[1])], both))
    return table(["pixels", "seconds a step", "MB", "seconds, recomputing", "MB, recomputing"], rows)


def growth(name: str, tasks: dict[int, Task], records: Records) -> str:
    rows = [([value, *_cost(records[task.name])], [records[task.name]]) for value, task in tasks.items()]
    return table([name, "seconds a step", "MB"], rows)


def draw_pareto(records: Records) -> Any:
    """The average less the paper's best after so many seconds: a mean line over thin ones of every run."""
    seconds = records[RATES[128].name]["result"]["seconds"]
    figure, axes = plt.subplots(figsize=(6.8, 4.4), layout="constrained")
    lines = {"the paper's, plain loop": ("paper", "loop"), "the paper's": ("paper", "paper"), "light": ("light", "light")}
    for number, (label, (recipe, rate)) in enumerate(lines.items()):
        curves = []
        for image in HELD_OUT:
            for seed in HELD_OUT_SEEDS:
                paper, run = (records[CURVES[name, image, seed].name]["result"] for name in ("paper", recipe))
                curves.append([value - paper["oracle"][1] for value in run["average"]])
        steps = range(THIN, THIN * min(map(len, curves)) + 1, THIN)
        times = [step * seconds[rate] for step in steps]
        for curve in curves:
            axes.plot(times, curve[: len(times)], color=f"C{number}", linewidth=0.5, alpha=0.3)
        means = [mean(values) for values in zip(*(curve[: len(times)] for curve in curves), strict=True)]
        axes.plot(times, means, color=f"C{number}", linewidth=2, label=label)
    axes.axhline(0, color="k", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", ylim=(-6, 0.8), xlabel="seconds", ylabel="PSNR less the best of the paper's network (dB)")
    axes.set_xlim(left=5)
    axes.grid(alpha=0.3, which="both")
    figure.legend(frameon=False, loc="outside lower center", ncols=len(lines))
    return figure


def _cost(record: Record) -> list[str]:
    return [f"{record['result']['seconds']:.3f}", f"{record['result']['bytes'] / 1e6:.0f}"]


if __name__ == "__main__":
    main()
