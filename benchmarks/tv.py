"""Total variation, measured: ``python -m benchmarks.tv [PART ...]`` with DIPOPS_DATA naming the folder of test images.

Peers are timed where they are installed: scikit-image, and ODL and deepinv in an environment of their own.
"""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.core import save_figure
from benchmarks.crops import DATA
from benchmarks.harness import Records, Row, Task, chosen, in_turn, render, run, table, write_report
from dipops import (
    Descent,
    FiniteDifferences,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    compare,
    images,
    masks,
    metrics,
    recipes,
    solve,
)
from dipops.tune import SURE, Discrepancy, Oracle, tune

SIGMA = 25 / 255
GAPS = (1e-3, 1e-4)
MOST_STEPS = 4000


class MotionBlur(LinearOperator):
    """As in the README: its adjoint is automatic."""

    def __init__(self, in_shape: tuple[int, ...], length: int = 7) -> None:
        super().__init__(in_shape)
        self.kernel = torch.full((in_shape[0], 1, 1, length), 1 / length)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, groups=len(self.kernel))


def speed(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds to a relative gap, ours by its own stop, peers by the smallest step count whose objective is that near."""
    torch.set_num_threads(settings["threads"])
    noisy = images.load(DATA / "denoising_sigma25" / "f16.png")
    problem, prior = Problem(Identity(noisy.shape), noisy, SIGMA), TotalVariation(settings["weight"])
    exact = solve(problem, prior, PrimalDual(tolerance=1e-6), progress=False)
    optimum = float(_objective(problem, prior, exact.image))
    peers = {name: make(noisy, settings["weight"]) for name, make in _peers().items()}
    rows: dict[str, Any] = {}
    for gap in GAPS:
        ours = partial(solve, problem, prior, PrimalDual(tolerance=gap), progress=False)
        steps = {"dipops": ours().steps}
        candidates: dict[str, Callable[[], object]] = {"dipops": ours}
        for name, peer in peers.items():
            steps[name] = _steps_needed(peer, problem, prior, optimum * (1 + gap))
            candidates[name] = partial(peer, steps[name])
        rows[f"{gap:g}"] = {"steps": steps, **in_turn(candidates, rounds=5)}
    return {"optimum": optimum, "versions": {name: version(name) for name in peers}, "rows": rows}


def four(settings: dict[str, Any]) -> dict[str, Any]:
    """The objectives that three methods reach on four problems of 64 pixels, relative to the best."""
    x = images.portrait(settings["size"]).double()
    operators = {
        "denoising": (Identity(x.shape), 0.1, 0.08),
        "50% missing": (Mask(masks.random(x.shape[1:], keep=0.5), 3), 0.05, 0.03),
        "x2": (LanczosDownsampler(x.shape, 2), 0.01, 0.001),
        "motion blur": (MotionBlur(x.shape), 0.01, 0.002),
    }
    adam = partial(torch.optim.Adam, lr=0.01)
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3000)
    lbfgs = partial(torch.optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe", max_iter=20, history_size=20)
    excesses: dict[str, Any] = {}
    for name, (operator, sigma, weight) in operators.items():
        problem, prior = Problem.simulate(operator.double(), x, sigma), TotalVariation(weight)
        results = {
            "PrimalDual": solve(problem, prior, PrimalDual(tolerance=1e-6), steps=20000, progress=False),
            "PrimalDual, default stop": solve(problem, prior, progress=False),
            "Adam, cosine": solve(problem, prior, Descent(adam, cosine), steps=3000, progress=False),
            "L-BFGS": solve(problem, prior, Descent(lbfgs), steps=60, progress=False),
        }
        objectives = {method: float(_objective(problem, prior, result.image)) for method, result in results.items()}
        best = objectives["PrimalDual"]
        excesses[name] = {method: {"objective": value, "excess": value / best - 1} for method, value in objectives.items()}
    return excesses


def weights(settings: dict[str, Any]) -> dict[str, Any]:
    """What SURE and the discrepancy principle lose against the oracle weight, on nine centre crops."""
    size, rules = settings["size"], {}
    for path in sorted((DATA / "denoising").glob("*.png")):
        pair = (images.load(path), images.load(DATA / "denoising_sigma25" / path.name))
        truth, noisy = (images.centre_crop(image, (size, size)) for image in pair)
        problem = Problem(Identity(truth.shape), noisy, SIGMA, truth=truth)
        tuned = {
            type(rule).__name__: tune(problem, TotalVariation, rule, progress=False)
            for rule in (Oracle(), SURE(), Discrepancy())
        }
        rules[path.stem] = {
            name: {"weight": choice.weight, "psnr": float(metrics.psnr(choice.result.image, truth))}
            for name, choice in tuned.items()
        }
    return rules


def zebra(settings: dict[str, Any]) -> dict[str, Any]:
    """x4 on a part of the zebra crop: no prior, Tikhonov and TV in the limit Ax = y, and DIP by the paper's settings."""
    top, left, size = (settings[name] for name in ("top", "left", "size"))
    truth = images.load(DATA / "sr" / "zebra_crop.png")[:, top : top + size, left : left + size]
    small = images.resize(truth, (size // 4, size // 4), Image.Resampling.LANCZOS).clamp(0, 1)
    problem = Problem(LanczosDownsampler(truth.shape, 4), small, truth=truth)
    gradient = FiniteDifferences(truth.shape)
    contestants = {
        "no prior": NoPrior(),
        "Tikhonov": recipes.limit(lambda weight: Tikhonov(weight, gradient)),
        "TV": recipes.limit(TotalVariation),
        "DIP": recipes.upscale(4, settings["recipe"]),
    }
    comparison = compare(problem, contestants, progress=False)
    save_figure("images/tv-zebra", comparison.figure())
    return {"rows": comparison.rows()}


def _objective(problem: Problem, prior: TotalVariation, image: Tensor) -> Tensor:
    image = image.double()
    data_term = 0.5 * (problem.operator.double()(image) - problem.y.double()).square().sum()
    problem.operator.to(problem.y)
    return data_term + prior.value(image).sum()


def _steps_needed(peer: Callable[[int], Tensor], problem: Problem, prior: TotalVariation, bound: float) -> int:
    """The smallest number of steps, to 5%, after which the peer's objective is at most ``bound``."""
    low, high = 1, 16
    while float(_objective(problem, prior, peer(high))) > bound:
        low, high = high, 2 * high
        if high > MOST_STEPS:
            raise RuntimeError(f"not there after {MOST_STEPS} steps: is it the same model?")
    while high > 1.05 * low + 1:
        middle = (low + high) // 2
        low, high = (low, middle) if float(_objective(problem, prior, peer(middle))) <= bound else (middle, high)
    return high


Peer = Callable[[Tensor, float], Callable[[int], Tensor]]


def _peers() -> dict[str, Peer]:
    return {"scikit-image": _scikit_image} | ({"odl": _odl} if importlib.util.find_spec("odl") else {})


def _scikit_image(noisy: Tensor, weight: float) -> Callable[[int], Tensor]:
    from skimage.restoration import denoise_tv_chambolle

    image = noisy.movedim(0, -1).contiguous().numpy()

    def peer(steps: int) -> Tensor:
        out = denoise_tv_chambolle(image, weight=weight, eps=0, max_num_iter=steps, channel_axis=-1)
        return torch.from_numpy(np.asarray(out)).movedim(-1, 0)[None]

    return peer


def _odl(noisy: Tensor, weight: float) -> Callable[[int], Tensor]:
    """The Chambolle-Pock solver of ODL, accelerated, a channel at a time (TV does not couple channels)."""
    import odl  # pyright: ignore[reportMissingImports]

    height, width = noisy.shape[1:]
    space = odl.uniform_discr([0, 0], [height, width], [height, width], dtype="float32")
    gradient = odl.Gradient(space, method="forward", pad_mode="symmetric")
    penalty = weight * odl.functionals.GroupL1Norm(gradient.range)

    def peer(steps: int) -> Tensor:
        planes = []
        for plane in noisy:
            data = 0.5 * odl.functionals.L2NormSquared(space).translated(space.element(plane.numpy().copy()))
            x = space.element(plane.numpy().copy())
            odl.solvers.pdhg(x, data, penalty, gradient, niter=steps, tau=1 / 8**0.5, sigma=1 / 8**0.5, gamma_primal=1.0)
            planes.append(torch.from_numpy(np.asarray(x.asarray(), dtype=np.float32)))
        return torch.stack(planes)[None]

    return peer


TASKS = (
    Task("tv-zebra", zebra, {"recipe": "paper", "top": 16, "left": 64, "size": 128}, 2000, 0.2),
    Task("tv-four", four, {"size": 64}, 12, 5.0),
    Task("tv-weights", weights, {"size": 128}, 27, 3.0),
    Task("tv-speed-1", speed, {"threads": 1, "weight": 0.1}, 60, 3.0),
    Task("tv-speed-2", speed, {"threads": 2, "weight": 0.1}, 60, 3.0),
)


def main(parts: list[str]) -> None:
    os.environ.setdefault("MPLBACKEND", "agg")
    warnings.simplefilter("ignore")
    records = run(chosen(TASKS, parts))
    if len(records) == len(TASKS):
        write_report("tv", report(records))


def report(records: Records) -> str:
    speeds: list[Row] = []
    for threads in ("1", "2"):
        record = records[f"tv-speed-{threads}"]
        for gap, row in record["result"]["rows"].items():
            for peer, seconds in row["median_seconds"].items():
                ratio = f"{row['ratio_to_first'][peer]:.1f}"
                speeds.append(([threads, gap, peer, row["steps"][peer], f"{seconds:.3f}", ratio], [record]))
    four, weights, zebra = (records[f"tv-{name}"]["result"] for name in ("four", "weights", "zebra"))
    objectives = [
        [name, *(f"{values['objective']:.5f} (+{values['excess']:.1e})" for values in methods.values())]
        for name, methods in four.items()
    ]
    losses = [[name, *_losses(rules)] for name, rules in weights.items()]
    return render(
        "tv",
        optimum=records["tv-speed-2"]["result"]["optimum"],
        speeds=table(["threads", "gap", "solver", "steps", "seconds", "times ours"], speeds),
        objectives=table(["problem", *next(iter(four.values()))], [(row, [records["tv-four"]]) for row in objectives]),
        losses=table(
            ["image", "oracle weight", "oracle PSNR", "SURE", "discrepancy"], [(row, [records["tv-weights"]]) for row in losses]
        ),
        zebra=table(
            ["prior", "PSNR (dB)", "SSIM", "data PSNR (dB)", "seconds", "steps", "stopped"],
            [(_shown(row), [records["tv-zebra"]]) for row in zebra["rows"]],
        ),
    )


def _losses(rules: dict[str, dict[str, float]]) -> list[str]:
    """The oracle's weight and PSNR, and what the rules lose against it."""
    oracle = rules["Oracle"]
    losses = (f"{oracle['psnr'] - rules[rule]['psnr']:.2f}" for rule in ("SURE", "Discrepancy"))
    return [f"{oracle['weight']:.3f}", f"{oracle['psnr']:.2f}", *losses]


def _shown(row: dict[str, Any]) -> list[object]:
    scores = [f"{row['psnr']:.2f}", f"{row['ssim']:.3f}", f"{row['data_psnr']:.1f}", f"{row['seconds']:.1f}"]
    return [row["prior"], *scores, row["steps"], row["message"]]


if __name__ == "__main__":
    main(sys.argv[1:])
