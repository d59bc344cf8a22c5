"""Total variation, measured: ``python -m benchmarks.tv`` with DIPOPS_DATA naming the folder of test pictures.

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

from benchmarks.core import DATA, save_figure
from benchmarks.harness import RESULTS, Task, in_turn, markdown, provenance, run
from dipops import (
    Descent,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    Mask,
    PrimalDual,
    Problem,
    TotalVariation,
    compare,
    images,
    metrics,
    recipes,
    solve,
)
from dipops._tools.files import write_whole
from dipops.cli.runs import PriorName, convex_recipe
from dipops.stopping import Tolerance
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
    problem, prior = Problem(Identity(noisy.shape), noisy, sigma=SIGMA), TotalVariation(settings["weight"])
    exact = solve(problem, prior, monitors=(Tolerance(gap=1e-6),), progress=False)
    optimum = float(_objective(problem, prior, exact.image))
    peers = {name: make(noisy, settings["weight"]) for name, make in _peers().items()}
    found: dict[str, Any] = {"optimum": optimum, "versions": {name: version(name) for name in peers}, "rows": {}}
    for gap in GAPS:
        ours = partial(solve, problem, prior, monitors=(Tolerance(gap=gap),), progress=False)
        steps = {"dipops": ours().steps}
        candidates: dict[str, Callable[[], object]] = {"dipops": ours}
        for name, peer in peers.items():
            steps[name] = _steps_needed(peer, problem, prior, optimum * (1 + gap))
            candidates[name] = partial(peer, steps[name])
        found["rows"][f"{gap:g}"] = {"steps": steps, **in_turn(candidates, rounds=5)}
    return found


def four(settings: dict[str, Any]) -> dict[str, Any]:
    """The objectives that three methods reach on four problems of 64 pixels, relative to the best."""
    x = images.portrait(settings["size"]).double()
    operators = {
        "denoising": (Identity(x.shape), 0.1, 0.08),
        "50% missing": (Mask(images.random_mask(*x.shape[1:], keep=0.5), 3), 0.05, 0.03),
        "x2": (LanczosDownsampler(x.shape, 2), 0.01, 0.001),
        "motion blur": (MotionBlur(x.shape), 0.01, 0.002),
    }
    adam = partial(torch.optim.Adam, lr=0.01)
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3000)
    lbfgs = partial(torch.optim.LBFGS, lr=1.0, line_search_fn="strong_wolfe", max_iter=20, history_size=20)
    found: dict[str, Any] = {}
    for name, (operator, sigma, weight) in operators.items():
        problem, prior = Problem.simulate(operator.double(), x, sigma), TotalVariation(weight)
        results = {
            "PrimalDual": solve(problem, prior, PrimalDual(), steps=20000, monitors=(Tolerance(change=1e-9),), progress=False),
            "PrimalDual, default stop": solve(problem, prior, progress=False),
            "Adam, cosine": solve(problem, prior, Descent(adam, cosine), steps=3000, progress=False),
            "L-BFGS": solve(problem, prior, Descent(lbfgs), steps=60, progress=False),
        }
        objectives = {method: float(_objective(problem, prior, result.image)) for method, result in results.items()}
        best = objectives["PrimalDual"]
        found[name] = {method: {"objective": value, "excess": value / best - 1} for method, value in objectives.items()}
    return found


def weights(settings: dict[str, Any]) -> dict[str, Any]:
    """What SURE and the discrepancy principle lose against the oracle weight, on nine centre crops."""
    size, found = settings["size"], {}
    for path in sorted((DATA / "denoising").glob("*.png")):
        pair = (images.load(path), images.load(DATA / "denoising_sigma25" / path.name))
        truth, noisy = (images.centre_crop(picture, (size, size)) for picture in pair)
        problem = Problem(Identity(truth.shape), noisy, truth, SIGMA)
        tuned = {
            type(rule).__name__: tune(problem, TotalVariation, rule, progress=False)
            for rule in (Oracle(), SURE(SIGMA), Discrepancy(SIGMA))
        }
        found[path.stem] = {
            name: {"weight": result.weight, "psnr": float(metrics.psnr(result.result.image, truth))}
            for name, result in tuned.items()
        }
    return found


def zebra(settings: dict[str, Any]) -> dict[str, Any]:
    """x4 on a part of the zebra crop: no prior, Tikhonov, TV (the last two in the limit Ax = y) and DIP."""
    top, left, size = (settings[name] for name in ("top", "left", "size"))
    truth = images.load(DATA / "sr" / "zebra_crop.png")[:, top : top + size, left : left + size]
    small = images.resize(truth, (size // 4, size // 4), Image.Resampling.LANCZOS).clamp(0, 1)
    problem = Problem(LanczosDownsampler(truth.shape, 4), small, truth)
    contestants = {name: convex_recipe(problem, name) for name in (PriorName.none, PriorName.tikhonov, PriorName.tv)}
    labels = {PriorName.none: "no prior", PriorName.tikhonov: "Tikhonov", PriorName.tv: "TV"}
    dip = recipes.upscale(4)
    comparison = compare(problem, {labels[name]: c for name, c in contestants.items()} | {"DIP": dip}, progress=False)
    save_figure("pictures/tv-zebra", comparison.figure())
    return {"rows": comparison.rows(), "table": comparison.table()}


def _objective(problem: Problem, prior: TotalVariation, image: Tensor) -> Tensor:
    image = image.double()
    misfit = 0.5 * (problem.operator.double()(image) - problem.y.double()).square().sum()
    problem.operator.to(problem.y)
    return misfit + prior.value(image).sum()


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
    found: dict[str, Peer] = {"scikit-image": _scikit_image}
    if importlib.util.find_spec("odl"):
        found["odl"] = _odl
    return found


def _scikit_image(noisy: Tensor, weight: float) -> Callable[[int], Tensor]:
    from skimage.restoration import denoise_tv_chambolle

    picture = noisy.movedim(0, -1).contiguous().numpy()

    def peer(steps: int) -> Tensor:
        out = denoise_tv_chambolle(picture, weight=weight, eps=0, max_num_iter=steps, channel_axis=-1)
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


def report(records: dict[str, dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    found = {name: record["result"] for name, record in records.items()}
    speeds = []
    for name in ("tv-speed-1", "tv-speed-2"):
        if name not in found:
            continue
        for gap, row in found[name]["rows"].items():
            for peer, seconds in row["median_seconds"].items():
                speeds.append([name[-1], gap, peer, row["steps"][peer], f"{seconds:.3f}", f"{row['ratio_to_first'][peer]:.1f}"])
    agreement = [
        [name, *(f"{values['objective']:.5f} (+{values['excess']:.1e})" for values in methods.values())]
        for name, methods in found["tv-four"].items()
    ]
    losses = [
        [
            name,
            f"{rules['Oracle']['weight']:.3f}",
            f"{rules['Oracle']['psnr']:.2f}",
            *(f"{rules['Oracle']['psnr'] - rules[rule]['psnr']:.2f}" for rule in ("SURE", "Discrepancy")),
        ]
        for name, rules in found["tv-weights"].items()
    ]
    return f"""# Total variation, measured

{provenance(records["tv-four"], "python -m benchmarks.tv")}

## Seconds to a relative gap: f16, 3 x 512 x 512, σ = 25, λ = 0.1

Ours stops by its own primal-dual gap, checks included. A peer is given the smallest number of steps (to 5%) after which its
objective is within that part of the optimum, {found["tv-speed-2"]["optimum"]:.2f}, and is not charged for a check. Medians
of 5 runs in turn.

{markdown(["threads", "gap", "solver", "steps", "seconds", "times ours"], speeds)}

deepinv has no row: it does not import without torchvision, which does not load beside the CPU build of torch used here.

## One minimum from every method, portrait of 64 x 64 pixels, float64

{markdown(["problem", *next(iter(found["tv-four"].values()))], agreement)}

## What a rule loses against the oracle weight (dB), nine centre crops of 128 x 128 pixels, σ = 25

{markdown(["picture", "oracle weight", "oracle PSNR", "SURE", "discrepancy"], losses)}

SURE needs σ and no truth; the discrepancy principle too, and smooths too much.

## x4, part of the zebra crop, 128 x 128 pixels

{found["tv-zebra"]["table"]}

Tikhonov (on the gradient) and TV are solved subject to Ax = y; "consistency" is the PSNR of Ax against the measurement.
"""


TASKS = (
    Task("tv-zebra", zebra, {"top": 16, "left": 64, "size": 128}, 2000, 0.2),
    Task("tv-four", four, {"size": 64}, 12, 5.0),
    Task("tv-weights", weights, {"size": 128}, 27, 3.0),
    Task("tv-speed-1", speed, {"threads": 1, "weight": 0.1}, 60, 3.0),
    Task("tv-speed-2", speed, {"threads": 2, "weight": 0.1}, 60, 3.0),
)

if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    warnings.simplefilter("ignore")
    chosen = sys.argv[1:]
    records = run([task for task in TASKS if not chosen or task.name in chosen])
    if len(records) == len(TASKS):
        write_whole(RESULTS / "tv.md", lambda file: file.write(report(records).encode()))
    for name, record in records.items():
        print(name, record["result"])
