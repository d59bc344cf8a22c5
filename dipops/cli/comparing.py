"""demo, compare: several priors on one picture whose truth is known."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from dipops import images, plot, recipes
from dipops._tools.files import environment, write_json, write_whole
from dipops.cli.options import DeviceOption, Quiet, RecipeOption, Seed, whole
from dipops.cli.proving import constructor
from dipops.cli.runs import Device, PriorName, convex_recipe, draw, foretell, make_folder, place, record_of, say
from dipops.comparison import compare as compare_priors
from dipops.errors import BadValue
from dipops.metrics import psnr
from dipops.operators.elementary import Identity, Mask
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.operators.resampling import LanczosDownsampler
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.recipes import Recipe, Variant

DEMO_SIGMA = 25.0
DEMO_SIZE = 256
LABELS = {PriorName.none: "none", PriorName.tikhonov: "Tikhonov", PriorName.tv: "TV"}


def demo(
    output: Annotated[Path, typer.Option(help="Folder for pictures, figure and record.")] = Path("demo"),
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the deep image prior; by default its stop decides.")
    ] = None,
    device: DeviceOption = Device.auto,
    quiet: Quiet = False,
) -> None:
    """Add noise of σ = 25 to the bundled photograph and restore it with each prior."""
    make_folder(output)
    x = images.portrait(DEMO_SIZE)
    sigma = DEMO_SIGMA / 255
    problem = Problem.simulate(Identity(x.shape), x, sigma, clip=True).to(place(device))
    say(quiet, f"A photograph of {DEMO_SIZE} x {DEMO_SIZE} with noise of σ = {DEMO_SIGMA:g}, restored with each prior:")
    light = recipes.denoise(sigma)
    foretell(problem, light, steps, quiet)
    results = {
        "no prior": convex_recipe(problem, PriorName.none).solve(problem, progress=not quiet),
        "TV": convex_recipe(problem, PriorName.tv, progress=not quiet).solve(problem, progress=not quiet),
        "DIP": light.solve(problem, steps=steps, progress=not quiet),
    }
    pictures = {"noisy": problem.y, **{name: result.image for name, result in results.items()}, "truth": x}
    for name, picture in pictures.items():
        images.save(output / f"{name.replace(' ', '-').lower()}.png", picture)
        if name != "truth":
            say(quiet, f"  {name:<9} {float(psnr(picture.clamp(0, 1).cpu(), x[None])):6.2f} dB")
    draw(output / "demo.png", plot.compare(pictures, x))
    draw(output / "curves.png", plot.trace(results))
    record = {name: record_of(problem, result) for name, result in results.items()}
    write_json(output / "demo.json", {"command": "demo", "results": record, "environment": environment()})
    say(quiet, f"Look at {output / 'demo.png'}")


def compare(
    photo: Annotated[Path, typer.Argument(help="The true picture; the measurement is simulated from it.")],
    operator: Annotated[str, typer.Option(help="identity, mask:KEEP, lanczos:FACTOR, or FILE.py:Class.")] = "identity",
    sigma: Annotated[float, typer.Option(min=0, max=255, help="Standard deviation of the noise, of 255.")] = 25.0,
    priors: Annotated[str, typer.Option(help="Any of none, tikhonov, tv, dip, with commas.")] = "none,tikhonov,tv,dip",
    output: Annotated[Path, typer.Option(help="Folder for table, figure, pictures and record.")] = Path("comparison"),
    recipe: RecipeOption = Variant.LIGHT,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the deep image prior.")] = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    quiet: Quiet = False,
) -> None:
    """Restore one picture with several priors: TV and Tikhonov at the weight that SURE finds, or in the limit without noise."""
    names = list(dict.fromkeys(_prior_name(text) for text in priors.split(",")))
    x = images.load(photo)
    make_folder(output)
    problem = Problem.simulate(_operator(operator, x), x, sigma / 255, seed).to(place(device))
    contestants: dict[str, Prior | Recipe] = {}
    for name in names:
        if name is PriorName.dip:
            chosen = _dip_recipe(operator, sigma / 255, recipe)
            contestants["DIP"] = replace(chosen, steps=steps or chosen.steps)
            foretell(problem, chosen, steps, quiet)
        else:
            contestants[LABELS[name]] = convex_recipe(problem, name, progress=not quiet)
    comparison = compare_priors(problem, contestants, seed, progress=not quiet)
    for name, result in comparison.results.items():
        images.save(output / f"{name.replace(' ', '-').lower()}.png", result.image)
    draw(output / "comparison.png", comparison.figure())
    write_whole(output / "comparison.md", lambda file: file.write(comparison.table().encode()))
    sources = {name: contestant.source for name, contestant in contestants.items() if isinstance(contestant, Recipe)}
    settings = {"command": "compare", "photo": str(photo), "operator": repr(problem.operator), "sigma": sigma, "seed": seed}
    write_json(
        output / "comparison.json", {**settings, "sources": sources, "rows": comparison.rows(), "environment": environment()}
    )
    say(quiet, comparison.table())
    say(quiet, f"Look at {output / 'comparison.png'}")


def _prior_name(text: str) -> PriorName:
    try:
        return PriorName(text.strip())
    except ValueError:
        raise BadValue(f"prior {text!r}", f"some of {', '.join(PriorName)}", "separate them by commas") from None


def _operator(text: str, x: Tensor) -> LinearOrDifferentiableOperator:
    kind, _, argument = text.rpartition(":") if text.count(":") else (text, "", "")
    if text == "identity":
        return Identity(x.shape)
    if kind == "mask":
        return Mask(images.random_mask(*x.shape[1:], keep=_number(argument, "mask")), channels=len(x))
    if kind == "lanczos":
        return LanczosDownsampler(x.shape, whole(argument, "lanczos"))
    if kind.endswith(".py"):
        return constructor(text)(tuple(x.shape))
    raise BadValue(f"operator {text!r}", "identity, mask:KEEP, lanczos:FACTOR or FILE.py:Class", "write mask:0.5, say")


def _dip_recipe(operator: str, sigma: float, variant: Variant) -> Recipe:
    if operator.startswith("lanczos:"):
        return recipes.upscale(whole(operator.removeprefix("lanczos:"), "lanczos"), variant)
    if operator.startswith("mask:"):
        return recipes.inpaint_random(variant)
    return recipes.denoise(sigma or DEMO_SIGMA / 255, variant)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a number", "write 0.5, say") from None
