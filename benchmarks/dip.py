"""The deep image prior's measurements: ``python -m benchmarks.dip [PART ...]`` with DIPOPS_DATA naming the test images.

Parts may run at once in several processes, each with one thread: none of them times anything.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.core import SIGMA, save_figure
from benchmarks.crops import CHECKING, CHOOSING, DATA, HELD_OUT, SIZE, crop
from benchmarks.harness import Task, chosen, run
from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    GuidedInput,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Langevin,
    Mask,
    Problem,
    images,
    masks,
    metrics,
    plot,
    project,
    recipes,
    solve,
)
from dipops._tools.seeds import stream
from dipops.methods.descent import ADAM, MakeOptimizer
from dipops.methods.muon import MuonThenAdam
from dipops.operators import Activation
from dipops.priors.generators import ResNet, UNet, encoder_decoder
from dipops.recipes import Recipe, Settings
from dipops.solver.cost import start
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, Observe, Step, StopRule, WindowedVariance

PATIENCE = {"light": 100, "paper": 200}
_DISCREPANCY = {"light": recipes.DISCREPANCY, "paper": Discrepancy()}
_ALPHA, _WINDOW = {"light": 0.05, "paper": 0.03}, {"light": 90, "paper": 150}
LIGHT = {"recipe": "light", "version": "2026-12: 86 steps by Muon"}
"""Names the light settings in tasks. Write another version when their numbers change: records of older ones go then."""
RECIPES = {"light": LIGHT, "paper": {"recipe": "paper"}}


def rules(recipe: str) -> dict[str, StopRule]:
    """The rules that are compared: with patience as long as a recipe is slow, and as their authors have them."""
    patience = PATIENCE[recipe]
    return {
        "discrepancy": _DISCREPANCY[recipe],
        "exponential variance": ExponentialVariance(_ALPHA[recipe], patience=patience),
        "exponential variance, α = 0.1, patience 1000": ExponentialVariance(0.1, patience=1000),
        "windowed variance": WindowedVariance(_WINDOW[recipe], patience=patience),
        "windowed variance, 100, patience 1000": WindowedVariance(100, patience=1000),
    }


RULES = list(rules("light"))
THIN = 5


class PastPeak:
    """Ends a run that is only measured up to its best average: once the average is ``fallen`` dB below it, and the best is more
    than ``patience`` steps old."""

    def __init__(self, fallen: float = 0.5, patience: int = 0) -> None:
        self.best, self.at, self.fallen, self.patience = float("-inf"), 0, fallen, patience

    def __call__(self, step: Step) -> str | None:
        assert step.psnr is not None
        average = float(step.psnr)
        if average > self.best:
            self.best, self.at = average, step.index
        is_past = average < self.best - self.fallen and step.index > self.at + self.patience
        return "past its peak" if is_past else None


def noisy(name: str, seed: int, size: int = SIZE, sigma: float = SIGMA) -> Problem:
    x = crop(name, size)
    return Problem.simulate(Identity(x.shape), x, ClippedGaussian(sigma), seed=100 + seed)


def curves(settings: dict[str, Any]) -> dict[str, Any]:
    """One denoising run that every rule observes; the recipe's own average. The paper's network ends past its peak."""
    recipe = recipes.denoise(settings["recipe"])
    followed = rules(settings["recipe"])
    problem = noisy(settings["image"], settings["seed"])
    result = solve(
        problem,
        recipe.prior,
        recipe.method,
        steps=settings["steps"],
        seed=settings["seed"],
        callbacks=[*map(Observe, followed.values()), *([PastPeak()] if settings["recipe"] == "paper" else [])],
        progress=False,
    )
    curve = result.trace["psnr_average"][:, 0]
    stops = {name: int(observed.image_steps) for name, observed in zip(followed, result.observed, strict=True)}
    return {
        "oracle": peak_of(curve),
        "stops": {name: [step, float(curve[step - 1])] for name, step in stops.items() if step},
        "last": float(curve[-1]),
        "rollbacks": result.rollbacks,
        "average": _thin(curve),
        "raw": _thin(result.trace["psnr"][:, 0]),
    }


def answer(settings: dict[str, Any]) -> dict[str, Any]:
    """The light recipe's answer before and after debiasing, with or without the average's warm-up."""
    problem, recipe = noisy(settings["image"], 0, sigma=settings["sigma"] / 255), recipes.denoise()
    assert isinstance(recipe.method, Descent)
    assert problem.truth is not None
    recipe = replace(recipe, debiases=False, method=replace(recipe.method, warm_up=settings["warm_up"]))
    result = recipe.solve(problem, progress=False)
    answers = result, recipes.debiased(problem, result)
    return {
        "psnr": [float(metrics.psnr(given.image, problem.truth)) for given in answers],
        "step": int(result.image_steps),
        "steps": result.steps,
    }


def held_out(settings: dict[str, Any]) -> dict[str, Any]:
    """The light recipe stopped by a tenth of the pixels, which it does not fit."""
    recipe = recipes.denoise()
    problem = noisy(settings["image"], settings["seed"])
    stops, seed = [HeldOut(0.1, patience=settings["patience"])], settings["seed"]
    result = solve(problem, recipe.prior, recipe.method, steps=4000, seed=seed, callbacks=stops, progress=False)
    return {
        "stop": [int(result.image_steps), float(metrics.psnr(result.image, crop(settings["image"])))],
        "steps": result.steps,
    }


def candidate(settings: dict[str, Any]) -> dict[str, Any]:
    """Best average of one network in 700 steps (1200 for the paper's), or until it is past its peak."""
    problem = noisy(settings["image"], 0)
    prior, method, steps = CANDIDATES[settings["network"]]
    result = solve(problem, prior, method, steps=steps, callbacks=[PastPeak()], progress=False)
    curve = result.trace["psnr_average"][:, 0]
    return {"best": peak_of(curve), "rollbacks": result.rollbacks}


def costs(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of every candidate, and the floating-point operations of the products in a step."""
    counts = {}
    for name in settings["networks"]:
        prior, method, _ = CANDIDATES[name]
        prior, iteration = start(noisy(CHOOSING[0], 0), prior, method)
        with FlopCounterMode(display=False) as counter:
            iteration.step(measure=False)
        counts[name] = {"parameters": sum(p.numel() for p in prior.parameters()), "gflop": counter.get_total_flops() / 1e9}
    return counts


def house(settings: dict[str, Any]) -> dict[str, Any]:
    """Four runs at once on house, and their mean."""
    top, left, size = settings["top"], settings["left"], settings["size"]
    crop_of = (slice(None), slice(top, top + size), slice(left, left + size))
    truth, y = (images.load(DATA / folder / "house.png")[crop_of] for folder in ("denoising", "denoising_sigma25"))
    problem = Problem(Identity(truth.shape), y, SIGMA, truth=truth)
    answer = recipes.denoise().ensemble(problem, 4, progress=False)
    mean, std, runs, (result,) = answer.image, answer.std, answer.runs[0], answer.solves
    save_figure("images/dip-house-uncertainty", plot.uncertainty(mean, std, truth))
    return {
        "runs": metrics.psnr(runs, truth.expand_as(runs)).tolist(),
        "mean_of_runs": float(metrics.psnr(mean, truth)),
        "image_steps": result.image_steps.tolist(),
        "message": result.message,
        "correlation_of_std_and_error": _correlation(std, mean - truth),
    }


def projection(settings: dict[str, Any]) -> dict[str, Any]:
    """A light restoration before and after the projection onto Ax = y."""
    x = crop(settings["image"])
    problem, recipe = problem_and_recipe(settings["task"], x, "light")
    result = solve(problem, recipe.prior, recipe.method, steps=settings["steps"], callbacks=recipe.callbacks, progress=False)
    after = project(problem, result.image)
    return {
        "psnr": [float(metrics.psnr(image, x)) for image in (result.image, after)],
        "data_psnr": [float(problem.data_psnr(image)) for image in (result.image, after)],
    }


def task(settings: dict[str, Any]) -> dict[str, Any]:
    """The average of one recipe on another task."""
    x = crop(settings["image"], settings["size"])
    problem, recipe = problem_and_recipe(settings["task"], x, settings["recipe"])
    rule = Observe(rules(settings["recipe"])["exponential variance"])
    result = solve(problem, recipe.prior, recipe.method, steps=settings["steps"], callbacks=[rule], progress=False)
    curve, step = result.trace["psnr_average"][:, 0], int(result.observed[0].image_steps)
    return {
        "best": peak_of(curve),
        "stop": [step, float(curve[step - 1])],
        "last": float(curve[-1]),
        "rollbacks": result.rollbacks,
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
    problem = noisy(settings["image"], 0)
    method = Langevin(rate=settings["rate"], burn_in=settings["burn_in"])
    result = solve(problem, recipes.denoise().prior, method, steps=settings["steps"], progress=False)
    assert result.std is not None
    assert problem.truth is not None
    save_figure(f"images/dip-langevin-{settings['image']}", plot.uncertainty(result.image, result.std, problem.truth))
    return {
        "posterior_mean": float(metrics.psnr(result.image, problem.truth)),
        "last": float(metrics.psnr(result.last, problem.truth)),
        "std": float(result.std.mean()),
        "correlation_of_std_and_error": _correlation(result.std, result.image - problem.truth),
        "average": _thin(result.trace["psnr_average"][:, 0], 25),
    }


def problem_and_recipe(name: str, x: Tensor, settings: Settings) -> tuple[Problem, Recipe]:
    """A task made from an image, and its recipe."""
    return _problem_of(name, x), _RECIPES[name](settings)


def _problem_of(name: str, x: Tensor) -> Problem:
    if name == "x4":
        return Problem.simulate(LanczosDownsampler(x.shape, 4), x, 0)
    if name == "JPEG":
        return Problem(Identity(x.shape), _compressed(x), truth=x)
    if name == "flash":
        dim = x * torch.tensor([1.0, 0.75, 0.5]).view(3, 1, 1) * 0.6
        return Problem.simulate(GuidedInput(x), dim, SIGMA)
    size = x.shape[-1]
    masked = {
        "text": lambda: _text_mask(size),
        "50% missing": lambda: masks.random((size, size), keep=0.5),
        "98% missing": lambda: masks.random((size, size), keep=0.02),
        "hole": lambda: _hole_mask(size),
    }
    return Problem.simulate(Mask(masked[name](), 3), x, 0)


_RECIPES: dict[str, Callable[[Settings], Recipe]] = {
    "x4": partial(recipes.upscale, 4),
    "JPEG": recipes.jpeg,
    "flash": recipes.flash,
    "text": recipes.inpaint_text,
    "50% missing": recipes.inpaint_random,
    "98% missing": recipes.inpaint_sparse,
    "hole": recipes.inpaint_hole,
}


def light_in_words(name: str) -> str:
    """The light recipe of a task: where it changes, what was measured with it is measured again."""
    return repr(_RECIPES[name]("light"))


def _compressed(x: Tensor) -> Tensor:
    file = io.BytesIO()
    images.to_pil(x).save(file, "JPEG", quality=10)
    return torch.from_numpy(np.asarray(Image.open(file), dtype=np.float32) / 255).movedim(-1, 0).contiguous()


def _text_mask(size: int) -> Tensor:
    """White, with black letters."""
    image = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(image)
    for top in range(0, size, 22):
        draw.text((2, top), "the quick brown fox jumps", fill=0, font=ImageFont.load_default(size=14))
    return (torch.from_numpy(np.array(image)) > 127).float()


def _hole_mask(size: int) -> Tensor:
    mask = torch.ones(size, size)
    mask[size // 3 : size // 2, size // 3 : size // 2] = 0
    return mask


def peak_of(curve: Tensor) -> list[float]:
    """The step of the largest value, and that value."""
    return [int(curve.argmax()) + 1, float(curve.max())]


def _correlation(std: Tensor, error: Tensor) -> float:
    """The correlation of a standard deviation and the size of the error, both means over the channels, over the pixels."""
    return float(torch.corrcoef(torch.stack([std.mean(1).flatten(), error.abs().mean(1).flatten()]))[0, 1])


def _thin(curve: Tensor, every: int = THIN) -> list[float]:
    return [round(float(value), 4) for value in curve[every - 1 :: every]]


def _narrow(
    channels: tuple[int, ...], optimizer: MakeOptimizer = recipes.SHORT_MEMORY, decay: float = 0.98, **fields: Any
) -> tuple[DeepImagePrior, Descent, int]:
    generator = Hourglass(channels, **{"skips": 8, "upsampling": "nearest", **fields})
    return DeepImagePrior(generator, perturbation=0.04), Descent(optimizer, average=decay, warm_up=False), 700


CANDIDATES = {
    "the paper's": (DeepImagePrior(), Descent(warm_up=False), 1200),
    "64 wide": _narrow((64,) * 5),
    "48 wide": _narrow((48,) * 5),
    "32 wide": _narrow((32,) * 5),
    "64 wide, the finest 32": _narrow((32, 64, 64, 64, 64)),
    "64 wide, no 1 x 1": _narrow((64,) * 5, pointwise=False),
    "64 wide, β₂ = 0.999": _narrow((64,) * 5, partial(ADAM, betas=(0.9, 0.999))),
    "64 wide, bilinear": _narrow((64,) * 5, upsampling="bilinear"),
    "64 wide, the finest 32, Muon for 40 steps, average of 0.97": _narrow((32, 64, 64, 64, 64), MuonThenAdam, 0.97),
    "the same, the finest 16 and 32": _narrow((16, 32, 64, 64, 64), MuonThenAdam, 0.97),
}
TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda x: x,
    "image + noise": lambda x: x + SIGMA * torch.randn(x.shape, generator=stream(0, "target")),
    "shuffled pixels": lambda x: x.flatten(1)[:, torch.randperm(x[0].numel(), generator=stream(0, "target"))].view(x.shape),
    "white noise": lambda x: torch.rand(x.shape, generator=stream(0, "target")),
}
_SIX = encoder_decoder().channels
ROWS: dict[str, tuple[Recipe, int]] = {
    "denoising": (recipes.denoise("paper"), 3),
    "JPEG": (recipes.jpeg("paper"), 3),
    "super-resolution": (recipes.upscale(4, "paper"), 3),
    "comparison of priors at x4": (recipes.upscale_three_channels(), 3),
    "text": (recipes.inpaint_text("paper"), 3),
    "50% missing, grey": (recipes.inpaint_random("paper"), 1),
    "98% missing": (recipes.inpaint_sparse("paper"), 3),
    "large hole": (recipes.inpaint_hole("paper"), 3),
    **{f"study, depth {d}": (recipes.architecture_study(encoder_decoder(_SIX[:d])), 3) for d in (6, 4, 2)},
    "study, U-Net": (recipes.architecture_study(UNet()), 3),
    "study, ResNet": (recipes.architecture_study(ResNet()), 3),
    "pre-image": (recipes.preimage(), 3),
    "activation maximisation": (recipes.maximise(Activation((96, 55, 55), 0)), 3),
    "flash": (recipes.flash("paper"), 3),
    "light, all tasks but flash": (recipes.denoise(), 3),
    "flash, light": (recipes.flash(), 3),
}
LIGHT_STEPS = 500
CURVE_STEPS = dict.fromkeys(HELD_OUT, 1200) | {"astronaut": 2000}
TASK_SIZE, TASK_IMAGE = 64, "motorcycle"
TASK_STEPS = {"x4": 1000, "50% missing": 1000, "text": 800, "98% missing": 400, "flash": 400, "JPEG": 800}
_SECONDS = {"light": 0.15, "paper": 0.45}


def name_of(*parts: object) -> str:
    return "-".join(["dip", *map(str, parts)]).replace(" ", "-").replace("%", "")


def curve_task(recipe: str, image: str, seed: int) -> Task:
    patience = {"patience": PATIENCE[recipe], "alpha": _ALPHA[recipe], "window": _WINDOW[recipe]}
    steps = LIGHT_STEPS if recipe == "light" else CURVE_STEPS[image]
    settings = {"image": image, "seed": seed, "steps": steps, **patience, **RECIPES[recipe]}
    return Task(name_of("curve", recipe, image, seed), curves, settings, steps, _SECONDS[recipe], alone=False)


def held_out_task(image: str, seed: int) -> Task:
    settings = {"image": image, "seed": seed, "patience": 200, **LIGHT}
    return Task(name_of("held-out", image, seed), held_out, settings, 800, _SECONDS["light"], alone=False)


def answer_task(image: str, sigma: int, warm_up: bool) -> Task:
    settings = {"image": image, "sigma": sigma, "warm_up": warm_up, **LIGHT}
    name = name_of("answer", sigma, image, "warm-up" if warm_up else "plain")
    return Task(name, answer, settings, 250, _SECONDS["light"], alone=False)


def task_on(image: str, name: str, recipe: str, steps: int) -> Task:
    settings = {"task": name, "image": image, "size": TASK_SIZE, "steps": steps, **RECIPES[recipe]}
    if recipe == "light":
        settings["in_words"] = light_in_words(name)
    return Task(name_of("task", recipe, name, image), task, settings, steps, _SECONDS[recipe], alone=False)


def projection_task(name: str, image: str) -> Task:
    settings = {"task": name, "image": image, "steps": 600, **LIGHT}
    return Task(name_of("projection", name, image), projection, settings, 600, _SECONDS["light"], alone=False)


def candidate_task(number: int, network: str, image: str) -> Task:
    seconds = _SECONDS["light" if number else "paper"]
    settings = {"image": image, "network": network}
    return Task(name_of("candidate", number, image), candidate, settings, CANDIDATES[network][2], seconds, alone=False)


def impedance_task(target: str) -> Task:
    steps = 500 if target.startswith("image") else 1000
    settings = {"target": target, "steps": steps}
    return Task(name_of("impedance", target), impedance, settings, steps, _SECONDS["paper"], alone=False)


IMAGES = (*CHECKING, *CHOOSING)
SEEDS = (0, 1)
SIGMAS = (25, 50)
HELD_OUT_SEEDS = (0, 1, 2)
LANGEVIN = {"image": "cat", "rate": 0.02, "burn_in": 500, "steps": 1500, **LIGHT}
TASKS = [
    Task("dip-parameters", parameters, LIGHT, alone=False),
    *(curve_task("light", image, seed) for seed in SEEDS for image in CHOOSING),
    *(curve_task(recipe, image, seed) for recipe in RECIPES for seed in HELD_OUT_SEEDS for image in HELD_OUT),
    *(held_out_task(image, seed) for seed in SEEDS for image in IMAGES),
    *(answer_task(image, sigma, warm_up) for sigma in SIGMAS for image in (*CHOOSING, *HELD_OUT) for warm_up in (True, False)),
    *(impedance_task(target) for target in TARGETS),
    Task("dip-costs", costs, {"networks": list(CANDIDATES), **LIGHT}, alone=False),
    *(candidate_task(number, network, image) for number, network in enumerate(CANDIDATES) for image in CHOOSING),
    *(task_on(TASK_IMAGE, name, recipe, steps) for name, steps in TASK_STEPS.items() for recipe in RECIPES),
    *(projection_task(name, image) for name in ("x4", "50% missing") for image in CHECKING),
    Task("dip-house", house, {"top": 64, "left": 64, "size": SIZE, **LIGHT}, 800, 0.6, alone=False),
    Task("dip-langevin-cat", langevin, LANGEVIN, 1500, 0.15, alone=False),
]


def main(parts: list[str]) -> None:
    torch.set_num_threads(1)
    run(chosen(TASKS, parts))


if __name__ == "__main__":
    main(sys.argv[1:])
