"""denoise, upscale, inpaint, flash: restore an image from a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from dipops import images, plot, recipes
from dipops.cli.interruption import interruptible, saved_in
from dipops.cli.memory import require_memory, values_of_a_run
from dipops.cli.options import DipSettings, InputImage, OutputImage, PriorName, RunOptions, parse_int, torch_device
from dipops.cli.outputs import Outputs, require_inputs
from dipops.cli.records import digests, mean_and_std, recipe_record, result_record
from dipops.cli.solving import solve_convex, solve_recipe
from dipops.cli.writing import echo, figure_format, save_figure, save_image
from dipops.errors import BadValue
from dipops.operators import GuidedInput, Identity, LanczosDownsampler, Mask
from dipops.problem import Problem
from dipops.recipes import Recipe

Sigma = Annotated[float, Option(min=0.1, max=255, help="Standard deviation of the noise; pixels are 0 to 255.")]
Factor = Annotated[str, Option(help="Ratio of the sides, an integer from 2.")]
MaskImage = Annotated[Path, Option(help="Image of the same size, white where the input is known.", callback=require_inputs)]
FlashPhoto = Annotated[Path, Argument(help="Photo taken with flash.", callback=require_inputs)]
NoFlashPhoto = Annotated[Path, Argument(help="Photo to clean, taken without flash, of the same size.", callback=require_inputs)]


@dataclass(frozen=True)
class DipOptions:
    """Options of the deep image prior alone."""

    settings: DipSettings = "light"
    runs: Annotated[int, Option(min=1, help="Number of runs; their mean and standard deviation are written.")] = 1


@dataclass(frozen=True, kw_only=True)
class RestoringOptions:
    """What the restoring commands share."""

    output: OutputImage
    prior: Annotated[PriorName, Option(help="Deep image prior, total variation, Tikhonov on the gradient, or none.")] = "dip"
    weight: Annotated[float | None, Option(help="Weight of TV or Tikhonov; by default from SURE, or 0 without noise.")] = None
    dip: DipOptions
    truth: Annotated[
        Path | None, Option(help="Ground truth, to print the PSNR; never used to restore.", callback=require_inputs)
    ] = None
    figure: Annotated[Path | None, Option(help="Figure of input, result and ground truth side by side.")] = None
    checkpoint: Annotated[Path | None, Option(help="File to save the run in; if it exists, the run is resumed.")] = None
    run: RunOptions

    def __post_init__(self) -> None:
        """Refuse options that would be ignored and formats that cannot be written."""
        if self.weight is not None and self.prior in ("dip", "none"):
            raise BadValue(f"--weight with --prior {self.prior}", "--prior tv or tikhonov", "leave --weight out")
        if self.prior != "dip" and self.dip != DipOptions():
            raise BadValue(f"--recipe or --runs with --prior {self.prior}", "--prior dip", "leave them out")
        images.image_format(self.output)
        if self.figure is not None:
            figure_format(self.figure)

    def outputs(self, inputs: Sequence[Path]) -> Outputs:
        """The files that are written, checked before hours of work."""
        others = [self.std_path if self.dip.runs > 1 else None, self.figure]
        return Outputs(self.output, others, [*inputs, self.truth], self.checkpoint, self.run.force)

    @property
    def std_path(self) -> Path:
        """Where the standard deviation of several runs is written."""
        return self.output.with_name(f"{self.output.stem}-std{self.output.suffix}")


def denoise(input: InputImage, *, sigma: Sigma = 25.0, options: RestoringOptions) -> None:
    """Remove noise from an image."""
    y = images.load(input)
    recipe = recipes.denoise(options.dip.settings)
    problem = Problem(Identity(y.shape), y, sigma / 255)
    _restore(problem, recipe, options, {"command": "denoise", "sigma": sigma}, [input])


def upscale(input: InputImage, *, factor: Factor = "4", options: RestoringOptions) -> None:
    """Enlarge an image so that the result, reduced again, gives the input."""
    ratio = parse_int(factor, "factor")
    recipe = recipes.upscale(ratio, options.dip.settings)
    y = images.load(input)
    channels, height, width = y.shape
    require_memory(y.numel() * ratio**2, f"--factor {ratio}", "choose a smaller factor")
    operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
    _restore(Problem(operator, y, 0), recipe, options, {"command": "upscale", "factor": ratio}, [input])


def inpaint(input: InputImage, *, mask: MaskImage, options: RestoringOptions) -> None:
    """Fill in the unknown pixels of an image."""
    y = images.load(input)
    known = (images.load(mask).mean(0) > 0.5).float()
    if known.shape != y.shape[1:]:
        sizes = f"a mask of {tuple(known.shape)} for an image of {tuple(y.shape[1:])}"
        raise BadValue(sizes, "equal sizes", "crop or resize the mask")
    operator = Mask(known, channels=len(y))
    recipe = recipes.inpaint_text(options.dip.settings)
    _restore(Problem(operator, y, 0), recipe, options, {"command": "inpaint"}, [input, mask])


def flash(flash: FlashPhoto, noflash: NoFlashPhoto, *, options: RestoringOptions) -> None:
    """Clean a photo taken without flash, guided by one taken with flash."""
    problem = Problem(GuidedInput(images.load(flash)), images.load(noflash))
    _restore(problem, recipes.flash(options.dip.settings), options, {"command": "flash"}, [flash, noflash])


def _restore(problem: Problem, recipe: Recipe, options: RestoringOptions, task: dict[str, Any], inputs: Sequence[Path]) -> None:
    """Solve; write image, record and figure; print a line."""
    outputs = options.outputs(inputs)
    files = digests([*inputs, options.truth])
    if options.truth is not None:
        problem = replace(problem, truth=images.load(options.truth))
    problem = problem.to(torch_device(options.run.device))
    if options.dip.runs > 1:
        values = options.dip.runs * values_of_a_run(problem, recipe.prior)
        require_memory(values, f"--runs {options.dip.runs}", "make fewer runs")
    runs = problem.repeat(options.dip.runs)
    with interruptible(lambda: saved_in(options.checkpoint)):
        if options.prior == "dip":
            result = solve_recipe(runs, recipe, options.run, options.checkpoint)
        else:
            recipe, result = solve_convex(runs, options.prior, options.run, options.weight, options.checkpoint)
    image, std = mean_and_std(result)
    save_image(options.output, image)
    if std is not None:
        save_image(options.std_path, std / std.max().clamp_min(1e-12))
    record = {**task, "files": files, **recipe_record(recipe), **result_record(runs, result)}
    if options.figure is not None:
        panels = {"guide": problem.operator.guide, "input": problem.y, "restored": image, "ground truth": problem.truth}
        present = {title: panel for title, panel in panels.items() if panel is not None}
        save_figure(options.figure, plot.compare(present, problem.truth))
    outputs.write_record(record)
    score = f", PSNR {record['psnr']:.2f} dB" if "psnr" in record else ""
    echo(options.run.quiet, f"{options.output}: {result.message}, {result.seconds:.0f} s{score}")
