"""denoise, upscale, inpaint, flash: restore a picture from a file."""

from pathlib import Path
from typing import Annotated

import typer
from torch import Tensor

from dipops import images, recipes
from dipops.cli.options import (
    CheckpointOption,
    DeviceOption,
    Figure,
    Output,
    Picture,
    PriorOption,
    Quiet,
    RecipeOption,
    Runs,
    Seed,
    Steps,
    Truth,
    Weight,
    whole,
)
from dipops.cli.runs import Device, PriorName, Settings, restore, say
from dipops.errors import BadValue
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.resampling import LanczosDownsampler
from dipops.problem import Problem
from dipops.recipes import Variant


def denoise(
    input: Picture,
    output: Output,
    sigma: Annotated[float, typer.Option(min=0.1, max=255, help="Standard deviation of the noise, of 255.")] = 25.0,
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    recipe: RecipeOption = Variant.LIGHT,
    runs: Runs = 1,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    checkpoint: CheckpointOption = None,
    quiet: Quiet = False,
) -> None:
    """Remove noise."""
    settings = Settings(output, prior, weight, recipe, runs, steps, seed, device, truth, figure, checkpoint, quiet)
    y = images.load(input)
    problem = Problem(Identity(y.shape), y, _truth(truth), sigma / 255)
    say(
        quiet, restore(problem, recipes.denoise(sigma / 255, recipe), settings, {"command": "denoise", "sigma": sigma}, [input])
    )


def upscale(
    input: Picture,
    output: Output,
    factor: Annotated[str, typer.Option(help="Ratio of the sides, a whole number from 2.")] = "4",
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    recipe: RecipeOption = Variant.LIGHT,
    runs: Runs = 1,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    checkpoint: CheckpointOption = None,
    quiet: Quiet = False,
) -> None:
    """Enlarge a picture so that, reduced again, it is the one given."""
    settings = Settings(output, prior, weight, recipe, runs, steps, seed, device, truth, figure, checkpoint, quiet)
    ratio = whole(factor, "factor")
    chosen = recipes.upscale(ratio, recipe)
    y = images.load(input)
    channels, height, width = y.shape
    operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
    say(quiet, restore(Problem(operator, y, _truth(truth)), chosen, settings, {"command": "upscale", "factor": ratio}, [input]))


def inpaint(
    input: Picture,
    output: Output,
    mask: Annotated[Path, typer.Option(help="A picture of the same size, white where the input is known.")],
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    recipe: RecipeOption = Variant.LIGHT,
    runs: Runs = 1,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    checkpoint: CheckpointOption = None,
    quiet: Quiet = False,
) -> None:
    """Fill holes."""
    settings = Settings(output, prior, weight, recipe, runs, steps, seed, device, truth, figure, checkpoint, quiet)
    y = images.load(input)
    known = (images.load(mask).mean(0) > 0.5).float()
    if known.shape != y.shape[1:]:
        sizes = [" x ".join(map(str, shape)) for shape in (known.shape, y.shape[1:])]
        raise BadValue(f"a mask of {sizes[0]} for a picture of {sizes[1]}", "equal sizes", "crop or resize the mask")
    operator = Mask(known, channels=len(y))
    problem = Problem(operator, operator(y[None]), _truth(truth))
    say(quiet, restore(problem, recipes.inpaint_text(recipe), settings, {"command": "inpaint"}, [input, mask]))


def flash(
    flash: Annotated[Path, typer.Argument(help="The picture taken with flash.")],
    noflash: Annotated[Path, typer.Argument(help="The picture taken without, of the same size.")],
    output: Output,
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    recipe: RecipeOption = Variant.LIGHT,
    runs: Runs = 1,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    checkpoint: CheckpointOption = None,
    quiet: Quiet = False,
) -> None:
    """Clean a picture taken without flash by the one taken with it."""
    settings = Settings(output, prior, weight, recipe, runs, steps, seed, device, truth, figure, checkpoint, quiet)
    problem = Problem(GuidedInput(images.load(flash)), images.load(noflash), _truth(truth))
    say(quiet, restore(problem, recipes.flash(recipe), settings, {"command": "flash"}, [flash, noflash]))


def _truth(path: Path | None) -> Tensor | None:
    return None if path is None else images.load(path)
