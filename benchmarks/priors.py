"""Which prior for which operator: ``python -m benchmarks.priors``.

Ten operators on the bundled photograph at 64 x 64 pixels, noise known. Weights are chosen by SURE, and nothing stops by the
ground truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from benchmarks.core import save_figure
from benchmarks.harness import RESULTS, Records, Row, Task, render, require_one_machine, run, table, write_report
from dipops import (
    ConjugateGradient,
    FiniteDifferences,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Mask,
    NoPrior,
    Problem,
    Tikhonov,
    TotalVariation,
    images,
    masks,
    metrics,
    recipes,
    solve,
)
from dipops.operators import Blur, Fourier, Mosaic, Radon, RandomMeasurements, Saturation, kernels
from dipops.priors import Prior
from dipops.stopping import Discrepancy
from dipops.tune import SURE, tune

SIZE = 64
SHAPE = (3, SIZE, SIZE)
IMAGES = RESULTS / "images"


@dataclass(frozen=True)
class Setting:
    """An operator, the σ of its noise, and how it is called."""

    make: Callable[[], LinearOrDifferentiableOperator]
    sigma: float


SETTINGS = {
    "denoising": Setting(lambda: Identity(SHAPE), 0.1),
    "half of the pixels": Setting(lambda: Mask(masks.random((SIZE, SIZE), 0.5), 3), 0.02),
    "Gaussian blur": Setting(lambda: Blur(SHAPE, kernels.gaussian(1.5)), 0.01),
    "motion blur": Setting(lambda: Blur(SHAPE, kernels.motion(9, 30)), 0.01),
    "x2": Setting(lambda: LanczosDownsampler(SHAPE, 2), 0.01),
    "mosaic": Setting(lambda: Mosaic(SHAPE), 0.02),
    "CT, 30 views": Setting(lambda: Radon(SHAPE, [6.0 * view for view in range(30)]), 0.2),
    "MRI, a quarter": Setting(lambda: Fourier(SHAPE, masks.radial((SIZE, SIZE), 16)), 0.02),
    "random, a quarter": Setting(lambda: RandomMeasurements(SHAPE, 3 * SIZE * SIZE // 4), 0.02),
    "saturation": Setting(lambda: Saturation(SHAPE, 0.7, smoothness=0.02), 0.02),
}


def no_prior(problem: Problem) -> Tensor:
    """Least squares, stopped where the residual is that of the noise."""
    method = ConjugateGradient() if isinstance(problem.operator, LinearOperator) else None
    return solve(problem, NoPrior(), method, callbacks=[Discrepancy()], progress=False).image


def tuned(problem: Problem, prior_of_weight: Callable[[float], Prior]) -> Tensor:
    operator = problem.operator
    scale = operator.norm() ** 2 if isinstance(operator, LinearOperator) else 1.0
    return tune(problem, prior_of_weight, SURE(), weights=(1e-4 * scale, 0.1 * scale), progress=False).result.image


PRIORS: dict[str, Callable[[Problem], Tensor]] = {
    "none": no_prior,
    "Tikhonov": lambda problem: tuned(problem, lambda weight: Tikhonov(weight, FiniteDifferences(SHAPE))),
    "TV": lambda problem: tuned(problem, TotalVariation),
    "DIP": lambda problem: recipes.restore().solve(problem, progress=False).image,
}


def problem_of(name: str) -> Problem:
    return Problem.simulate(SETTINGS[name].make(), images.portrait(SIZE), SETTINGS[name].sigma)


def restored(settings: dict[str, Any]) -> dict[str, float]:
    """PSNR and seconds of one prior; the image is kept for the figure."""
    torch.set_num_threads(1)
    problem = problem_of(settings["operator"])
    start = perf_counter()
    image = PRIORS[settings["prior"]](problem)
    seconds = perf_counter() - start
    IMAGES.mkdir(exist_ok=True)
    images.save(file_of(settings["operator"], settings["prior"]), image.clamp(0, 1))
    return {"psnr": float(metrics.psnr(image, images.portrait(SIZE))), "seconds": seconds}


def file_of(operator: str, prior: str) -> Path:
    return IMAGES / f"priors-{operator.replace(' ', '-').replace(',', '')}-{prior}.png"


def name_of(operator: str, prior: str) -> str:
    return f"priors-{operator}-{prior}"


TASKS = [
    Task(name_of(operator, prior), restored, {"operator": operator, "prior": prior, "sigma": setting.sigma}, 1, 30)
    for operator, setting in SETTINGS.items()
    for prior in PRIORS
]


def main() -> None:
    mpl.use("Agg")
    records = run(TASKS)
    require_one_machine(TASKS, records)
    write_report("priors", report(records))
    save_figure("priors", draw(records))


def report(records: Records) -> str:
    rows: list[Row] = []
    for operator, setting in SETTINGS.items():
        runs = [records[name_of(operator, prior)] for prior in PRIORS]
        best = max(run["result"]["psnr"] for run in runs)
        cells = [cell(run["result"], best) for run in runs]
        rows.append(([operator, f"{setting.sigma:g}", *cells], runs))
    return render("priors", size=SIZE, prior_table=table(["operator", "σ", *PRIORS], rows))


def cell(result: dict[str, float], best: float) -> str:
    """PSNR and seconds, the best in bold."""
    score = f"{result['psnr']:.2f}"
    return f"{f'**{score}**' if result['psnr'] == best else score} ({seconds(result['seconds'])} s)"


def seconds(value: float) -> str:
    return f"{value:.{0 if value >= 10 else 1}f}"


def draw(records: Records) -> Any:
    """One row for each operator: what is measured, or its back-projection, and what each prior makes of it."""
    truth = images.portrait(SIZE)
    columns = ["measurement", *PRIORS, "ground truth"]
    figure, axes = plt.subplots(
        len(SETTINGS), len(columns), figsize=(1.6 * len(columns), 1.75 * len(SETTINGS)), layout="constrained"
    )
    for row, operator in zip(axes, SETTINGS, strict=True):
        shown = {"measurement": seen(problem_of(operator)), "ground truth": truth}
        shown |= {prior: images.load(file_of(operator, prior)) for prior in PRIORS}
        for ax, column in zip(row, columns, strict=True):
            ax.imshow(shown[column].movedim(0, -1).clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            if column in PRIORS:
                ax.set_xlabel(f"{records[name_of(operator, column)]['result']['psnr']:.2f} dB", fontsize=8)
        row[0].set_ylabel(operator, fontsize=8)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(column, fontsize=9)
    return figure


def seen(problem: Problem) -> Tensor:
    """The measurement where it is an image, else Aᵀy between its extremes."""
    y = problem.y[0]
    if y.ndim == 3 and y.shape[-1] > 2 and not isinstance(problem.operator, Radon):
        return y
    assert isinstance(problem.operator, LinearOperator)
    back = problem.operator.T(problem.y)[0]
    return (back - back.min()) / (back.max() - back.min())


if __name__ == "__main__":
    main()
