"""Light settings against the paper's on images of 256 and 512 pixels: ``python -m benchmarks.whole [PART ...]``.

The images are none of the paper's sets; the light settings were chosen on five of them, the others take no part in a choice.
Several processes may run parts at once, but the steps are timed alone. DIPOPS_DATA names the folder of one of the images.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from statistics import fmean, geometric_mean, stdev
from typing import Any

from benchmarks.core import SIGMA
from benchmarks.crops import WHOLE_CHOOSING, WHOLE_HELD_OUT, piece
from benchmarks.dip import PastPeak
from benchmarks.harness import Records, Row, Task, chosen, in_turn, records_of, run, table, write_report
from dipops import ClippedGaussian, Identity, Problem, recipes, solve
from dipops._tools.allocator import reused_memory
from dipops.recipes import Settings
from dipops.solver.cost import start
from dipops.stopping import ExponentialVariance, Observe

SIZES = {512: ("astronaut", "retina"), 256: ("astronaut", "cat", "cave")}
"""The held-out images on which light settings are held against the paper's."""
SEEDS, STOPPED_SEEDS = 4, 2
STEPS: dict[Settings, int] = {"light": 2000, "paper": 3500}
VERSIONS: dict[Settings, str] = {"light": "2026-12: 86 steps by Muon at 128 pixels", "paper": "2026-12"}
NEAR, THIN = 0.1, 5
DIP = 150
"""Steps for which the average of the light settings may be low: it dips where Adam follows Muon."""
_RULES = {"discrepancy": recipes.DISCREPANCY, "exponential variance": ExponentialVariance(0.05, patience=250)}


def noisy(name: str, size: int) -> Problem:
    """The image with clipped noise of σ = 25, the same for every seed of a network."""
    x = piece(name, size)
    return Problem.simulate(Identity(x.shape), x, ClippedGaussian(SIGMA), seed=100)


def curve(settings: dict[str, Any]) -> dict[str, Any]:
    """A run up to its peak, and what stopping rules keep that observe it."""
    problem = noisy(settings["image"], settings["size"])
    recipe = recipes.denoise(settings["recipe"]).at(problem)
    ending = [*(Observe(rule) for rule in _RULES.values()), PastPeak(0.3, settings.get("patience", 0))]
    steps = STEPS[settings["recipe"]]
    result = solve(problem, recipe.prior, recipe.method, steps=steps, seed=settings["seed"], callbacks=ending, progress=False)
    average = result.trace["psnr_average"][:, 0]
    kept = {name: int(observed.image_steps) for name, observed in zip(_RULES, result.observed, strict=True)}
    return {
        "best": [int(average.argmax()) + 1, float(average.max())],
        "raw": float(result.trace["psnr"].max()),
        "stops": {name: [step, float(average[step - 1])] for name, step in kept.items() if step},
        "average": [round(value, 3) for value in average[THIN - 1 :: THIN].tolist()],
        "steps": result.steps,
        "precision": result.precision,
    }


def step_times(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of five steps of both settings after Muon's start, in turn."""
    problem = noisy("astronaut", settings["size"])
    with reused_memory():
        iterations = {}
        for name in STEPS:
            recipe = recipes.denoise(name).at(problem)
            _, iterations[name] = start(problem, recipe.prior, recipe.method)
        return in_turn({name: partial(_steps, iteration) for name, iteration in iterations.items()}, rounds=7)


def _steps(iteration: Any) -> None:
    for _ in range(5):
        iteration.step(False)


def curve_task(name: str, size: int, recipe: Settings, seed: int) -> Task:
    settings = {"image": name, "size": size, "recipe": recipe, "seed": seed, "version": VERSIONS[recipe]}
    if recipe == "light":
        settings["patience"] = DIP
    seconds = {"light": 0.25, "paper": 1.1}[recipe] * (size / 256) ** 2
    return Task(
        f"whole-{name}-{size}-{recipe}-{seed}", curve, settings, 500 if recipe == "light" else 2500, seconds, alone=False
    )


def against() -> list[Task]:
    """Light settings with several seeds and the paper's with one."""
    light = [curve_task(name, size, "light", seed) for size, names in SIZES.items() for name in names for seed in range(SEEDS)]
    return light + [curve_task(name, size, "paper", 0) for size, names in reversed(SIZES.items()) for name in names]


def stopped() -> list[Task]:
    """Light settings on all images."""
    names = (*WHOLE_HELD_OUT, *WHOLE_CHOOSING)
    return [curve_task(name, 512, "light", seed) for name in names for seed in range(STOPPED_SEEDS)]


def times() -> list[Task]:
    version = VERSIONS["light"]
    return [Task(f"whole-step-{size}", step_times, {"size": size, "version": version}, 70, (size / 256) ** 2) for size in SIZES]


class Report:
    """The page of what was measured so far."""

    def __init__(self, records: Records) -> None:
        self.records = records

    def text(self) -> str:
        about = "Made by `python -m benchmarks.whole`. σ = 25, clipped to [0, 1]; dB of the average, not debiased."
        head = f"# Light settings on larger images\n\n{about}"
        return (
            "\n\n".join([head, "## Against the paper's", self.speeds(), "## Stops, dB behind the best step", self.stops()])
            + "\n"
        )

    def speeds(self) -> str:
        """Rows of images and sizes of which both settings were run."""
        rows: list[Row] = []
        ratios: dict[int, list[float]] = {}
        for size, names in SIZES.items():
            for name in names:
                row = self._against(name, size, ratios)
                rows += [row] if row else []
        means = [f"{size} pixels {geometric_mean(values):.1f}" for size, values in ratios.items() if values]
        heads = [
            "image",
            "pixels",
            "paper: best",
            "at",
            f"best - {NEAR} at",
            "light: best",
            "at",
            "light - paper",
            "gets there at",
            "times faster",
        ]
        faster = f"Geometric means of the speed-up: {', '.join(means)}." if means else ""
        return f"{table(heads, rows)}\n\n{faster}" if rows else "Not measured yet."

    def _against(self, name: str, size: int, ratios: dict[int, list[float]]) -> Row | None:
        paper, lights = curve_task(name, size, "paper", 0), [curve_task(name, size, "light", seed) for seed in range(SEEDS)]
        made = [self.records[task.name] for task in (paper, *lights) if task.name in self.records]
        if paper.name not in self.records or len(made) < 2:
            return None
        of_paper, of_light = made[0]["result"], [record["result"] for record in made[1:]]
        step, best = of_paper["best"]
        goal = best - NEAR
        slow, quick = _reaching(of_paper, goal), [_reaching(result, goal) for result in of_light]
        bests = [result["best"][1] for result in of_light]
        there = [steps for steps in quick if steps is not None]
        faster = self._ratio(size) * slow / fmean(there) if slow and len(there) == len(quick) and self._ratio(size) else None
        ratios.setdefault(size, []).extend([faster] if faster else [])
        cells = [name, size, f"{best:.2f}", step, slow, _mean(bests), f"{fmean(result['best'][0] for result in of_light):.0f}"]
        reached = f"{fmean(there):.0f}" if len(there) == len(quick) else f"{len(there)} of {len(quick)} seeds do"
        return [*cells, f"{fmean(bests) - best:+.2f}", reached, f"{faster:.1f}" if faster else "–"], made

    def _ratio(self, size: int) -> float:
        """Time of a step of the paper's over one of the light settings; 0 where it is not measured."""
        name = f"whole-step-{size}"
        medians = self.records[name]["result"]["median_seconds"] if name in self.records else {"light": 1.0, "paper": 0.0}
        return medians["paper"] / medians["light"]

    def stops(self) -> str:
        rows: list[Row] = []
        for name in (*WHOLE_HELD_OUT, *WHOLE_CHOOSING):
            tasks = [curve_task(name, 512, "light", seed) for seed in range(STOPPED_SEEDS)]
            made = [self.records[task.name] for task in tasks if task.name in self.records]
            if made:
                results = [record["result"] for record in made]
                best = [_mean([result["best"][1] for result in results]), f"{fmean(r['best'][0] for r in results):.0f}"]
                behind = [
                    _mean([result["best"][1] - result["stops"][rule][1] for result in results])
                    if all(rule in result["stops"] for result in results)
                    else "–"
                    for rule in _RULES
                ]
                rows.append(([name, "held out" if name in WHOLE_HELD_OUT else "chosen on", *best, *behind], made))
        return table(["image", "", "best", "at", *_RULES], rows) if rows else "Not measured yet."


def _reaching(result: dict[str, Any], goal: float) -> int | None:
    """The first step, of every fifth, at which a run had so many dB; None where it never had."""
    return next((THIN * number for number, value in enumerate(result["average"], 1) if value >= goal), None)


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def main(parts: Sequence[str]) -> None:
    planned: Iterable[Task] = {task.name: task for task in (*times(), *stopped(), *against())}.values()
    run(chosen(planned, parts))
    write_report("whole", Report(records_of(planned)).text())


if __name__ == "__main__":
    main(sys.argv[1:])
