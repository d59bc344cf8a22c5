"""Writes benchmarks/results/speed.md from what was measured: ``python -m benchmarks.speed_report``."""

from statistics import geometric_mean, mean, stdev
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks import dip
from benchmarks.core import save_figure
from benchmarks.dip import HELD_OUT_SEEDS, PATIENCE, TASK_SIZE, THIN
from benchmarks.dip_report import NEAR, first_above
from benchmarks.harness import RESULTS, Task, markdown, provenance, record_of, require_measured, require_one_machine, result_of
from benchmarks.pictures import CHECKING, HELD_OUT
from benchmarks.speed import (
    BY_DEPTH,
    BY_SIZE,
    BY_WIDTH,
    LANCZOS,
    OTHER_RATES,
    OTHERS,
    PEAKS,
    PHOTO,
    RATES,
    REACHED,
    RUNS,
    START,
    TASKS,
)
from dipops import Descent
from dipops._tools.files import write_whole


def main() -> None:
    mpl.use("Agg")
    require_measured(TASKS, "python -m benchmarks.speed")
    require_one_machine(TASKS)
    save_figure("speed-pareto", draw_pareto())
    write_whole(RESULTS / "speed.md", lambda file: file.write(report().encode()))
    print(f"Look at {RESULTS / 'speed.md'}")


def report() -> str:
    """The measurements as Markdown."""
    shot = result_of(PHOTO)
    return f"""# Speed, measured

{provenance(record_of(START), "python -m benchmarks.speed")} Two threads; medians of runs in turn, alone on the machine;
curves and peaks are of runs of one thread that were not timed. The loop is `benchmarks/baseline.py`: the paper's hourglass in
plain layers, float32, its score read back at each step.

## Seconds a step

{rates()}

{same_peaks()}

## Seconds to the paper's peak

Until the average is {NEAR} dB below the best of the paper's network, on crops of 128 x 128 pixels that took no part in choosing
the light one: steps of recorded runs times the seconds above. "By its stop" is the light recipe until it ends by itself, and
how far its answer then is behind the paper's best.

{peaks()}

![PSNR less the paper's best, against seconds](speed-pareto.png)

## Other tasks, {TASK_SIZE} x {TASK_SIZE} pixels

Until the average of the light recipe is {NEAR} dB below the best that the paper's has in so many steps; seconds a step are
those of the task itself.

{others()}

## A photograph of 256 x 256 pixels from the command line

`dipops denoise` with its defaults, once, start and files included: {shot["seconds"]:.0f} s,
from {shot["psnr"][0]:.2f} to {shot["psnr"][1]:.2f} dB.

## Lanczos x4, forward and backward

{reductions()}

## Import, start, first step

{markdown(["what", "seconds"], [[name, f"{seconds:.2f}"] for name, seconds in result_of(START).items()])}

## K runs side by side, light network

{side_by_side()}

## Growth: an hourglass 32 wide, by pixels

{by_size()}

## Growth: at 128 x 128 pixels, by width and by scales

{markdown(["width", "seconds a step", "MB"], [[width, *_cost(task)] for width, task in BY_WIDTH.items()])}

{markdown(["scales", "seconds a step", "MB"], [[scales, *_cost(task)] for scales, task in BY_DEPTH.items()])}
"""


def rates() -> str:
    rows = []
    for size, task in RATES.items():
        seconds, ran = result_of(task)["seconds"], result_of(task)["ran"]
        gains = [f"{seconds[name]:.3f} ({seconds['loop'] / seconds[name]:.1f}x)" for name in ("paper", "light")]
        rows.append([size, f"{seconds['loop']:.3f}", *gains, ran["light"]])
    return markdown(["pixels", "the loop", "the paper's recipe", "the light recipe", "ran in"], rows)


def same_peaks() -> str:
    """Whether the faster steps lead as far."""
    found = [result_of(task) for task in PEAKS]
    gains = [run["paper"][1] - run["loop"][1] for run in found]
    of = PEAKS[0].settings
    return (
        f"Best averages of the paper's recipe less those of the loop, {of['picture']}, {of['size']} x {of['size']} pixels, "
        f"{len(gains)} seeds, {of['steps']} steps: {mean(gains):+.3f} dB on average, with a standard error of "
        f"{stdev(gains) / len(gains) ** 0.5:.3f}."
    )


def peaks() -> str:
    rate, rows, ratios, lost = result_of(RATES[128])["seconds"], [], [], []
    for picture in HELD_OUT:
        for seed in HELD_OUT_SEEDS:
            paper, light = (_curve(variant, picture, seed) for variant in ("paper", "light"))
            best = paper["oracle"][1]
            steps, ratio, seconds = race(best, paper["average"], light["average"], (rate["loop"], rate["light"]))
            ended, answer = stopped(light["kept"])
            ratios += [ratio] if ratio else []
            lost.append(best - answer)
            bests = (f"{run['oracle'][1]:.2f} at {run['oracle'][0]}" for run in (paper, light))
            rows.append([picture, seed, *bests, *steps, *seconds, f"{ended * rate['light']:.0f}", f"{lost[-1]:+.2f}"])
    heads = ["paper's best", "light's best", "steps", "light", "loop, s", "light, s", "ratio", "by its stop, s", "dB behind"]
    words = (
        f"Reached in {len(ratios)} of {len(rows)}, geometric mean of the ratios {geometric_mean(ratios):.1f}; "
        f"at the stop {mean(lost):+.2f} dB behind on average."
    )
    return f"{markdown(['picture', 'seed', *heads], rows)}\n\n{words}"


def stopped(kept: dict[str, list[float]]) -> tuple[int, float]:
    """When the light recipe's two rules end a run, which asks them now and then, and the score of what the first keeps."""
    discrepancy, variance = kept["discrepancy"], kept["exponential variance"]
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


def others() -> str:
    rows, ratios = [], {}
    for name, steps in OTHERS.items():
        seconds = result_of(OTHER_RATES[name])
        for picture in CHECKING:
            paper, light = (result_of(REACHED[name, picture, variant]) for variant in ("paper", "light"))
            bests = [f"{run['best'][1]:.2f} at {run['best'][0]}" for run in (paper, light)]
            rates = seconds["paper"], seconds["light"]
            _, ratio, raced = race(paper["best"][1], paper["average"], light["average"], rates)
            if ratio:
                ratios.setdefault(name, []).append(ratio)
            rows.append([name, picture, steps, *bests, *raced])
    heads = ["task", "picture", "steps of the paper's", "paper's best", "light's best", "paper's, s", "light, s", "ratio"]
    means = "; ".join(f"{name} {geometric_mean(found):.1f} ({len(found)} of {len(CHECKING)})" for name, found in ratios.items())
    return f"{markdown(heads, rows)}\n\nGeometric means of the ratios: {means}."


def reductions() -> str:
    rows = []
    for size, task in LANCZOS.items():
        seconds = result_of(task)["seconds"]
        times = [f"{1000 * seconds[name]:.1f} ms" for name in ("dipops", "dense")]
        rows.append([f"3 x {size} x {size}", *times, f"{seconds['dense'] / seconds['dipops']:.1f}"])
    return markdown(["picture", "LanczosDownsampler", "dense convolution", "ratio"], rows)


def side_by_side() -> str:
    rows = []
    for (size, members), task in RUNS.items():
        one, many = result_of(task)["1"], result_of(task)[str(members)]
        rows.append([size, members, f"{one:.3f}", f"{many:.3f}", f"{many / (members * one):.2f}"])
    return markdown(["pixels", "K", "one run, s a step", "K runs, s a step", "K runs over K times one"], rows)


def by_size() -> str:
    rows = []
    for size in dict.fromkeys(size for size, _ in BY_SIZE):
        rows.append([size, *_cost(BY_SIZE[size, False]), *_cost(BY_SIZE[size, True])])
    return markdown(["pixels", "seconds a step", "MB", "seconds, recomputing", "MB, recomputing"], rows)


def draw_pareto() -> Any:
    """The average less the paper's best after so many seconds: a mean line over thin ones of every run."""
    seconds = result_of(RATES[128])["seconds"]
    figure, axes = plt.subplots(figsize=(6.8, 4.4), layout="constrained")
    lines = {"the paper's, plain loop": ("paper", "loop"), "the paper's": ("paper", "paper"), "light": ("light", "light")}
    for number, (label, (variant, rate)) in enumerate(lines.items()):
        curves = []
        for picture in HELD_OUT:
            for seed in HELD_OUT_SEEDS:
                best = _curve("paper", picture, seed)["oracle"][1]
                curves.append([value - best for value in _curve(variant, picture, seed)["average"]])
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


def _cost(task: Task) -> list[str]:
    result = result_of(task)
    return [f"{result['seconds']:.3f}", f"{result['bytes'] / 1e6:.0f}"]


def _curve(variant: str, picture: str, seed: int) -> dict[str, Any]:
    name = dip.name_of("curve", variant, picture, seed)
    return result_of(next(task for task in dip.TASKS if task.name == name))


if __name__ == "__main__":
    main()
