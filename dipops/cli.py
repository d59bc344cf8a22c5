"""The command line: restore a picture, run the demonstration, prove an operator."""

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

import dipops
from dipops import images, plot, recipes
from dipops.consistency import consistency
from dipops.errors import BadFile, BadType, BadValue, DipopsError
from dipops.files import environment, write_json, write_whole
from dipops.laws import check as check_laws
from dipops.methods.default import default_method
from dipops.metrics import psnr
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.examples import EXAMPLES
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.operators.resampling import LanczosDownsampler
from dipops.priors.interface import NoPrior
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result, solve

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inverse problems in imaging: restore a picture from what is left of it.",
)

DEMO_SIGMA = 25.0
DEMO_SIZE = 128
DEMO_STEPS = 750
NOISE_FREE_WEIGHT = 0.001
SHAPES = "3,9,13 3,10,14"


class PriorName(StrEnum):
    """The priors the command line offers."""

    dip = "dip"
    tv = "tv"
    none = "none"


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Settings:
    """What all restoring commands share."""

    output: Path
    prior: PriorName
    weight: float | None
    steps: int | None
    seed: int
    device: Device
    truth: Path | None
    figure: Path | None
    quiet: bool

    def __post_init__(self) -> None:
        """Refuse, before hours of work, what could not be written after them."""
        images.image_format(self.output)
        _require_writable(self.output)
        if self.figure is not None:
            _figure_kind(self.figure)
            _require_writable(self.figure)
            if self.figure.resolve() == self.output.resolve():
                raise BadValue(f"--figure {self.figure}", "another file than the output", "choose another name")
        if self.weight is not None and self.prior is not PriorName.tv:
            raise BadValue(f"--weight with --prior {self.prior.value}", "--prior tv", "leave --weight out")


Picture = Annotated[Path, typer.Argument(help="PNG, JPEG, TIFF or WebP.")]
Output = Annotated[Path, typer.Argument(help="Where to write the picture; a .json of the run is laid beside it.")]
PriorOption = Annotated[PriorName, typer.Option("--prior", help="Deep image prior, total variation, or none.")]
Weight = Annotated[float | None, typer.Option(help="Weight of total variation; by default made from the noise.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Number of steps; by default the recipe's.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes CUDA where it is.")]
Truth = Annotated[Path | None, typer.Option(help="The true picture, to print the PSNR; never used to restore.")]
Figure = Annotated[Path | None, typer.Option(help="Where to draw input, result and truth side by side.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing and show no bar.")]


@app.command()
def denoise(
    input: Picture,
    output: Output,
    sigma: Annotated[float, typer.Option(min=0.1, max=255, help="Standard deviation of the noise, of 255.")] = 25.0,
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    quiet: Quiet = False,
) -> None:
    """Remove noise."""
    settings = Settings(output, prior, weight, steps, seed, device, truth, figure, quiet)
    y = images.load(input)
    problem = Problem(Identity(y.shape), y, _truth(truth), sigma / 255)
    _restore(problem, recipes.denoise(sigma / 255), settings, {"command": "denoise", "sigma": sigma}, [input])


@app.command()
def upscale(
    input: Picture,
    output: Output,
    factor: Annotated[str, typer.Option(help="Ratio of the sides, a whole number from 2.")] = "4",
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    quiet: Quiet = False,
) -> None:
    """Enlarge a picture so that, reduced again, it is the one given."""
    settings = Settings(output, prior, weight, steps, seed, device, truth, figure, quiet)
    ratio = _whole(factor, "factor")
    recipe = recipes.upscale(ratio)
    y = images.load(input)
    channels, height, width = y.shape
    operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
    _restore(Problem(operator, y, _truth(truth)), recipe, settings, {"command": "upscale", "factor": ratio}, [input])


@app.command()
def inpaint(
    input: Picture,
    output: Output,
    mask: Annotated[Path, typer.Option(help="A picture of the same size, white where the input is known.")],
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    quiet: Quiet = False,
) -> None:
    """Fill holes."""
    settings = Settings(output, prior, weight, steps, seed, device, truth, figure, quiet)
    y = images.load(input)
    known = (images.load(mask).mean(0) > 0.5).float()
    if known.shape != y.shape[1:]:
        sizes = [" x ".join(map(str, shape)) for shape in (known.shape, y.shape[1:])]
        raise BadValue(f"a mask of {sizes[0]} for a picture of {sizes[1]}", "equal sizes", "crop or resize the mask")
    operator = Mask(known, channels=len(y))
    problem = Problem(operator, operator(y[None]), _truth(truth))
    _restore(problem, recipes.inpaint_text(), settings, {"command": "inpaint"}, [input, mask])


@app.command()
def flash(
    flash: Annotated[Path, typer.Argument(help="The picture taken with flash.")],
    noflash: Annotated[Path, typer.Argument(help="The picture taken without, of the same size.")],
    output: Output,
    prior: PriorOption = PriorName.dip,
    weight: Weight = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    truth: Truth = None,
    figure: Figure = None,
    quiet: Quiet = False,
) -> None:
    """Clean a picture taken without flash by the one taken with it."""
    settings = Settings(output, prior, weight, steps, seed, device, truth, figure, quiet)
    problem = Problem(GuidedInput(images.load(flash)), images.load(noflash), _truth(truth))
    _restore(problem, recipes.flash(), settings, {"command": "flash"}, [flash, noflash])


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for pictures, figure and record.")] = Path("demo"),
    steps: Annotated[int, typer.Option(min=1, help="Steps of the deep image prior.")] = DEMO_STEPS,
    device: DeviceOption = Device.auto,
    quiet: Quiet = False,
) -> None:
    """Add noise of σ = 25 to the bundled photograph and restore it with each prior."""
    if output.exists() and not output.is_dir():
        raise BadFile(f"{output} is a file", "a folder", "choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    x = images.portrait(DEMO_SIZE)
    sigma = DEMO_SIGMA / 255
    problem = Problem.simulate(Identity(x.shape), x, sigma, clip=True).to(_place(device))
    _say(quiet, f"A photograph of {DEMO_SIZE} x {DEMO_SIZE} with noise of σ = {DEMO_SIGMA:g}, restored with each prior:")
    results = {
        "no prior": solve(problem, NoPrior(), progress=not quiet),
        "TV": solve(problem, TotalVariation(sigma), progress=not quiet),
        "DIP": recipes.denoise(sigma).solve(problem, steps=steps, progress=not quiet),
    }
    pictures = {"noisy": problem.y, **{name: result.image for name, result in results.items()}, "truth": x}
    for name, picture in pictures.items():
        images.save(output / f"{name.replace(' ', '-').lower()}.png", picture)
        if name != "truth":
            _say(quiet, f"  {name:<9} {float(psnr(picture.clamp(0, 1).cpu(), x[None])):6.2f} dB")
    _draw(output / "demo.png", plot.compare(pictures, x))
    _draw(output / "curves.png", plot.trace(results))
    record = {name: _record(problem, result) for name, result in results.items()}
    write_json(output / "demo.json", {"command": "demo", "results": record, "environment": environment()})
    _say(quiet, f"Look at {output / 'demo.png'}")


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


def _restore(problem: Problem, recipe: Recipe, settings: Settings, task: dict[str, Any], inputs: Sequence[Path]) -> None:
    read = [path for path in (*inputs, settings.truth) if path is not None]
    digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    problem = problem.to(_place(settings.device))
    if settings.prior is not PriorName.dip:
        weight = (problem.sigma or NOISE_FREE_WEIGHT) if settings.weight is None else settings.weight
        prior = TotalVariation(weight) if settings.prior is PriorName.tv else NoPrior()
        method = default_method(problem, prior)
        recipe = Recipe(prior, method, method.steps, (), "the prior's default method")
    result = recipe.solve(problem, settings.seed, settings.steps, progress=not settings.quiet)
    images.save(settings.output, result.image)
    record = {
        **task,
        "files": digests,
        "output": str(settings.output),
        "prior": repr(recipe.prior),
        "method": repr(recipe.method),
        "monitors": list(map(repr, recipe.monitors)),
        "source": recipe.source,
        **_record(problem, result),
        "environment": environment(),
    }
    write_json(settings.output.with_suffix(".json"), record)
    if settings.figure is not None:
        _draw(settings.figure, plot.compare(_pictures(problem, result), problem.truth))
    score = f", PSNR {record['psnr']:.2f} dB" if "psnr" in record else ""
    _say(settings.quiet, f"{settings.output}: {result.stopped}, {result.seconds:.0f} s{score}")


def _record(problem: Problem, result: Result) -> dict[str, Any]:
    """The figures of a run, as plain values."""
    with torch.no_grad():
        fit = float(consistency(problem.operator, result.image, problem.y))
    record = {
        "operator": repr(problem.operator),
        "seed": result.seed,
        "steps": result.steps,
        "stopped": result.stopped,
        "answer": result.answer,
        "objective": float(result.trace["objective"][-1]),
        "consistency_db": fit,
        "seconds": round(result.seconds, 3),
        "device": str(problem.y.device),
    }
    if problem.truth is not None:
        record["psnr"] = float(psnr(result.image.clamp(0, 1), problem.truth))
    return record


def _pictures(problem: Problem, result: Result) -> dict[str, Tensor]:
    pictures = {"input": problem.y, "restored": result.image}
    if problem.operator.guide is not None:
        pictures = {"guide": problem.operator.guide, **pictures}
    return pictures if problem.truth is None else {**pictures, "truth": problem.truth}


def _truth(path: Path | None) -> Tensor | None:
    return None if path is None else images.load(path)


def _place(device: Device) -> torch.device:
    if device is Device.cuda and not torch.cuda.is_available():
        raise BadValue("--device cuda", "a machine with CUDA", "use --device auto or cpu")
    chosen = device.value if device is not Device.auto else "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(chosen)


def _require_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise BadFile(f"no folder {path.parent} for {path.name}", "a folder that exists", "make it first")
    if path.is_dir():
        raise BadFile(f"{path} is a folder", "the name of a file", "add a file name")


def _figure_kind(path: Path) -> str:
    from matplotlib.backend_bases import FigureCanvasBase

    kind = path.suffix.lstrip(".").lower()
    if kind not in FigureCanvasBase.get_supported_filetypes():
        raise BadValue(f"{path} with suffix {path.suffix!r}", "a figure such as .png, .svg or .pdf", "choose such a name")
    return kind


def _draw(path: Path, figure: Any) -> None:
    import matplotlib.pyplot as plt

    write_whole(path, lambda file: figure.savefig(file, format=_figure_kind(path), dpi=150))
    plt.close(figure)


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a whole number", "round it") from None


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
