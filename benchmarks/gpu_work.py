"""What is measured on a GPU: a step and its floor, whole images, the bits of two runs, and the heaviest kernels."""

import gc
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.baseline import denoise as plain_loop
from benchmarks.core import SIGMA
from benchmarks.crops import DATA
from benchmarks.harness import DEVICE
from benchmarks.speed import noisy
from dipops import ClippedGaussian, DeepImagePrior, Descent, Hourglass, Identity, Problem, images, metrics, recipes, solve
from dipops._tools.allocator import reused_memory
from dipops.methods.descent import DescentIteration
from dipops.methods.muon import MuonThenAdam
from dipops.recipes import Recipe
from dipops.solver.cost import start
from dipops.stopping import Observe

Settings = dict[str, Any]

_VIEWS = {
    *("view", "_unsafe_view", "detach", "alias", "slice", "select", "expand", "t", "transpose", "permute", "as_strided"),
    *("unsqueeze", "squeeze", "unflatten", "split", "split_with_sizes", "unbind", "narrow"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
}


def needing_cuda(work: Callable[[Settings], dict[str, Any]]) -> Callable[[Settings], dict[str, Any]]:
    """The work, where the device has what the settings ask for."""

    def done(settings: Settings) -> dict[str, Any]:
        if DEVICE.type != "cuda" and (settings.get("capture") or settings.get("compile")):
            return {"skipped": "no CUDA"}
        return work(settings)

    return done


def versions() -> dict[str, Any]:
    """The device and its software."""
    on_gpu = DEVICE.type == "cuda"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    asks = on_gpu and shutil.which(query[0])
    driver = subprocess.run(query, capture_output=True, text=True).stdout.split() if asks else []
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "driver": driver[0] if driver else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine(settings: Settings) -> dict[str, Any]:
    """The device and its software, and the rates of its matrix products and copies."""
    with _tf32(False):
        rates = {"float32": _matrix_rate(torch.float32, settings["side"])}
    with _tf32(True):
        rates["TF32"] = _matrix_rate(torch.float32, settings["side"])
    rates["mixed"] = _matrix_rate(torch.bfloat16, settings["side"])
    return {
        **versions(),
        "flops": rates,
        "bytes": _copy_rate(settings["bytes"]),
    }


def step(settings: Settings) -> dict[str, Any]:
    """Median milliseconds of a step, seconds until it is warm, and the most memory allocated."""
    with _tf32(settings["tf32"]), reused_memory():
        if DEVICE.type == "cuda":
            gc.collect()
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        iteration = _started(settings)
        _repeat(partial(iteration.step, False), settings["warm_up"])
        warm = time.perf_counter() - started
        milliseconds = _median_milliseconds(partial(iteration.step, False), settings)
    peak = torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else None
    return {"ms": milliseconds, "warm_up_seconds": warm, "peak_bytes": peak, "precision": iteration.precision}


def loop(settings: Settings) -> dict[str, Any]:
    """Milliseconds of a step of the plain loop, as PyTorch comes: a long run less a short one."""
    problem, seconds = noisy(settings["size"]), []
    assert problem.truth is not None
    plain_loop(problem.y, problem.truth, settings["steps"][0])
    for steps in settings["steps"]:
        started = time.perf_counter()
        plain_loop(problem.y, problem.truth, steps)
        seconds.append(time.perf_counter() - started)
    short, long = settings["steps"]
    return {"ms": 1e3 * (seconds[1] - seconds[0]) / (long - short)}


def floor(settings: Settings) -> dict[str, Any]:
    """Operations of a step, and bytes that they read and write, each operation by itself."""
    iteration = _started(settings)
    iteration.step(False)
    flops, moved = FlopCounterMode(display=False), BytesMoved()
    with flops, moved:
        iteration.step(False)
    return {"flops": flops.get_total_flops(), "bytes": moved.bytes, "operations": moved.operations}


class BytesMoved(TorchDispatchMode):
    """Counts what operations read and write: the bytes of their tensors, but for views."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.operations = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name.partition("::")[2] not in _VIEWS:
            self.bytes += sum(leaf.nbytes for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor))
            self.operations += 1
        return out


def whole(settings: Settings) -> dict[str, Any]:
    """A noisy image solved by a recipe from beginning to end, after a few steps of another solve."""
    x = images.portrait(settings["size"]) if settings["image"] == "portrait" else _test_image(settings["image"])
    problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(SIGMA)).to(DEVICE)
    recipe = _recipe(settings)
    recipe.solve(problem, steps=settings["warm_up"], progress=False)
    seconds, result = _seconds(lambda: recipe.solve(problem, steps=settings["steps"], progress=False))
    curve = result.trace["psnr_average"][:, 0]
    return {
        "psnr": float(metrics.psnr(result.image, x.to(DEVICE))),
        "image_steps": int(result.image_steps),
        "best_average": float(curve.max()),
        "best_at": int(curve.argmax()) + 1,
        "steps": result.steps,
        "seconds": seconds,
        "precision": result.precision,
        "message": result.message,
    }


def many_steps(settings: Settings) -> dict[str, Any]:
    """Seconds of a solve of so many steps, whose rules observe and end nothing."""
    problem, recipe = noisy(settings["size"]).repeat(settings["members"]), _recipe(settings)

    def solved(steps: int) -> Any:
        callbacks = [Observe(rule) for rule in recipe.callbacks]
        return solve(problem, recipe.prior, recipe.method, steps=steps, callbacks=callbacks, progress=False)

    solved(settings["warm_up"])
    seconds, result = _seconds(lambda: solved(settings["steps"]))
    return {"seconds": seconds, "ms": 1e3 * seconds / settings["steps"], "precision": result.precision}


def bits(settings: Settings) -> dict[str, Any]:
    """Whether two solves of one seed end at the same bits, or by how much a pixel differs at most."""
    recipe, problem = _recipe(settings), noisy(settings["size"])
    method = replace(_descent(recipe), precision=settings["precision"], capture=settings["capture"])
    torch.use_deterministic_algorithms(settings["deterministic"])
    try:
        runs = [solve(problem, recipe.prior, method, steps=settings["steps"], progress=False) for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    one, other = (run.last for run in runs)
    difference = float((one - other).abs().max())
    return {"same": one.equal(other), "largest_difference": difference, "precision": runs[0].precision}


def kernels(settings: Settings) -> dict[str, Any]:
    """The kernels that take the most time, milliseconds and calls a step; on a CPU PyTorch's operations."""
    iteration, steps = _started(settings), settings["steps"]
    _repeat(partial(iteration.step, False), settings["warm_up"])
    cuda = DEVICE.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        _repeat(partial(iteration.step, False), steps)
    place, unit = ("device", "CUDA") if cuda else ("cpu", "CPU")
    events = [event for event in profiler.key_averages() if event.device_type.name == unit and not event.is_user_annotation]
    times = {event.key: getattr(event, f"self_{place}_time_total") / 1e3 / steps for event in events}
    calls = {event.key: event.count / steps for event in events}
    heaviest = sorted(times, key=lambda name: -times[name])[: settings["rows"]]
    return {"busy_ms": sum(times.values()), "kernels": [[name, times[name], calls[name]] for name in heaviest]}


def _recipe(settings: Settings) -> Recipe:
    """The recipe; its network is narrow where the run only shows that all phases work."""
    recipe = recipes.denoise(settings["recipe"])
    narrow = DeepImagePrior(Hourglass((8, 8), skips=4, upsampling="nearest"))
    return replace(recipe, prior=narrow) if settings["narrow"] else recipe


def _descent(recipe: Recipe) -> Descent:
    assert isinstance(recipe.method, Descent)
    return recipe.method


def _started(settings: Settings) -> DescentIteration:
    """A recipe's iteration in one of the ways; in the light one by Adam, as after its start, or by Muon, as in it."""
    recipe, problem = _recipe(settings), noisy(settings["size"]).repeat(settings["members"])
    method = replace(_descent(recipe), precision=settings["precision"], capture=settings["capture"])
    if settings["recipe"] == "light":
        muon = partial(MuonThenAdam, muon_steps=10**6)
        method = replace(method, optimizer=muon if settings["optimizer"] == "Muon" else recipes.SHORT_MEMORY)
    prior, iteration = start(problem, recipe.prior, method)
    assert isinstance(prior, DeepImagePrior)
    assert isinstance(iteration, DescentIteration)
    if settings["compile"]:
        torch.compiler.reset()
        prior.network.compile()
    return iteration


def _test_image(name: str) -> Tensor:
    return images.load(DATA / "denoising" / f"{name}.png")


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def _repeat(work: Callable[[], object], times: int) -> None:
    """Do the work so often, and wait until the device has done it."""
    for _ in range(times):
        work()
    _wait()


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    _wait()
    started = time.perf_counter()
    result = work()
    _wait()
    return time.perf_counter() - started, result


def _median_milliseconds(work: Callable[[], object], settings: Settings) -> float:
    """Of the means of several rounds, each of so many steps."""
    rounds = [_seconds(partial(_repeat, work, settings["steps"]))[0] for _ in range(settings["rounds"])]
    return 1e3 * statistics.median(rounds) / settings["steps"]


def _matrix_rate(dtype: torch.dtype, side: int) -> float:
    """Operations a second of products of square matrices."""
    a, b = (torch.randn(side, side, device=DEVICE, dtype=dtype) for _ in range(2))
    _repeat(lambda: a @ b, 3)
    return 2 * side**3 / (_median_milliseconds(lambda: a @ b, {"rounds": 5, "steps": 4}) / 1e3)


def _copy_rate(size: int) -> float:
    """Bytes a second that a copy reads and writes."""
    a = torch.zeros(size, device=DEVICE, dtype=torch.uint8)
    b = torch.empty_like(a)
    _repeat(lambda: b.copy_(a), 3)
    return 2 * size / (_median_milliseconds(lambda: b.copy_(a), {"rounds": 5, "steps": 4}) / 1e3)
