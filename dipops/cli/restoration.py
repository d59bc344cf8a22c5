"""Restore one image as the options say: solve and write."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
from torch import Tensor
from typer import Argument, Option

from dipops import classical, images, plot
from dipops._tools.progress import progress_bar
from dipops.classical import Denoiser
from dipops.cli.jobs import Job
from dipops.cli.memory import bytes_of_a_run, require_memory
from dipops.cli.options import DipSettings, PriorName, RunOptions, torch_device
from dipops.cli.outputs import Outputs, require_inputs
from dipops.cli.records import (
    answer_record,
    ensemble_record,
    input_files,
    psnr_of,
    recipe_record,
    several_record,
    solve_record,
)
from dipops.cli.solving import announce_cost, solve_convex, solve_recipe, solve_runs
from dipops.cli.writing import figure_content, figure_format
from dipops.errors import BadValue
from dipops.images import Picture
from dipops.images.picture import Depth, size_of
from dipops.images.writing import encode, require_depth
from dipops.priors import DeepImagePrior
from dipops.priors.generators import Hourglass
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result
from dipops.solver.checkpoint import require_checkpoint
from dipops.tiling import LEAST_SIZE, count_tiles, solve_tiles

_SIGMA = re.compile(r"σ = ([\d.e-]+)")


@dataclass(frozen=True)
class DipOptions:
    """Options of the deep image prior alone."""

    settings: DipSettings = "light"
    runs: Annotated[
        int, Option(min=1, help="Number of runs; their mean, usually better than one run, and standard deviation are written.")
    ] = 1
    recompute: Annotated[bool, Option("--recompute", help="Use less memory and more time; the result is the same.")] = False


@dataclass(frozen=True, kw_only=True)
class RestoringOptions:
    """What the restoring commands share."""

    output: Annotated[
        Path,
        Argument(
            metavar="OUTPUT",
            help="Image to write, or folder for several; a record, OUTPUT.dipops.json, is written next to each.",
        ),
    ]
    prior: Annotated[PriorName, Option(help="Deep image prior, total variation, Tikhonov on the gradient, or none.")] = "dip"
    weight: Annotated[float | None, Option(help="Weight of TV or Tikhonov; by default from SURE, or 0 without noise.")] = None
    dip: DipOptions
    tile: Annotated[
        int | None,
        Option(min=LEAST_SIZE, help="Solve overlapping tiles of this side, in pixels, one at a time, to save memory."),
    ] = None
    depth: Annotated[str | None, Option(help="Bits per channel to write, 8 or 16; by default those of the input.")] = None
    truth: Annotated[
        Path | None,
        Option(help="Ground truth, or a folder of them, for the PSNR; not used to restore.", callback=require_inputs),
    ] = None
    figure: Annotated[Path | None, Option(help="Figure of input, result and ground truth side by side.")] = None
    checkpoint: Annotated[Path | None, Option(help="File to save the run in; if it exists, the run is resumed.")] = None
    run: RunOptions

    def __post_init__(self) -> None:
        """Refuse options that would be ignored and formats that cannot be written."""
        if self.weight is not None and self.prior in ("dip", "none"):
            raise BadValue(f"--weight with --prior {self.prior}", "--prior tv or tikhonov", "leave --weight out")
        if self.prior != "dip" and self.dip != DipOptions():
            raise BadValue(f"--recipe, --runs or --recompute with --prior {self.prior}", "--prior dip", "leave them out")
        if self.tile is not None and self.checkpoint is not None:
            raise BadValue("--tile with --checkpoint", "one of them", "leave --checkpoint out")
        if self.depth not in (None, *map(str, get_args(Depth))):
            raise BadValue(f"--depth {self.depth}", "8 or 16", "leave it out for the depth of the input")
        if self.figure is not None:
            figure_format(self.figure)

    @property
    def bits(self) -> Depth | None:
        """Bits of a channel; None for those of the input."""
        return {None: None, "8": 8, "16": 16}[self.depth]

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for, as far as the result depends on it."""
        dip = {"recipe": self.dip.settings, "runs": self.dip.runs} if self.prior == "dip" else {"weight": self.weight}
        return {
            "prior": self.prior,
            **dip,
            "steps": self.run.steps,
            "seed": self.run.seed,
            "tile": self.tile,
            "depth": self.bits,
        }

    def outputs(self, job: Job) -> Outputs:
        """The files that are written for an image, checked before hours of work."""
        if job.fault is not None:
            raise job.fault
        images.image_format(job.output)
        require_depth(job.output, self.bits)
        others = [job.std if self.dip.runs > 1 else None, self.figure]
        outputs = Outputs(job.output, others, [job.input, *job.partners.values()], self.checkpoint, self.run.force)
        if self.checkpoint is not None:
            require_checkpoint(self.checkpoint)
        return outputs


@dataclass(frozen=True)
class Restoration:
    """What is solved for an image.

    Attributes:
        problem, recipe: are solved.
        like: what the result is saved like.
        remarks: lines to print before.
        details: for the record.
        finish: what is done to the result, and to each run, at last.
        fuse: the classical denoiser whose image is half of the result.
    """

    problem: Problem
    recipe: Recipe
    like: Picture
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[Tensor], Tensor] = lambda image: image
    fuse: Denoiser | None = None


@dataclass(frozen=True)
class Solved:
    """The answer of the solves.

    Attributes:
        image: (1, C, H, W), the mean of the runs where there are several.
        runs: (K, C, H, W).
        debiased: whether it was corrected for clipped noise, (1,).
        numbers: for the record.
    """

    image: Tensor
    runs: Tensor
    debiased: Tensor
    numbers: Mapping[str, Any]


Pose = Callable[[Job], Restoration]


@dataclass(frozen=True)
class Command:
    """A restoring command as it was given.

    Attributes:
        name: of the command.
        request: its own options.
        pose: makes what is solved for an image.
        options: those that all commands share.
    """

    name: str
    request: Mapping[str, Any]
    pose: Pose
    options: RestoringOptions

    def asked(self, job: Job) -> dict[str, Any]:
        """What the record says of an image before it is restored; the same again means the same result."""
        files = input_files(input=job.input, **job.partners)
        return {"command": self.name, "request": {**self.request, **self.options.request}, "files": files}


def restore(command: Command, job: Job, outputs: Outputs, write: Callable[[str], object]) -> dict[str, Any]:
    """Restore an image and write its files: its record."""
    options = command.options
    posed, asked = command.pose(job), command.asked(job)
    for remark in posed.remarks:
        write(remark)
    problem = _with_truth(posed.problem, job.partners.get("truth")).to(torch_device(options.run.device))
    recipe = _recomputed(posed.recipe) if options.dip.recompute else posed.recipe
    solved = _solved(problem, recipe, options)
    image = solved.image if posed.fuse is None else classical.fuse(problem, solved, posed.fuse)
    image, runs = posed.finish(image.cpu()), posed.finish(solved.runs.cpu())
    record = {**asked, **posed.details, **solved.numbers, **answer_record(problem, image, runs)}
    if posed.fuse is not None and problem.truth is not None:
        record["psnr_before_fusion"] = psnr_of(solved.image, problem)
    files = {job.output: encode(job.output, image, options.bits, posed.like)}
    if problem.truth is not None and images.image_format(job.output) == "JPEG":
        record["psnr_of_file"] = psnr_of(images.from_bytes(files[job.output]), problem)
    if len(runs) > 1:
        std = runs.std(0, keepdim=True).mean(1, keepdim=True)
        record["std_of_white"] = float(std.max())
        files[job.std] = encode(job.std, std / std.max().clamp_min(1e-12))
    if options.figure is not None:
        files[options.figure] = _figure(options.figure, problem, image)
    outputs.write(files, record, record["device"])
    return record


def _with_truth(problem: Problem, truth: Path | None) -> Problem:
    if truth is None:
        return problem
    image, (channels, height, width) = images.read(truth).image, problem.operator.in_shape
    if image.shape != (channels, height, width):
        colours = {1: "grey", 3: "colour"}
        came = f"a ground truth of {size_of(image)} pixels in {colours[len(image)]}"
        raise BadValue(came, f"{width} x {height} pixels in {colours[channels]}", "crop or convert it")
    return replace(problem, truth=image)


def _recomputed(recipe: Recipe) -> Recipe:
    """The recipe with a network that keeps less in memory."""
    prior = recipe.prior
    assert isinstance(prior, DeepImagePrior)
    assert isinstance(prior.generator, Hourglass)
    leaner = replace(prior.generator, recompute=True)
    return replace(recipe, prior=DeepImagePrior(leaner, prior.input, prior.perturbation, prior.learn_input))


def _solved(problem: Problem, recipe: Recipe, options: RestoringOptions) -> Solved:
    """The answer, and how its solves went."""
    runs = options.dip.runs
    if runs > 1:
        require_memory(runs * bytes_of_a_run(problem, recipe.prior), f"--runs {runs}", "make fewer runs")
    if options.tile is not None:
        return _solve_tiles(problem, recipe, options, options.tile)
    if runs > 1:
        ensemble = solve_runs(problem, recipe, runs, options.run, options.checkpoint)
        numbers = {**recipe_record(recipe), **ensemble_record(problem, ensemble)}
        return Solved(ensemble.image, ensemble.runs[0], ensemble.debiased, numbers)
    used, result = _solve(problem, recipe, options)
    return Solved(result.image, result.image, result.debiased, {**recipe_record(used), **solve_record(problem, result)})


def _solve(problem: Problem, recipe: Recipe, options: RestoringOptions) -> tuple[Recipe, Result]:
    if options.prior == "dip":
        return recipe, solve_recipe(problem, recipe, options.run, options.checkpoint)
    return solve_convex(problem, options.prior, options.run, options.weight, options.checkpoint)


def _solve_tiles(problem: Problem, recipe: Recipe, options: RestoringOptions, size: int) -> Solved:
    """The answer from solves of tiles, and how each of them went; the deep image prior's is debiased as a whole."""
    run = options.run
    count = count_tiles(problem.operator.out_shape[-2:], size)
    quiet = replace(options, run=replace(run, quiet=True))
    tiles: list[dict[str, Any]] = []
    biased = replace(recipe, debiases=False)
    with progress_bar(count, not run.quiet, "tile") as bar:

        def solve(part: Problem) -> Tensor:
            if not tiles and options.prior == "dip":
                announce_cost(part, biased, run, count, "tiles")
            used, result = _solve(part, biased, quiet)
            tiles.append({**recipe_record(used), **solve_record(part, result)})
            bar.update()
            return result.image

        answer = solve_tiles(problem.repeat(options.dip.runs), solve, size)
    numbers = {**several_record(tiles, "tiles"), "tiles": tiles}
    if options.prior != "dip":
        return Solved(answer, answer, torch.tensor([all(tile["debiased"] for tile in tiles)]), numbers)
    ensemble = replace(recipe, projects=False).pool(problem, answer)
    return Solved(ensemble.image, ensemble.runs[0], ensemble.debiased, {**numbers, "debiased": bool(ensemble.debiased.all())})


def _figure(path: Path, problem: Problem, image: Tensor) -> bytes:
    panels = {"guide": problem.operator.guide, "input": problem.y, "restored": image, "ground truth": problem.truth}
    present = {title: panel.cpu() for title, panel in panels.items() if panel is not None}
    return figure_content(path, plot.compare(present, present.get("ground truth")))


def summary(job: Job, record: Mapping[str, Any]) -> str:
    """One line on an image; σ is that of pixels from 0 to 255, as it was given."""
    message = _SIGMA.sub(lambda match: f"σ = {255 * float(match[1]):.3g}", record["message"])
    return f"{job.output}: {message}, {record['seconds']:.0f} s{_scores(record)}"


def _scores(record: Mapping[str, Any]) -> str:
    """The PSNR of the result, and of what it was made of, where the ground truth is given."""
    if "psnr" not in record:
        return ""
    parts = [f", PSNR {record['psnr']:.2f} dB"]
    if "psnr_of_file" in record:
        parts.append(f"{record['psnr_of_file']:.2f} as JPEG")
    if "psnr_before_fusion" in record:
        parts.append(f"{record['psnr_before_fusion']:.2f} before it was fused")
    if "psnr_of_runs" in record:
        parts.append("runs " + ", ".join(f"{score:.2f}" for score in record["psnr_of_runs"]))
    return "; ".join(parts)
