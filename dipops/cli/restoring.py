"""denoise, upscale, inpaint, flash: restore an image from a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from dipops import images, plot, recipes
from dipops.cli.convex import solve_convex
from dipops.cli.device import torch_device
from dipops.cli.options import DipSettings, InputImage, OutputImage, PriorName, RunOptions, parse_int
from dipops.cli.output import echo, figure_format, print_cost_estimate, require_distinct_paths, require_writable, save_figure
from dipops.cli.records import digests, mean_and_std, recipe_record, result_record, white_level, write_record
from dipops.errors import BadValue
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.resampling import LanczosDownsampler
from dipops.problem import Problem
from dipops.recipes import Recipe, Variant
from dipops.solver.result import Result


@dataclass(frozen=True)
class DipOptions:
    """Options of the deep image prior alone."""

    settings: DipSettings = Variant.LIGHT
    runs: Annotated[int, Option(min=1, help="Independent runs: writes their mean, and their standard deviation.")] = 1
    checkpoint: Annotated[Path | None, Option(help="File to save the run in; where it exists, the run is resumed.")] = None


@dataclass(frozen=True, kw_only=True)
class RestoringOptions:
    """What the restoring commands share."""

    output: OutputImage
    prior: Annotated[PriorName, Option(help="Deep image prior, total variation, Tikhonov on the gradient, or none.")] = "dip"
    weight: Annotated[float | None, Option(help="Weight of TV or Tikhonov; by default chosen by SURE, or 0 without noise.")] = (
        None
    )
    dip: DipOptions
    truth: Annotated[Path | None, Option(help="Ground truth, to print the PSNR; never used to restore.")] = None
    figure: Annotated[Path | None, Option(help="Where to draw input, result and ground truth side by side.")] = None
    run: RunOptions

    def __post_init__(self) -> None:
        """Refuse, before hours of work, options that would be ignored and files that could not be written."""
        if self.weight is not None and self.prior in ("dip", "none"):
            raise BadValue(f"--weight with --prior {self.prior}", "--prior tv or tikhonov", "leave --weight out")
        if self.prior != "dip" and self.dip != DipOptions():
            raise BadValue(f"--recipe, --runs or --checkpoint with --prior {self.prior}", "--prior dip", "leave them out")
        require_writable(self.output, images.image_format)
        if self.figure is not None:
            require_writable(self.figure, figure_format)
        written = {"output": self.output, "record": self.output.with_suffix(".json"), "standard deviation": self.std_path}
        require_distinct_paths({**written, "--figure": self.figure, "--checkpoint": self.dip.checkpoint})

    @property
    def std_path(self) -> Path:
        """Where the standard deviation of several runs is written."""
        return self.output.with_name(f"{self.output.stem}-std{self.output.suffix}")


def denoise(
    input: InputImage,
    *,
    sigma: Annotated[float, Option(min=0.1, max=255, help="Standard deviation of the noise, of 255.")] = 25.0,
    options: RestoringOptions,
) -> None:
    """Remove noise."""
    y = images.load(input)
    recipe = recipes.denoise(sigma / 255, options.dip.settings)
    problem = Problem(Identity(y.shape), y, sigma=sigma / 255)
    _restore(problem, recipe, options, {"command": "denoise", "sigma": sigma}, [input])


def upscale(
    input: InputImage,
    *,
    factor: Annotated[str, Option(help="Ratio of the sides, an integer from 2.")] = "4",
    options: RestoringOptions,
) -> None:
    """Enlarge an image; the result, reduced again, is the input."""
    ratio = parse_int(factor, "factor")
    recipe = recipes.upscale(ratio, options.dip.settings)
    y = images.load(input)
    channels, height, width = y.shape
    operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
    _restore(Problem(operator, y), recipe, options, {"command": "upscale", "factor": ratio}, [input])


def inpaint(
    input: InputImage,
    *,
    mask: Annotated[Path, Option(help="Image of the same size, white where the input is known.")],
    options: RestoringOptions,
) -> None:
    """Fill holes."""
    y = images.load(input)
    known = (images.load(mask).mean(0) > 0.5).float()
    if known.shape != y.shape[1:]:
        sizes = [" x ".join(map(str, shape)) for shape in (known.shape, y.shape[1:])]
        raise BadValue(f"a mask of {sizes[0]} for an image of {sizes[1]}", "equal sizes", "crop or resize the mask")
    operator = Mask(known, channels=len(y))
    recipe = recipes.inpaint_text(options.dip.settings)
    _restore(Problem(operator, operator(y[None])), recipe, options, {"command": "inpaint"}, [input, mask])


def flash(
    flash: Annotated[Path, Argument(help="Photo taken with flash.")],
    noflash: Annotated[Path, Argument(help="Photo to clean, taken without flash, of the same size.")],
    *,
    options: RestoringOptions,
) -> None:
    """Clean a photo taken without flash, guided by one taken with flash."""
    problem = Problem(GuidedInput(images.load(flash)), images.load(noflash))
    _restore(problem, recipes.flash(options.dip.settings), options, {"command": "flash"}, [flash, noflash])


def _restore(problem: Problem, recipe: Recipe, options: RestoringOptions, task: dict[str, Any], inputs: Sequence[Path]) -> None:
    """Solve; write image, record and figure; print a line."""
    files = digests([*inputs, options.truth])
    if options.truth is not None:
        problem = replace(problem, truth=images.load(options.truth))
    problem = problem.to(torch_device(options.run.device))
    runs = problem.repeat(options.dip.runs)
    recipe, result = _solve(runs, recipe, options)
    image, std = mean_and_std(result)
    images.save(options.output, image)
    if std is not None:
        images.save(options.std_path, std / white_level(std))
    record = {**task, "files": files, **recipe_record(recipe), **result_record(runs, result)}
    write_record(options.output, record)
    if options.figure is not None:
        panels = {"guide": problem.operator.guide, "input": problem.y, "restored": image, "ground truth": problem.truth}
        present = {title: panel for title, panel in panels.items() if panel is not None}
        save_figure(options.figure, plot.compare(present, problem.truth))
    score = f", PSNR {record['psnr']:.2f} dB" if "psnr" in record else ""
    echo(options.run.quiet, f"{options.output}: {result.stopped}, {result.seconds:.0f} s{score}")


def _solve(problem: Problem, recipe: Recipe, options: RestoringOptions) -> tuple[Recipe, Result]:
    """The result, by the deep image prior's recipe or by another prior's; and the recipe that was taken."""
    run, checkpoint = options.run, options.dip.checkpoint
    if options.prior != "dip":
        return solve_convex(problem, options.prior, options.weight, run.steps, run.seed, progress=not run.quiet)
    if not (checkpoint and checkpoint.exists()):
        print_cost_estimate(problem, recipe, run.steps, run.quiet)
    return recipe, recipe.solve(problem, run.seed, run.steps, checkpoint, progress=not run.quiet)
