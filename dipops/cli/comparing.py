"""compare: images, operators and priors in one table. demo: several priors on the bundled photograph."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from dipops import images, plot, recipes
from dipops.cli.contestants import CONTESTANTS, NETWORKS, dip_recipe, load_images, operator_names, parse_operator, parse_priors
from dipops.cli.interruption import interruptible
from dipops.cli.jobs import find_images
from dipops.cli.options import DipSettings, PriorName, RunOptions, torch_device
from dipops.cli.outputs import Outputs, require_inputs
from dipops.cli.records import result_record
from dipops.cli.solving import announce_long, solve_convex, solve_recipe
from dipops.cli.writing import echo, figure_content, made_folder
from dipops.contestants import Contestant
from dipops.errors import BadValue, require_integer
from dipops.images.writing import encode
from dipops.metrics import psnr
from dipops.noise import ClippedGaussian
from dipops.operators import Identity
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result
from dipops.study import Study, dask_client, problems_of, study

DEMO_SIGMA = 25.0
DEMO_SIZE = 256
_PRIORS = "none,tikhonov,tv,dip"


@dataclass(frozen=True)
class StudyOptions:
    """What is compared."""

    operator: Annotated[
        list[str] | None, Option(help="identity, mask:KEEP, lanczos:FACTOR, or FILE.py:NAME; repeat it for several.")
    ] = None
    sigma: Annotated[float, Option(min=0, max=255, help="Standard deviation of the noise; pixels are 0 to 255.")] = DEMO_SIGMA
    priors: Annotated[
        list[str] | None,
        Option(help=f"Any of {', '.join(CONTESTANTS)}, with commas; by default {_PRIORS}.", show_default=False),
    ] = None
    seeds: Annotated[int, Option(help="Number of seeds, counted from --seed; each draws other noise and another start.")] = 1
    settings: DipSettings = "light"
    workers: Annotated[int | None, Option(min=1, help="Number of processes on this machine.")] = None


@dataclass(frozen=True)
class TableOptions:
    """Where the results go."""

    output: Annotated[Path, Option(help="Folder for table, figure, record and runs.")] = Path("comparison")
    csv: Annotated[Path | None, Option(help="File for a CSV with one line for each run.")] = None
    latex: Annotated[Path | None, Option(help="File for the table as a LaTeX tabular.")] = None

    @property
    def figure(self) -> Path:
        """The figure, next to which the record is."""
        return self.output / "comparison.png"

    @property
    def table(self) -> Path:
        """The table in Markdown."""
        return self.output / "comparison.md"

    @property
    def runs(self) -> Path:
        """The folder of finished runs."""
        return self.output / "runs"


def compare(
    photos: Annotated[
        list[Path],
        Argument(
            metavar="IMAGES",
            help="Ground truths, files or folders; measurements are simulated from them.",
            callback=require_inputs,
        ),
    ],
    *,
    compared: StudyOptions,
    tables: TableOptions,
    run: RunOptions,
) -> None:
    """Restore images with several priors, and compare the results in a table and a figure.

    SURE chooses the weight of TV and Tikhonov; DIP + TV takes half of SURE's weight for TV. Without noise, TV and Tikhonov take
    the limit of weight 0, where Ax = y. --recipe and --steps are for the deep image prior. wavelet, nlm and bm3d need the
    operator identity, and fail on others. The same command continues after an interruption.
    """
    paths = find_images(photos)
    contestants = parse_priors(",".join(compared.priors or [_PRIORS]), compared.sigma > 0, compared.settings, run.steps)
    numbers = range(run.seed, run.seed + require_integer("seeds", compared.seeds, 1, "write --seeds 3"))
    problems = _problems(paths, compared.operator or ["identity"], compared.sigma, run)
    _require_other_folder(tables.output, paths)
    with made_folder(tables.output):
        single = len(problems) == len(numbers) == 1
        image_paths = {word: tables.output / f"{word}.png" for word in contestants if single}
        texts = [path for path in (tables.table, tables.csv, tables.latex) if path is not None]
        outputs = Outputs(tables.figure, [*image_paths.values(), *texts], paths, force=run.force)
        found = _studied(problems, contestants, numbers, compared, tables, run)
        labels = {CONTESTANTS[word]: path for word, path in image_paths.items()}
        files = {path: encode(path, image) for label, path in labels.items() if (image := found.answer(label)) is not None}
        files |= {tables.figure: figure_content(tables.figure, found.figure()), tables.table: found.markdown().encode()}
        files |= {path: text().encode() for path, text in ((tables.csv, found.csv), (tables.latex, found.latex)) if path}
        request = {**asdict(compared), "seed": run.seed, "steps": run.steps, "images": list(map(str, paths))}
        record = {"command": "compare", "request": request, "rows": found.table()}
        outputs.write(files, record, str(next(iter(problems.values())).y.device))
        echo(run.quiet, f"{found.markdown()}\nLook at {tables.figure}")
    if failures := found.failures():
        for line in failures:
            typer.echo(f"dipops: {line}", err=True)
        raise typer.Exit(1)


def _require_other_folder(output: Path, paths: Sequence[Path]) -> None:
    """Refuse to write images next to the ground truths: a comparison of their folder would take them for ground truths."""
    if output.resolve() in {path.resolve().parent for path in paths}:
        raise BadValue(f"results in {output}, the folder of the images", "another folder", "write --output comparison")


def demo(
    *, output: Annotated[Path, Option(help="Folder for images, figures and record.")] = Path("demo"), run: RunOptions
) -> None:
    """Add noise of σ = 25 to the bundled photograph and restore it with each prior; --steps is for the deep image prior."""
    with made_folder(output):
        priors: dict[str, PriorName] = {"no prior": "none", "TV": "tv", "DIP": "dip"}
        image_paths = {title: output / f"{title.replace(' ', '-').lower()}.png" for title in ("noisy", *priors, "truth")}
        figure, curves = output / "demo.png", output / "curves.png"
        outputs = Outputs(figure, [*image_paths.values(), curves], force=run.force)
        x = images.portrait(DEMO_SIZE)
        problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(DEMO_SIGMA / 255), seed=run.seed).to(
            torch_device(run.device)
        )
        size = f"{DEMO_SIZE} x {DEMO_SIZE}"
        echo(run.quiet, f"A photograph of {size} with noise of σ = {DEMO_SIGMA:g}, restored with each prior:")
        dip = recipes.denoise()
        results = {title: _solve(problem, name, dip, run)[1] for title, name in priors.items()}
        restored = {"noisy": problem.y, **{title: result.image for title, result in results.items()}}
        for title, image in restored.items():
            echo(run.quiet, f"  {title:<9} {float(psnr(image.clamp(0, 1).cpu(), x[None])):6.2f} dB")
        shown = {**restored, "truth": x[None]}
        files = {image_paths[title]: encode(image_paths[title], image) for title, image in shown.items()}
        files[figure] = figure_content(figure, plot.compare({**restored, "ground truth": x}, x))
        files[curves] = figure_content(curves, plot.trace(results))
        records = {title: result_record(problem, result) for title, result in results.items()}
        outputs.write(files, {"command": "demo", "results": records}, str(problem.y.device))
        echo(run.quiet, f"Look at {figure}")


def _problems(paths: Sequence[Path], operators: Sequence[str], sigma: float, run: RunOptions) -> dict[tuple[str, str], Problem]:
    """Every image measured by every operator, by their names in tables."""
    makes = {name: parse_operator(text) for name, text in operator_names(operators).items()}
    photos, place = load_images(paths), torch_device(run.device)
    problems = problems_of(photos, makes, sigma / 255)
    return {name: problem.to(place) for name, problem in problems.items()}


def _studied(
    problems: Mapping[tuple[str, str], Problem],
    contestants: Mapping[str, Contestant],
    seeds: range,
    compared: StudyOptions,
    tables: TableOptions,
    run: RunOptions,
) -> Study:
    """The study, unless all of it failed."""
    named = {CONTESTANTS[word]: contestant for word, contestant in contestants.items()}
    if networks := len(contestants.keys() & NETWORKS):
        largest = max(problems.values(), key=lambda problem: prod(problem.operator.in_shape[-2:]))
        times = networks * len(problems) * len(seeds)
        announce_long(largest, dip_recipe(largest, compared.settings), run, times, "network runs")
    with (
        interruptible(lambda: f"finished runs are in {tables.runs}; give the same command again to go on"),
        nullcontext() if compared.workers is None else dask_client(None, compared.workers) as client,
    ):
        found = study(problems, named, seeds, folder=tables.runs, client=client, progress=not run.quiet)
    if all("failure" in record for record in found.records.values()):
        found.store.discard()
        raise BadValue(found.failures()[0], "a run that succeeds", "correct it, and give the command again")
    return found


def _solve(problem: Problem, name: PriorName, dip: Recipe, run: RunOptions) -> tuple[Recipe, Result]:
    """Recipe and result with the prior of that name; only the deep image prior is given the number of steps."""
    if name == "dip":
        return dip, solve_recipe(problem, dip, run)
    return solve_convex(problem, name, replace(run, steps=None))
