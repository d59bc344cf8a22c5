"""The command line: restore a picture, run the demonstration, prove an operator."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated

import torch
import typer
from torch import Tensor

import dipops
from dipops import images, plot, recipes
from dipops.compare import compare as compare_priors
from dipops.errors import BadFile, BadType, BadValue, DipopsError
from dipops.files import environment, write_json, write_whole
from dipops.laws import check as check_laws
from dipops.metrics import psnr
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.examples import EXAMPLES
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.operators.resampling import LanczosDownsampler
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.recipes import Recipe, Variant
from dipops.runs import Device, PriorName, Settings, convex_recipe, draw, make_folder, place, record_of, restore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inverse problems in imaging: restore a picture from what is left of it.",
)

DEMO_SIGMA = 25.0
DEMO_SIZE = 256
SHAPES = "3,9,13 3,10,14"
LABELS = {PriorName.none: "none", PriorName.tikhonov: "Tikhonov", PriorName.tv: "TV"}


Picture = Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF or WebP.")]
Output = Annotated[Path, typer.Argument(help="Where to write the picture; a .json of the run is laid beside it.")]
PriorOption = Annotated[
    PriorName, typer.Option("--prior", help="Deep image prior, total variation, Tikhonov on the gradient, or none.")
]
Weight = Annotated[
    float | None,
    typer.Option(help="Weight of TV or Tikhonov; by default SURE chooses it, or the limit Ax = y where there is no noise."),
]
Steps = Annotated[int | None, typer.Option(min=1, help="Number of steps; by default the recipe's.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes CUDA where it is.")]
Truth = Annotated[Path | None, typer.Option(help="The true picture, to print the PSNR; never used to restore.")]
Figure = Annotated[Path | None, typer.Option(help="Where to draw input, result and truth side by side.")]
RecipeOption = Annotated[
    Variant,
    typer.Option("--recipe", help="Of the deep image prior: the light settings, or the paper's, which take far longer."),
]
Runs = Annotated[int, typer.Option(min=1, help="Independent runs; their mean is the answer, their spread is drawn beside it.")]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="A file to lay the run down in; where it exists, the run goes on from it.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing and show no bar.")]


@app.command()
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
    _say(
        quiet, restore(problem, recipes.denoise(sigma / 255, recipe), settings, {"command": "denoise", "sigma": sigma}, [input])
    )


@app.command()
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
    ratio = _whole(factor, "factor")
    chosen = recipes.upscale(ratio, recipe)
    y = images.load(input)
    channels, height, width = y.shape
    operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
    _say(
        quiet, restore(Problem(operator, y, _truth(truth)), chosen, settings, {"command": "upscale", "factor": ratio}, [input])
    )


@app.command()
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
    _say(quiet, restore(problem, recipes.inpaint_text(recipe), settings, {"command": "inpaint"}, [input, mask]))


@app.command()
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
    _say(quiet, restore(problem, recipes.flash(recipe), settings, {"command": "flash"}, [flash, noflash]))


@app.command()
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
    _say(quiet, f"A photograph of {DEMO_SIZE} x {DEMO_SIZE} with noise of σ = {DEMO_SIGMA:g}, restored with each prior:")
    results = {
        "no prior": convex_recipe(problem, PriorName.none).solve(problem, progress=not quiet),
        "TV": convex_recipe(problem, PriorName.tv).solve(problem, progress=not quiet),
        "DIP": recipes.denoise(sigma).solve(problem, steps=steps, progress=not quiet),
    }
    pictures = {"noisy": problem.y, **{name: result.image for name, result in results.items()}, "truth": x}
    for name, picture in pictures.items():
        images.save(output / f"{name.replace(' ', '-').lower()}.png", picture)
        if name != "truth":
            _say(quiet, f"  {name:<9} {float(psnr(picture.clamp(0, 1).cpu(), x[None])):6.2f} dB")
    draw(output / "demo.png", plot.compare(pictures, x))
    draw(output / "curves.png", plot.trace(results))
    record = {name: record_of(problem, result) for name, result in results.items()}
    write_json(output / "demo.json", {"command": "demo", "results": record, "environment": environment()})
    _say(quiet, f"Look at {output / 'demo.png'}")


@app.command()
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
        else:
            contestants[LABELS[name]] = convex_recipe(problem, name)
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
    _say(quiet, comparison.table())
    _say(quiet, f"Look at {output / 'comparison.png'}")


@app.command()
def check(
    target: Annotated[str | None, typer.Argument(help="FILE.py:Class, an operator of yours; all of ours without it.")] = None,
    shape: Annotated[str, typer.Option(help="in_shape for its constructor, or several; odd and even ones show most.")] = SHAPES,
) -> None:
    """Prove an operator: try every law on it, and say what is wrong."""
    shapes = [tuple(_whole(side, "shape") for side in text.split(",")) for text in shape.split(" ")]
    operators = [
        made for in_shape in shapes for made in (_examples(in_shape) if target is None else [_construct(target, in_shape)])
    ]
    passed = True
    for operator in operators:
        try:
            report = check_laws(operator, strict=False)
        except Exception as error:  # whatever a user's forward raises is the diagnosis
            typer.echo(f"{operator!r}\n  ✗ forward fails on a zero image: {type(error).__name__}: {error}")
            passed = False
        else:
            typer.echo(str(report))
            passed = passed and report.passed
    if not passed:
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(dipops.__version__)


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    try:
        app()
    except DipopsError as error:
        typer.echo(f"dipops: {error}", err=True)
        sys.exit(2)


def _truth(path: Path | None) -> Tensor | None:
    return None if path is None else images.load(path)


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a whole number", "round it") from None


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
        return LanczosDownsampler(x.shape, _whole(argument, "lanczos"))
    if kind.endswith(".py"):
        return _construct(text, tuple(x.shape))
    raise BadValue(f"operator {text!r}", "identity, mask:KEEP, lanczos:FACTOR or FILE.py:Class", "write mask:0.5, say")


def _dip_recipe(operator: str, sigma: float, variant: Variant) -> Recipe:
    if operator.startswith("lanczos:"):
        return recipes.upscale(_whole(operator.removeprefix("lanczos:"), "lanczos"), variant)
    if operator.startswith("mask:"):
        return recipes.inpaint_random(variant)
    return recipes.denoise(sigma or DEMO_SIGMA / 255, variant)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a number", "write 0.5, say") from None


def _examples(in_shape: tuple[int, ...]) -> list[LinearOrDifferentiableOperator]:
    if len(in_shape) != 3:
        raise BadValue(f"shape = {in_shape}", "C,H,W", "use 3,9,13")
    in_shape = (in_shape[0], in_shape[1], in_shape[2])
    return [example(in_shape, torch.Generator().manual_seed(0)) for example in EXAMPLES.values()]


def _construct(target: str, in_shape: tuple[int, ...]) -> LinearOrDifferentiableOperator:
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise BadValue(f"{target}", "FILE.py:Class", "write the class's name after a colon")
    module = _module(Path(file))
    if not isinstance(kind := getattr(module, name, None), type):
        found = [key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__]
        raise BadValue(f"no class {name} in {file}", f"one of {', '.join(found) or 'its classes (it has none)'}", "name one")
    try:
        operator = kind(in_shape)
    except DipopsError:
        raise
    except Exception as error:
        raise BadType(
            f"{name}({in_shape}) raises {type(error).__name__}: {error}", "a constructor of one shape", "mend it"
        ) from error
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise BadType(f"{name}, which is no operator", "a class that inherits from LinearOperator", "or DifferentiableOperator")
    return operator


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadFile(f"no file at {path}", "a Python file", "check the path")
    name = f"checked_{path.stem}"  # a name of its own: copy.py must not hide the library's copy
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadFile(f"{path} is no Python file", "a name that ends in .py", "rename it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadFile(f"{path} raises {type(error).__name__}: {error}", "a file that can be imported", "mend it") from error
    return module


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        typer.echo(text)
