"""The deep image prior's measurements: ``python -m benchmarks.dip [PART ...]`` with DIPOPS_DATA naming the test pictures.

Parts run side by side in several processes, each with one thread: none of them times anything.
"""

import io
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.core import SIGMA, save_figure
from benchmarks.harness import Task, run
from benchmarks.pictures import CHECKING, CHOOSING, DATA, HELD_OUT, SIZE, crop
from dipops import (
    Activation,
    DeepImagePrior,
    Descent,
    EncoderDecoder,
    GuidedInput,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    Mask,
    Problem,
    ResNet,
    UNet,
    Upsampling,
    consistency,
    images,
    metrics,
    plot,
    project,
    recipes,
    solve,
)
from dipops._tools.seeds import stream
from dipops.methods.descent import ADAM, MakeOptimizer
from dipops.methods.muon import MuonThenAdam
from dipops.recipes import Recipe, Variant
from dipops.stopping import Average, ExponentialVariance, HeldOut, Observed, Residual, Step, StopRule, WindowedVariance

PATIENCE = {"light": 100, "paper": 200}
_ALPHA, _WINDOW = {"light": 0.05, "paper": 0.03}, {"light": 90, "paper": 150}


def rules(variant: str) -> dict[str, StopRule]:
    """The rules that are compared: patience is as long as a variant is slow, or the authors'."""
    patience = PATIENCE[variant]
    return {
        "discrepancy": Residual(SIGMA),
        "exponential variance": ExponentialVariance(_ALPHA[variant], patience=patience),
        "exponential variance, α = 0.1, patience 1000": ExponentialVariance(),
        "windowed variance": WindowedVariance(_WINDOW[variant], patience=patience),
        "windowed variance, 100, patience 1000": WindowedVariance(),
    }


RULES = list(rules("light"))
THIN = 5


class PastPeak:
    """Ends a run that is only measured up to its best average: once that lies ``fallen`` dB above the newest."""

    def __init__(self, fallen: float = 0.5) -> None:
        self.best, self.fallen = float("-inf"), fallen

    def __call__(self, step: Step) -> str | None:
        assert step.psnr is not None
        newest = float(step.psnr)
        self.best = max(self.best, newest)
        return "past its peak" if newest < self.best - self.fallen else None


def noisy(name: str, seed: int, size: int = SIZE) -> Problem:
    x = crop(name, size)
    return Problem.simulate(Identity(x.shape), x, SIGMA, seed=100 + seed, clip=True)


def curves(settings: dict[str, Any]) -> dict[str, Any]:
    """One denoising run with every rule looking on; the variant's own average. The paper's network ends past its peak."""
    recipe = recipes.denoise(SIGMA, Variant(settings["variant"]))
    observed = {name: Observed(rule) for name, rule in rules(settings["variant"]).items()}
    problem = noisy(settings["picture"], settings["seed"])
    result = solve(
        problem,
        recipe.prior,
        recipe.method,
        steps=settings["steps"],
        seed=settings["seed"],
        monitors=[_average(recipe), *observed.values(), *([PastPeak()] if settings["variant"] == "paper" else [])],
        progress=False,
    )
    curve = result.trace["psnr_average"][:, 0]
    kept = {name: int(one.at) for name, one in observed.items()}
    return {
        "oracle": peak_of(curve),
        "kept": {name: [at, float(curve[at - 1])] for name, at in kept.items() if at},
        "last": float(curve[-1]),
        "undone": result.undone,
        "average": _thin(curve),
        "raw": _thin(result.trace["psnr"][:, 0]),
    }


def held_out(settings: dict[str, Any]) -> dict[str, Any]:
    """The light recipe stopped by a tenth of the pixels, which it does not fit."""
    recipe = recipes.denoise(SIGMA)
    problem = noisy(settings["picture"], settings["seed"])
    rule = HeldOut(0.1, patience=settings["patience"])
    result = solve(
        problem,
        recipe.prior,
        recipe.method,
        steps=4000,
        seed=settings["seed"],
        monitors=[_average(recipe), rule],
        progress=False,
    )
    return {"kept": [int(result.at), float(metrics.psnr(result.image, crop(settings["picture"])))], "steps": result.steps}


def candidate(settings: dict[str, Any]) -> dict[str, Any]:
    """Best average of one network in 700 steps (1200 for the paper's), or until it is past its peak."""
    problem = noisy(settings["picture"], 0)
    prior, method, average, steps = CANDIDATES[settings["network"]]
    result = solve(problem, prior, method, steps=steps, monitors=[average, PastPeak()], progress=False)
    curve = result.trace["psnr_average"][:, 0]
    return {"best": peak_of(curve), "undone": result.undone}


def costs(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of every candidate, and the floating-point operations of the products in a step."""
    found = {}
    for name in settings["networks"]:
        prior, method, _, _ = CANDIDATES[name]
        prior = deepcopy(prior)
        problem = noisy(CHOOSING[0], 0)
        prior.start(problem, [0])
        iteration = method.start(problem, prior, [stream(0, "perturbation")])
        with FlopCounterMode(display=False) as counter:
            iteration.step(measure=False)
        found[name] = {"parameters": sum(p.numel() for p in prior.parameters()), "gflop": counter.get_total_flops() / 1e9}
    return found


def house(settings: dict[str, Any]) -> dict[str, Any]:
    """Four runs side by side on house, and their mean."""
    top, left, size = settings["top"], settings["left"], settings["size"]
    crop_of = (slice(None), slice(top, top + size), slice(left, left + size))
    truth, y = (images.load(DATA / folder / "house.png")[crop_of] for folder in ("denoising", "denoising_sigma25"))
    problem = Problem(Identity(truth.shape), y, truth, SIGMA)
    result = recipes.denoise(SIGMA).solve(problem.repeat(4), progress=False)
    mean, spread = result.pooled()
    save_figure("pictures/dip-house-uncertainty", plot.uncertainty(mean, spread, truth))
    return {
        "runs": metrics.psnr(result.image, truth.expand_as(result.image)).tolist(),
        "mean_of_runs": float(metrics.psnr(mean, truth)),
        "at": result.at.tolist(),
        "stopped": result.stopped,
        "correlation_of_spread_and_error": _correlation(spread, mean - truth),
    }


def projection(settings: dict[str, Any]) -> dict[str, Any]:
    """A light restoration before and after it is made to explain the measurement."""
    x = crop(settings["picture"])
    problem, recipe = problem_and_recipe(settings["task"], x, Variant.LIGHT)
    result = solve(problem, recipe.prior, recipe.method, steps=settings["steps"], monitors=recipe.monitors, progress=False)
    after = project(problem.operator, result.image, problem.y)
    return {
        "psnr": [float(metrics.psnr(image, x)) for image in (result.image, after)],
        "consistency": [float(consistency(problem.operator, image, problem.y)) for image in (result.image, after)],
    }


def task(settings: dict[str, Any]) -> dict[str, Any]:
    """The average of one variant on another task."""
    x = crop(settings["picture"], settings["size"])
    variant = Variant(settings["variant"])
    problem, recipe = problem_and_recipe(settings["task"], x, variant)
    observed = Observed(rules(settings["variant"])["exponential variance"])
    result = solve(
        problem, recipe.prior, recipe.method, steps=settings["steps"], monitors=[_average(recipe), observed], progress=False
    )
    curve, at = result.trace["psnr_average"][:, 0], int(observed.at)
    return {
        "best": peak_of(curve),
        "kept": [at, float(curve[at - 1])],
        "last": float(curve[-1]),
        "undone": result.undone,
        "average": _thin(curve),
    }


def impedance(settings: dict[str, Any]) -> dict[str, Any]:
    """The objective while the paper's network is fitted to one of four targets."""
    y = TARGETS[settings["target"]](crop("astronaut"))
    recipe = recipes.noise_impedance()
    result = recipe.solve(Problem(Identity(y.shape), y), steps=settings["steps"], progress=False)
    return {"objective": _thin(result.trace["objective"][:, 0], 1)}


def parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of every row."""
    counts = {}
    for name, (recipe, channels) in ROWS.items():
        operator = Identity((channels, 64, 64))
        operator.guide = torch.zeros(3, 64, 64) if name.startswith("flash") else None
        recipe.prior.start(Problem(operator, torch.zeros(1, channels, 64, 64)), [0])
        counts[name] = sum(parameter.numel() for parameter in recipe.prior.parameters())
    return counts


def langevin(settings: dict[str, Any]) -> dict[str, Any]:
    """The posterior mean of the light network."""
    problem = noisy(settings["picture"], 0)
    method = Langevin(rate=settings["rate"], burn_in=settings["burn_in"])
    result = solve(problem, recipes.denoise(SIGMA).prior, method, steps=settings["steps"], progress=False)
    assert result.spread is not None
    assert problem.truth is not None
    save_figure(f"pictures/dip-langevin-{settings['picture']}", plot.uncertainty(result.image, result.spread, problem.truth))
    return {
        "posterior_mean": float(metrics.psnr(result.image, problem.truth)),
        "last": float(metrics.psnr(result.last, problem.truth)),
        "spread": float(result.spread.mean()),
        "correlation_of_spread_and_error": _correlation(result.spread, result.image - problem.truth),
        "average": _thin(result.trace["psnr_average"][:, 0], 25),
    }


def problem_and_recipe(name: str, x: Tensor, variant: Variant) -> tuple[Problem, Recipe]:
    """A task made from a picture, and its recipe."""
    size = x.shape[-1]
    if name == "x4":
        return Problem.simulate(LanczosDownsampler(x.shape, 4), x), recipes.upscale(4, variant)
    if name == "JPEG":
        return Problem(Identity(x.shape), _compressed(x), x), recipes.jpeg(variant)
    if name == "flash":
        dim = x * torch.tensor([1.0, 0.75, 0.5]).view(3, 1, 1) * 0.6
        return Problem.simulate(GuidedInput(x), dim, SIGMA), recipes.flash(variant)
    masks = {
        "text": (_text_mask(size), recipes.inpaint_text),
        "50% missing": (images.random_mask(size, size, keep=0.5), recipes.inpaint_random),
        "98% missing": (images.random_mask(size, size, keep=0.02), recipes.inpaint_sparse),
        "hole": (_hole_mask(size), recipes.inpaint_hole),
    }
    mask, recipe = masks[name]
    return Problem.simulate(Mask(mask, 3), x), recipe(variant)


def _compressed(x: Tensor) -> Tensor:
    file = io.BytesIO()
    images.to_pil(x).save(file, "JPEG", quality=10)
    return torch.from_numpy(np.asarray(Image.open(file), dtype=np.float32) / 255).movedim(-1, 0).contiguous()


def _text_mask(size: int) -> Tensor:
    """White, with black letters."""
    picture = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(picture)
    for top in range(0, size, 22):
        draw.text((2, top), "the quick brown fox jumps", fill=0, font=ImageFont.load_default(size=14))
    return (torch.from_numpy(np.array(picture)) > 127).float()


def _hole_mask(size: int) -> Tensor:
    mask = torch.ones(size, size)
    mask[size // 3 : size // 2, size // 3 : size // 2] = 0
    return mask


def _average(recipe: Recipe) -> Average:
    return next(one for one in recipe.monitors if isinstance(one, Average))


def peak_of(curve: Tensor) -> list[float]:
    """The step of the largest value, and that value."""
    return [int(curve.argmax()) + 1, float(curve.max())]


def _correlation(spread: Tensor, error: Tensor) -> float:
    """Of a spread and the size of the error, means over the channels, pixel by pixel."""
    return float(torch.corrcoef(torch.stack([spread.mean(1).flatten(), error.abs().mean(1).flatten()]))[0, 1])


def _thin(curve: Tensor, every: int = THIN) -> list[float]:
    return [round(float(value), 4) for value in curve[every - 1 :: every]]


def _narrow(
    channels: tuple[int, ...], optimizer: MakeOptimizer = recipes.SHORT_MEMORY, decay: float = 0.98, **kept: Any
) -> tuple[DeepImagePrior, Descent, Average, int]:
    generator = Hourglass(channels, **{"skips": 8, "upsampling": Upsampling.NEAREST, **kept})
    return DeepImagePrior(generator, perturbation=0.04), Descent(optimizer), Average(decay), 700


CANDIDATES = {
    "the paper's": (DeepImagePrior(), Descent(), Average(0.99), 1200),
    "64 wide": _narrow((64,) * 5),
    "48 wide": _narrow((48,) * 5),
    "32 wide": _narrow((32,) * 5),
    "64 wide, the finest 32": _narrow((32, 64, 64, 64, 64)),
    "64 wide, no 1 x 1": _narrow((64,) * 5, pointwise=False),
    "64 wide, β₂ = 0.999": _narrow((64,) * 5, partial(ADAM, betas=(0.9, 0.999))),
    "64 wide, bilinear": _narrow((64,) * 5, upsampling=Upsampling.BILINEAR),
    "64 wide, the finest 32, Muon for 40 steps, average of 0.97": _narrow((32, 64, 64, 64, 64), MuonThenAdam, 0.97),
    "the same, the finest 16 and 32": _narrow((16, 32, 64, 64, 64), MuonThenAdam, 0.97),
}
TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda x: x,
    "image + noise": lambda x: x + SIGMA * torch.randn(x.shape, generator=stream(0, "target")),
    "shuffled pixels": lambda x: x.flatten(1)[:, torch.randperm(x[0].numel(), generator=stream(0, "target"))].view(x.shape),
    "white noise": lambda x: torch.rand(x.shape, generator=stream(0, "target")),
}
_SIX = EncoderDecoder().channels
ROWS: dict[str, tuple[Recipe, int]] = {
    "denoising": (recipes.denoise(SIGMA, Variant.PAPER), 3),
    "JPEG": (recipes.jpeg(Variant.PAPER), 3),
    "super-resolution": (recipes.upscale(4, Variant.PAPER), 3),
    "comparison of priors at x4": (recipes.upscale_three_channels(), 3),
    "text": (recipes.inpaint_text(Variant.PAPER), 3),
    "50% missing, grey": (recipes.inpaint_random(Variant.PAPER), 1),
    "98% missing": (recipes.inpaint_sparse(Variant.PAPER), 3),
    "large hole": (recipes.inpaint_hole(Variant.PAPER), 3),
    **{f"study, depth {d}": (recipes.architecture_study(EncoderDecoder(_SIX[:d])), 3) for d in (6, 4, 2)},
    "study, U-Net": (recipes.architecture_study(UNet()), 3),
    "study, ResNet": (recipes.architecture_study(ResNet()), 3),
    "pre-image": (recipes.preimage(), 3),
    "activation maximisation": (recipes.maximise(Activation((96, 55, 55), 0)), 3),
    "flash": (recipes.flash(Variant.PAPER), 3),
    "light, all tasks but flash": (recipes.denoise(SIGMA), 3),
    "flash, light": (recipes.flash(), 3),
}
LIGHT_STEPS = 500
CURVE_STEPS = dict.fromkeys(HELD_OUT, 1200) | {"astronaut": 2000}
TASK_SIZE, TASK_PICTURE = 64, "motorcycle"
TASK_STEPS = {"x4": 1000, "50% missing": 1000, "text": 800, "98% missing": 400, "hole": 800, "flash": 400, "JPEG": 800}
_PAPER_STEP, _LIGHT_STEP = 0.45, 0.15


def _cost(variant: str) -> float:
    return _PAPER_STEP if variant == "paper" else _LIGHT_STEP


def _of(variant: str, light: Recipe | None = None) -> dict[str, str]:
    """The light settings in full, so that a record is made anew when they change."""
    light = light or recipes.denoise(SIGMA)
    return {"variant": variant} | ({} if variant == "paper" else {"light": repr(light)})


def name_of(*parts: object) -> str:
    return "-".join(["dip", *map(str, parts)]).replace(" ", "-").replace("%", "")


def _curve(picture: str, seed: int, variant: str, steps: int) -> Task:
    settings = {
        "picture": picture,
        "seed": seed,
        "steps": steps,
        "rules": list(map(repr, rules(variant).values())),
        **_of(variant),
    }
    return Task(name_of("curve", variant, picture, seed), curves, settings, steps, _cost(variant), alone=False)


def _held_out(picture: str, seed: int) -> Task:
    settings = {"picture": picture, "seed": seed, "patience": 200, **_of("light")}
    return Task(name_of("held-out", picture, seed), held_out, settings, 800, _LIGHT_STEP, alone=False)


def task_on(picture: str, name: str, variant: str, steps: int) -> Task:
    light = problem_and_recipe(name, torch.zeros(3, SIZE, SIZE), Variant.LIGHT)[1]
    settings = {"task": name, "picture": picture, "size": TASK_SIZE, "steps": steps, **_of(variant, light)}
    return Task(name_of("task", variant, name, picture), task, settings, steps, _cost(variant), alone=False)


def _projection(name: str, picture: str) -> Task:
    light = problem_and_recipe(name, torch.zeros(3, SIZE, SIZE), Variant.LIGHT)[1]
    settings = {"task": name, "picture": picture, "steps": 600, **_of("light", light)}
    return Task(name_of("projection", name, picture), projection, settings, 600, _LIGHT_STEP, alone=False)


def _candidate(number: int, network: str, picture: str) -> Task:
    settings = {"picture": picture, "network": network}
    cost = _cost("paper" if number == 0 else "light")
    return Task(name_of("candidate", number, picture), candidate, settings, CANDIDATES[network][3], cost, alone=False)


def _impedance(target: str) -> Task:
    steps = 500 if target.startswith("image") else 1000
    return Task(name_of("impedance", target), impedance, {"target": target, "steps": steps}, steps, _PAPER_STEP, alone=False)


def _langevin(picture: str) -> Task:
    settings = {"picture": picture, "rate": 0.02, "burn_in": 500, "steps": 1500, **_of("light")}
    return Task(name_of("langevin", picture), langevin, settings, 1500, _LIGHT_STEP, alone=False)


PICTURES = (*CHECKING, *CHOOSING)
SEEDS = (0, 1)
HELD_OUT_SEEDS = (0, 1, 2)
TASKS = [
    Task("dip-parameters", parameters, _of("light"), alone=False),
    *(_curve(picture, seed, "light", LIGHT_STEPS) for seed in SEEDS for picture in CHOOSING),
    *(_curve(picture, seed, "light", LIGHT_STEPS) for seed in HELD_OUT_SEEDS for picture in HELD_OUT),
    *(_curve(picture, seed, "paper", CURVE_STEPS[picture]) for seed in HELD_OUT_SEEDS for picture in HELD_OUT),
    *(_held_out(picture, seed) for seed in SEEDS for picture in PICTURES),
    *(_impedance(target) for target in TARGETS),
    Task("dip-costs", costs, {"networks": list(CANDIDATES), **_of("light")}, alone=False),
    *(_candidate(number, network, picture) for number, network in enumerate(CANDIDATES) for picture in CHOOSING),
    *(task_on(TASK_PICTURE, name, variant, steps) for name, steps in TASK_STEPS.items() for variant in ("paper", "light")),
    *(_projection(name, picture) for name in ("x4", "50% missing") for picture in CHECKING),
    Task("dip-house", house, {"top": 64, "left": 64, "size": SIZE, **_of("light")}, 800, 4 * _LIGHT_STEP, alone=False),
    _langevin("cat"),
]


def main(parts: list[str]) -> None:
    torch.set_num_threads(1)
    run([task for task in TASKS if not parts or any(task.name.startswith(f"dip-{part}") for part in parts)])


if __name__ == "__main__":
    main(sys.argv[1:])
