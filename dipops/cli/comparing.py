"""compare, demo: several priors on one image whose ground truth is known."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from torch import Tensor
from typer import Argument, Option

from dipops import images, masks, plot, recipes
from dipops.cli.operators import load_make, require_forward
from dipops.cli.options import LABELS, DipSettings, PriorName, RunOptions, parse_int, torch_device
from dipops.cli.outputs import Outputs, require_inputs
from dipops.cli.records import result_record
from dipops.cli.solving import solve_convex, solve_recipe
from dipops.cli.writing import echo, figure_content, made_folder
from dipops.comparison import Comparison
from dipops.errors import BadValue, safe_repr
from dipops.images.writing import encode
from dipops.metrics import psnr
from dipops.noise import ClippedGaussian
from dipops.operators import Identity, LanczosDownsampler, LinearOrDifferentiableOperator, Mask
from dipops.problem import Problem
from dipops.recipes import Recipe, Settings
from dipops.solver import Result

DEMO_SIGMA = 25.0
DEMO_SIZE = 256


def compare(
    photo: Annotated[Path, Argument(help="Ground truth; the measurement is simulated from it.", callback=require_inputs)],
    *,
    operator: Annotated[str, Option(help="identity, mask:KEEP, lanczos:FACTOR, or FILE.py:NAME.")] = "identity",
    sigma: Annotated[float, Option(min=0, max=255, help="Standard deviation of the noise; pixels are 0 to 255.")] = DEMO_SIGMA,
    priors: Annotated[str, Option(help="Any of none, tikhonov, tv, dip, with commas.")] = "none,tikhonov,tv,dip",
    output: Annotated[Path, Option(help="Folder for table, figure, images and record.")] = Path("comparison"),
    settings: DipSettings = "light",
    run: RunOptions,
) -> None:
    """Restore one image with several priors.

    SURE chooses the weight of TV and Tikhonov; without noise it is the limit 0, where Ax = y.
    --recipe and --steps are for the deep image prior.
    """
    names = _parse_priors(priors)
    x = images.load(photo)
    simulated, dip = _parse_operator(operator, x, settings)
    problem = Problem.simulate(simulated, x, sigma / 255, seed=run.seed).to(torch_device(run.device))
    with made_folder(output):
        image_paths = {LABELS[name]: output / f"{LABELS[name].lower()}.png" for name in names}
        figure, table = output / "comparison.png", output / "comparison.md"
        outputs = Outputs(figure, [*image_paths.values(), table], [photo], force=run.force)
        solved = {LABELS[name]: _solve(problem, name, dip, run) for name in names}
        comparison = Comparison(problem, {label: result for label, (_, result) in solved.items()})
        files = {path: encode(path, comparison.results[label].image) for label, path in image_paths.items()}
        files |= {figure: figure_content(figure, comparison.figure()), table: comparison.table().encode()}
        task = {"command": "compare", "photo": str(photo), "operator": safe_repr(simulated), "sigma": sigma, "seed": run.seed}
        sources = {label: recipe.source for label, (recipe, _) in solved.items()}
        outputs.write(files, {**task, "sources": sources, "rows": comparison.rows()}, str(problem.y.device))
        echo(run.quiet, f"{comparison.table()}\nLook at {figure}")


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


def _solve(problem: Problem, name: PriorName, dip: Recipe, run: RunOptions) -> tuple[Recipe, Result]:
    """Recipe and result with the prior of that name; only the deep image prior is given the number of steps."""
    if name == "dip":
        return dip, solve_recipe(problem, dip, run)
    return solve_convex(problem, name, replace(run, steps=None))


def _parse_priors(text: str) -> list[PriorName]:
    words = dict.fromkeys(word.strip() for word in text.split(","))
    if unknown := words.keys() - LABELS:
        raise BadValue(f"priors {', '.join(unknown)}", f"some of {', '.join(LABELS)}", "separate them by commas")
    return [name for word in words for name in LABELS if name == word]


def _parse_operator(text: str, x: Tensor, settings: Settings) -> tuple[LinearOrDifferentiableOperator, Recipe]:
    """The operator that ``text`` names on images like x, and the deep image prior's recipe for it."""
    name, _, argument = text.rpartition(":")
    if text == "identity":
        return Identity(x.shape), recipes.denoise(settings)
    if name == "mask":
        mask = masks.random(x.shape[1:], keep=_parse_float(argument, "mask"))
        return Mask(mask, channels=len(x)), recipes.inpaint_random(settings)
    if name == "lanczos":
        factor = parse_int(argument, "lanczos")
        return LanczosDownsampler(x.shape, factor), recipes.upscale(factor, settings)
    if name.endswith(".py"):
        operator = load_make(text)(tuple(x.shape))
        require_forward(operator)
        return operator, recipes.restore(settings)
    raise BadValue(f"operator {text!r}", "identity, mask:KEEP, lanczos:FACTOR or FILE.py:NAME", "write mask:0.5, say")


def _parse_float(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a number", "write 0.5, say") from None
