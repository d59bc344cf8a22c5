"""The deep image prior's table and figures: ``python -m benchmarks.dip_report``, after ``python -m benchmarks.dip``."""

from statistics import mean
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.core import save_figure
from benchmarks.dip import (
    CANDIDATES,
    LIGHT_STEPS,
    PATIENCE,
    PICTURES,
    RULES,
    SEEDS,
    TARGETS,
    TASK_PICTURE,
    TASK_SIZE,
    TASK_STEPS,
    TASKS,
    THIN,
    name_of,
)
from benchmarks.harness import RESULTS, markdown, provenance, record_of, require_measured
from benchmarks.pictures import CHECKING, CHOOSING
from dipops._tools.files import write_whole

Found = dict[str, dict[str, Any]]
NEAR = 0.1
CLOSE = 0.5


def main() -> None:
    mpl.use("Agg")
    require_measured(TASKS, "python -m benchmarks.dip")
    records = {task.name: record_of(task) for task in TASKS}
    found = {name: record["result"] for name, record in records.items()}
    write_whole(RESULTS / "dip.md", lambda file: file.write(report(found, records).encode()))
    save_figure("dip-stops", draw_stops(found))
    save_figure("dip-impedance", draw_impedance(found))
    print(f"Look at {RESULTS / 'dip.md'}")


def report(found: Found, records: Found) -> str:
    """The measurements as Markdown."""
    return f"""# The deep image prior, measured

{provenance(records["dip-parameters"], "python -m benchmarks.dip")} Crops of 128 x 128 pixels; denoising is at
σ = 25, clipped to [0, 1]. "Average" is the exponential average of the outputs: 0.99 for the paper's settings, 0.97 for the
light ones.

## Parameters of every row

{markdown(["row", "parameters"], [[name, f"{count:,}"] for name, count in found["dip-parameters"].items()])}

## The light network, chosen on {", ".join(CHOOSING)}

Best average in 700 steps (the paper's: 1200), in dB. All but the paper's have five scales, 8 skip channels, nearest upsampling,
Adam with β₂ = 0.95 and no start by Muon, noise of 0.04 on z and an average of 0.98, unless said otherwise. Operations are
those of convolutions, forward and backward, at 128 x 128.

{candidates(found)}

## Other tasks, on {TASK_SIZE} x {TASK_SIZE} pixels of the {TASK_PICTURE}: best average in the same number of steps

{tasks(found)}

## Stops without the truth: dB behind the oracle

Every rule looking on at one run, at light settings of {LIGHT_STEPS} steps; "held out" is a run of its own. A rule that has
not ended by then is charged what it held there. Runs of the paper's network end 0.5 dB past their peak. Patience is
{PATIENCE["light"]} at light settings and {PATIENCE["paper"]} at the paper's unless another is given; it, α = 0.05 and a
window of 90 for the light ones, 0.03 and 150 for the paper's, were chosen on {", ".join(CHOOSING)}.

{stops(found)}

![average and stops](dip-stops.png)

## Four runs side by side, house, σ = 25

{house(found["dip-house"])}

## Data consistency: before and after the projection

{projections(found)}

## Langevin dynamics, 1500 steps, the first 500 left out

{langevin(found)}

## What resists: E against the step, the paper's network

{impedance(found)}

![E against the step](dip-impedance.png)
"""


def candidates(found: Found) -> str:
    rows, means = [], []
    for number, network in enumerate(CANDIDATES):
        best = [found[name_of("candidate", number, picture)]["best"] for picture in CHOOSING]
        cost = found["dip-costs"][network]
        means.append(mean(dB for _, dB in best))
        shown = (f"{dB:.2f} at {step}" for step, dB in best)
        rows.append([network, f"{cost['parameters']:,}", f"{cost['gflop']:.1f}", *shown, f"{means[-1] - means[0]:+.2f}"])
    return markdown(["network", "parameters", "GFLOP a step", *CHOOSING, "mean difference"], rows)


def tasks(found: Found) -> str:
    rows = []
    for name, steps in TASK_STEPS.items():
        paper, light = (found[name_of("task", variant, name, TASK_PICTURE)] for variant in ("paper", "light"))
        reached = first_above(light["average"], paper["best"][1] - NEAR)
        rows.append(
            [
                name,
                steps,
                *(f"{run['best'][1]:.2f} at {run['best'][0]}" for run in (paper, light)),
                f"{light['best'][1] - paper['best'][1]:+.2f}",
                reached or "not reached",
                f"{light['kept'][1]:.2f} at {light['kept'][0]}",
            ]
        )
    return markdown(
        [
            "task",
            "steps",
            "paper's",
            "light",
            "difference",
            f"light reaches the paper's best - {NEAR} at",
            "light at its variance's stop",
        ],
        rows,
    )


def stops(found: Found) -> str:
    rows, close = [], dict.fromkeys([*RULES, "held out"], 0)
    runs = [(picture, seed, "light") for picture in PICTURES for seed in SEEDS]
    runs += [(picture, seed, "paper") for picture in CHECKING for seed in SEEDS]
    for picture, seed, variant in runs:
        result = found[name_of("curve", variant, picture, seed)]
        step, best = result["oracle"]
        behind = {rule: best - result["kept"].get(rule, [0, result["last"]])[1] for rule in RULES}
        if variant == "light":
            behind["held out"] = best - found[name_of("held-out", picture, seed)]["kept"][1]
            for rule, loss in behind.items():
                close[rule] += loss <= CLOSE
        label = picture if variant == "light" else f"{picture}, the paper's settings"
        shown = (f"{behind[rule]:.2f}" if rule in behind else "–" for rule in close)
        rows.append([label, seed, f"{best:.2f} at {step}", *shown])
    light = len(PICTURES) * len(SEEDS)
    rows.append([f"within {CLOSE} dB, light", "", "", *(f"{count} of {light}" for count in close.values())])
    return markdown(["picture", "seed", "oracle", *close], rows)


def house(result: dict[str, Any]) -> str:
    runs = ", ".join(f"{dB:.2f}" for dB in result["runs"])
    return (
        f"The four runs {runs} dB, their mean picture {result['mean_of_runs']:.2f} dB: "
        f"{result['mean_of_runs'] - mean(result['runs']):+.2f} dB over the mean of the four. "
        f"Spread and true error correlate by {result['correlation_of_spread_and_error']:.2f}."
    )


def projections(found: Found) -> str:
    rows = []
    for task in ("x4", "50% missing"):
        for picture in CHECKING:
            result = found[name_of("projection", task, picture)]
            rows.append([task, picture, *map(_dB, (*result["psnr"], *result["consistency"]))])
    return markdown(["task", "picture", "PSNR", "PSNR after", "consistency", "consistency after"], rows)


def _dB(value: float | None) -> str:
    """JSON has no infinity; a record keeps it as null."""
    return "exact" if value is None else f"{value:.2f}"


def langevin(found: Found) -> str:
    result, run = found["dip-langevin-cat"], found[name_of("curve", "light", "cat", 0)]
    return (
        f"On the cat the posterior mean scores {result['posterior_mean']:.2f} dB and the last sample {result['last']:.2f}; "
        f"the best average of Adam's outputs {run['oracle'][1]:.2f}. Spread and true error correlate by "
        f"{result['correlation_of_spread_and_error']:.2f}."
    )


def impedance(found: Found) -> str:
    image = found[name_of("impedance", "image")]["objective"]
    bars = {"at step 200": image[199], "at best by step 200": min(image[:200])}
    rows = []
    for target in TARGETS:
        curve = found[name_of("impedance", target)]["objective"]
        row: list[object] = [target]
        for bar in bars.values():
            own, step = _below(image, bar), _below(curve, bar)
            times = f"{(step or len(curve)) / own:.1f}" if own else "–"
            row += [step or f"not in {len(curve)}", times if step else f"more than {times}"]
        rows.append(row)
    columns = [
        column for when, bar in bars.items() for column in (f"first E ≤ {bar:.0f}, the image's {when}", "times the image's")
    ]
    return markdown(["target", *columns], rows)


def draw_stops(found: Found) -> Any:
    figure, grid = plt.subplots(2, 3, figsize=(13, 6.4), sharex=True, layout="constrained")
    shown = [rule for rule in RULES if "1000" not in rule]
    for axes, picture in zip(grid.flat, PICTURES, strict=True):
        run = found[name_of("curve", "light", picture, 0)]
        steps = range(THIN, THIN * len(run["raw"]) + 1, THIN)
        axes.plot(steps, run["raw"], color="0.75", linewidth=0.6, label="output")
        axes.plot(steps, run["average"], color="k", linewidth=1.6, label="average")
        axes.plot(*run["oracle"], "k*", markersize=12, label="oracle")
        for number, rule in enumerate(shown):
            if rule in run["kept"]:
                axes.plot(*run["kept"][rule], "osv"[number], color=f"C{number}", markersize=8, label=rule)
        held = found[name_of("held-out", picture, 0)]["kept"]
        axes.plot(*held, "D", color="C3", markersize=7, label="held out")
        axes.set(title=picture, ylim=(run["oracle"][1] - 9, run["oracle"][1] + 1))
        axes.grid(alpha=0.3)
    for axes in grid[-1]:
        axes.set_xlabel("step")
    for axes in grid[:, 0]:
        axes.set_ylabel("PSNR (dB)")
    grid[0, 0].legend(fontsize=8, loc="lower right")
    return figure


def draw_impedance(found: Found) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for target in TARGETS:
        curve = found[name_of("impedance", target)]["objective"]
        axes.loglog(range(1, len(curve) + 1), curve, label=target, linewidth=1.4)
    axes.axhline(found[name_of("impedance", "image")]["objective"][199], color="k", linewidth=1, linestyle=":")
    axes.set(xlabel="step", ylabel="E = ½ ‖g(θ) − y‖²")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    return figure


def _below(curve: list[float], bar: float) -> int | None:
    """The first step whose value is at most a bar."""
    return next((step for step, value in enumerate(curve, 1) if value <= bar), None)


def first_above(curve: list[float], bar: float) -> int | None:
    """The step at which a curve, thinned, first reaches a bar."""
    return next((THIN * index for index, value in enumerate(curve, 1) if value >= bar), None)


if __name__ == "__main__":
    main()
