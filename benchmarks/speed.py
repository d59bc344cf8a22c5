"""How fast: ``python -m benchmarks.speed [PART ...]``, or ``make bench``; on a GPU where there is one.

Everything is timed in turn, alone on the machine. Then ``python -m benchmarks.speed_report``.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.baseline import denoise as baseline
from benchmarks.core import SIGMA
from benchmarks.crops import CHECKING
from benchmarks.dip import LIGHT, TASK_SIZE, peak_of, problem_and_recipe, task_on
from benchmarks.dip import noisy as noisy_crop
from benchmarks.harness import DEVICE, Task, chosen, in_turn, run
from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Problem,
    estimate,
    images,
    recipes,
    solve,
)
from dipops._tools.allocator import reused_memory
from dipops.metrics import psnr
from dipops.operators.resampling import lanczos_matrix
from dipops.recipes import Recipe, Settings
from dipops.solver.cost import start as start_iteration
from dipops.stopping import Observe

THREADS = 2
RECIPES: tuple[Settings, ...] = ("paper", "light")


def image_of(size: int) -> torch.Tensor:
    """A square of the bundled photograph, enlarged where that is too small."""
    photo = images.photograph()
    side = min(*photo.shape[1:], size)
    return images.resize(images.centre_crop(photo, (side, side)), (size, size)).clamp(0, 1)


@cache
def noisy(size: int) -> Problem:
    """That image with noise."""
    x = image_of(size)
    return Problem.simulate(Identity(x.shape), x, ClippedGaussian(SIGMA)).to(DEVICE)


def rate(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds a step of the plain loop, and of the paper's and the light recipe, in turn.

    The loop has a process to itself: memory that a solve keeps would serve it too.
    """
    torch.set_num_threads(THREADS)
    size, steps = settings["size"], settings["steps"]
    both = {name: (noisy(size), recipes.denoise(name)) for name in RECIPES}
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (THREADS,)) as own:
        plain = {"loop": lambda: own.submit(loop, size, steps["loop"]).result()}
        seconds = _seconds_over_runs(plain | _solves(both, steps), steps, settings["rounds"])
    precision = {name: recipe.solve(problem, steps=1, progress=False).precision for name, (problem, recipe) in both.items()}
    return {"seconds": seconds, "precision": precision}


def loop(size: int, steps: int) -> None:
    """The plain loop on an image of that size."""
    problem = noisy(size)
    assert problem.truth is not None
    baseline(problem.y, problem.truth, steps)


def lanczos(settings: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of x4 reduction, against a dense convolution between all channels with frozen weights."""
    torch.set_num_threads(THREADS)
    size = settings["size"]
    operator = LanczosDownsampler((3, size, size), 4).to(DEVICE)
    x = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(DEVICE).requires_grad_()
    middle = lanczos_matrix(64, 4, 2)[8].to(DEVICE)
    taps = middle[middle != 0]
    kernel, border = torch.outer(taps, taps), (len(taps) - 4) // 2
    weight = torch.zeros(3, 3, *kernel.shape).to(DEVICE)
    weight[range(3), range(3)] = kernel

    def dense(image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(image, (border,) * 4, mode="replicate"), weight, stride=4)

    def both(function: Any) -> None:
        y = function(x)
        torch.autograd.grad(y, x, y)

    with torch.no_grad():
        error = float((dense(x) - operator(x)).abs().max())
    repeats = settings["repeats"]
    seconds = in_turn(
        {
            "dipops": lambda: _settled(lambda: [both(operator) for _ in range(repeats)]),
            "dense": lambda: _settled(lambda: [both(dense) for _ in range(repeats)]),
        },
        settings["rounds"],
    )
    return {"seconds": {name: median / repeats for name, median in seconds["median_seconds"].items()}, "difference": error}


def task_rate(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds a step of both recipes for a task, in turn; the paper's goes as fast as the loop."""
    torch.set_num_threads(THREADS)
    x, steps = image_of(settings["size"]), settings["steps"]
    both = {name: problem_and_recipe(settings["task"], x, name) for name in RECIPES}
    return _seconds_over_runs(_solves(both, steps), steps, settings["rounds"])


def peaks(settings: dict[str, Any]) -> dict[str, Any]:
    """Best average of the plain loop and of the paper's recipe from one seed, on the same noise."""
    problem, steps, seed = noisy_crop(settings["image"], 0, settings["size"]), settings["steps"], settings["seed"]
    assert problem.truth is not None
    recipe = recipes.denoise("paper")
    result = solve(problem, recipe.prior, recipe.method, steps=steps, seed=seed, callbacks=(), progress=False)
    plain = torch.tensor(baseline(problem.y, problem.truth, steps, seed))
    return {"loop": peak_of(plain), "paper": peak_of(result.trace["psnr_average"][:, 0])}


def photo(settings: dict[str, Any]) -> dict[str, Any]:
    """``dipops denoise`` with its defaults on a noisy 8-bit file."""
    torch.set_num_threads(settings["threads"])
    x = image_of(settings["size"])
    environment = os.environ | {"OMP_NUM_THREADS": str(settings["threads"])}
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "noisy.png", Path(folder) / "clean.png"
        images.save(before, noisy(settings["size"]).y)
        started = time.perf_counter()
        command = [sys.executable, "-m", "dipops", "denoise", before, after, "--sigma", "25", "--prior", settings["prior"]]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "psnr": [float(psnr(images.load(path), x)) for path in (before, after)]}


def start(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a fresh process until torch, until dipops is imported, and until a first and a second step are done."""
    code = f"""
import time
moments = [time.perf_counter()]
import torch
moments.append(time.perf_counter())
import dipops
moments.append(time.perf_counter())
from dipops import Identity, Problem, images, recipes
torch.set_num_threads({THREADS})
x = images.portrait(128)
problem, recipe = Problem.simulate(Identity(x.shape), x, 0.1), recipes.denoise()
for _ in range(2):
    recipe.solve(problem, steps=1, progress=False)
    moments.append(time.perf_counter())
print(*(after - before for before, after in zip(moments, moments[1:])))
"""
    rounds = []
    for _ in range(settings["rounds"]):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        rounds.append([float(value) for value in done.stdout.split()])
    names = ("import torch", "import dipops", "first solve of one step", "second")
    return {name: sorted(values)[len(values) // 2] for name, values in zip(names, zip(*rounds, strict=True), strict=True)}


def growth(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds and bytes of a step of one hourglass, as ``estimate`` gives them."""
    torch.set_num_threads(THREADS)
    width, scales, members = settings["width"], settings["scales"], settings["members"]
    generator = replace(Hourglass(), channels=(width,) * scales, recompute=settings["recompute"])
    prior = DeepImagePrior(generator)
    cost = estimate(noisy(settings["size"]).repeat(members), prior, recipes.denoise("paper").method, steps=1)
    return {"seconds": cost.seconds, "bytes": cost.bytes}


def runs(settings: dict[str, Any]) -> dict[str, Any]:
    """A step of Adam with the light network, K runs at once against one."""
    torch.set_num_threads(THREADS)
    prior, problem, method = recipes.denoise().prior, noisy(settings["size"]), Descent(recipes.SHORT_MEMORY)
    started = {str(members): start_iteration(problem.repeat(members), prior, method) for members in (1, settings["members"])}
    steps = {name: partial(_settled, partial(iteration.step, False)) for name, (_, iteration) in started.items()}
    with reused_memory():  # as in a solve
        return in_turn(steps, settings["rounds"])["median_seconds"]


def _settled(work: Callable[[], object]) -> None:
    """Do the work, and wait until the device has done it."""
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def _solves(both: Mapping[str, tuple[Problem, Recipe]], steps: dict[str, int]) -> dict[str, Callable[[], object]]:
    """Solves of so many steps: rules observe and end none, and nothing follows the last step."""
    return {
        name: partial(
            solve,
            problem.to(DEVICE),
            recipe.prior,
            recipe.method,
            steps=steps[name],
            callbacks=[Observe(rule) for rule in recipe.callbacks],
            progress=False,
        )
        for name, (problem, recipe) in both.items()
    }


def _seconds_over_runs(solves: dict[str, Callable[[], object]], steps: dict[str, int], rounds: int) -> dict[str, float]:
    """Medians of seconds a step, of runs of so many."""
    return {name: median / steps[name] for name, median in in_turn(solves, rounds)["median_seconds"].items()}


SIZES, WIDTHS, DEPTHS = (64, 128, 256, 512, 1024), (16, 32, 64, 128), (2, 3, 4, 5)
VERSION = {"version": LIGHT["version"]}
RATES = {
    size: Task(
        f"speed-rate-{size}",
        rate,
        {"size": size, "steps": {"loop": 12, "paper": 12, "light": light}, "rounds": 5, **VERSION},
        6 * (24 + light),
        each,
    )
    for size, light, each in ((128, 200, 0.13), (256, 100, 0.5))  # as many as a race takes, or as there is time for
}
OTHERS, LIGHT_STEPS = {"x4": 2000, "50% missing": 3000}, 1000
REACHED = {
    (name, image, recipe): task_on(image, name, recipe, steps if recipe == "paper" else LIGHT_STEPS)
    for name, steps in OTHERS.items()
    for image in CHECKING
    for recipe in RECIPES
}
OTHER_RATES = {
    name: Task(
        f"speed-others-{number}",
        task_rate,
        {"task": name, "size": TASK_SIZE, "steps": {"paper": 12, "light": 300}, "rounds": 5, **VERSION},
        1872,
        0.06,
    )
    for number, name in enumerate(OTHERS)
}
SEEDS = range(8)
PEAKS = [
    Task(f"speed-peaks-{seed}", peaks, {"image": "rocket", "size": 128, "steps": 700, "seed": seed}, 1400, 0.6, alone=False)
    for seed in SEEDS
]
LANCZOS = {
    size: Task(f"speed-lanczos-{size}", lanczos, {"size": size, "repeats": repeats, "rounds": 7}, repeats * 16, 0.05)
    for size, repeats in ((512, 10), (2048, 1))
}
PHOTOS = {
    (size, prior): Task(
        f"speed-photo-{size}-{prior}",
        photo,
        {"size": size, "prior": prior, "threads": THREADS, **VERSION},
        1,
        (60 if prior == "dip" else 10) * (size / 256) ** 2.5,
    )
    for size in (128, 256, 512)
    for prior in ("tv", "dip")
}
START = Task("speed-start", start, {"rounds": 5, **VERSION}, 5, 8)
_USUAL = {"size": 128, "width": 32, "scales": 5, "members": 1, "recompute": False}


def _growth(**changed: Any) -> Task:
    name = "-".join(["speed-growth", *(f"{key}-{value}" for key, value in changed.items())])
    return Task(name, growth, _USUAL | changed, 5, 2.0)


BY_SIZE = {(size, again): _growth(size=size, recompute=again) for size in SIZES for again in (False, True)}
BY_WIDTH = {width: _growth(width=width) for width in WIDTHS}
BY_DEPTH = {scales: _growth(scales=scales) for scales in DEPTHS}
RUNS = {
    (size, members): Task(
        f"speed-runs-{size}-{members}", runs, {"size": size, "members": members, "rounds": 7, **VERSION}, 8, 0.5
    )
    for size in (64, 128)
    for members in (4, 8)
}
TASKS = [
    *(*RATES.values(), *LANCZOS.values(), START, *RUNS.values(), *PEAKS, *REACHED.values(), *OTHER_RATES.values()),
    *(*BY_SIZE.values(), *BY_WIDTH.values(), *BY_DEPTH.values()),
]


if __name__ == "__main__":
    run(chosen([*TASKS, *PHOTOS.values()], sys.argv[1:]))
