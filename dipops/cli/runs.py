"""One run of the command line: what it may write, what it solves, and the record it leaves."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor

from dipops import images, plot
from dipops._tools.files import environment, write_json, write_whole
from dipops.errors import BadFile, BadValue
from dipops.methods.default import default_method
from dipops.methods.projection import consistency
from dipops.metrics import psnr
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import Identity
from dipops.priors.interface import NoPrior, Prior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe, Variant
from dipops.solver.cost import estimate
from dipops.solver.result import Result
from dipops.stopping import StopRule
from dipops.tune import SURE, Limit, tune

_LONG = 60.0


class PriorName(StrEnum):
    """The priors the command line offers."""

    dip = "dip"
    tv = "tv"
    tikhonov = "tikhonov"
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
    variant: Variant
    runs: int
    steps: int | None
    seed: int
    device: Device
    truth: Path | None
    figure: Path | None
    checkpoint: Path | None
    quiet: bool

    def __post_init__(self) -> None:
        """Refuse, before hours of work, what could not be written after them."""
        images.image_format(self.output)
        require_writable(self.output)
        if self.figure is not None:
            figure_kind(self.figure)
            require_writable(self.figure)
        self._require_apart()
        if self.weight is not None and self.prior in (PriorName.dip, PriorName.none):
            raise BadValue(f"--weight with --prior {self.prior.value}", "--prior tv or tikhonov", "leave --weight out")
        if self.prior is not PriorName.dip and (self.runs > 1 or self.variant is not Variant.LIGHT):
            option = "--runs" if self.runs > 1 else "--recipe"
            raise BadValue(f"{option} with --prior {self.prior.value}", "--prior dip", f"leave {option} out")

    def _require_apart(self) -> None:
        """Refuse two files of one name."""
        files = {
            "output": self.output,
            "record": self.output.with_suffix(".json"),
            "spread": _spread_file(self.output),
            "--figure": self.figure,
            "--checkpoint": self.checkpoint,
        }
        seen: dict[Path, str] = {}
        for name, path in files.items():
            if path is not None and (other := seen.setdefault(path.resolve(), name)) != name:
                raise BadValue(f"{name} {path}", f"another file than the {other}", "choose another name")


def say(quiet: bool, text: str) -> None:
    """Print a line, unless told not to."""
    if not quiet:
        typer.echo(text)


def restore(problem: Problem, recipe: Recipe, settings: Settings, task: dict[str, Any], inputs: Sequence[Path]) -> str:
    """Solve, write picture, record and figure, and say in one line what came of it."""
    read = digests([*inputs, settings.truth])
    problem = problem.to(place(settings.device))
    if settings.prior is not PriorName.dip:
        recipe = convex_recipe(problem, settings.prior, settings.weight, progress=not settings.quiet)
    repeated = problem.repeat(settings.runs)
    if settings.prior is PriorName.dip and not (settings.checkpoint and settings.checkpoint.exists()):
        foretell(repeated, recipe, settings.steps, settings.quiet)
    result = recipe.solve(repeated, settings.seed, settings.steps, settings.checkpoint, progress=not settings.quiet)
    image, spread = _restored(result)
    images.save(settings.output, image)
    if spread is not None:
        images.save(_spread_file(settings.output), spread / _white(spread))
    record = {
        **task,
        "files": read,
        "output": str(settings.output),
        "prior": repr(recipe.prior),
        "method": repr(recipe.method),
        "monitors": list(map(repr, recipe.monitors)),
        "source": recipe.source,
        **record_of(repeated, result),
        "environment": environment(),
    }
    write_json(settings.output.with_suffix(".json"), record)
    if settings.figure is not None:
        shown = {**_given(problem), "restored": image, **_true(problem)}
        draw(settings.figure, plot.compare(shown, problem.truth))
    score = f", PSNR {record['psnr']:.2f} dB" if "psnr" in record else ""
    return f"{settings.output}: {result.stopped}, {result.seconds:.0f} s{score}"


def foretell(problem: Problem, recipe: Recipe, steps: int | None, quiet: bool) -> None:
    """Say what a run of over a minute will take, before it does, unless told not to."""
    if quiet:
        return
    cost = estimate(problem, recipe.prior, recipe.method, steps or recipe.steps)
    if cost.seconds > _LONG:
        stops = any(isinstance(monitor, StopRule) for monitor in recipe.monitors)
        typer.echo(f"{cost}; a stop may end it sooner" if stops else str(cost))


def convex_recipe(problem: Problem, name: PriorName, weight: float | None = None, progress: bool = True) -> Recipe:
    """No prior, Tikhonov on the gradient, or TV: at the given weight, by SURE where there is noise, else in the limit Ax = y.

    Where σ is not known for a measurement that is a picture, it is estimated from that picture.
    """
    gradient = FiniteDifferences(problem.operator.in_shape).to(problem.y)

    def prior_of_weight(weight: float) -> Prior:
        return TotalVariation(weight) if name is PriorName.tv else Tikhonov(weight, gradient)

    if name is PriorName.none or weight is not None:
        prior = NoPrior() if weight is None else prior_of_weight(weight)
        method = default_method(problem, prior)
        return Recipe(prior, method, method.steps, (), "no prior" if weight is None else "the weight that was given")
    sigma = problem.sigma
    if sigma is None and isinstance(problem.operator, Identity):
        sigma = images.noise_level(problem.y)
    if not sigma:
        return Limit().recipe(prior_of_weight)
    return tune(problem, prior_of_weight, SURE(sigma), progress=progress).recipe


def record_of(problem: Problem, result: Result) -> dict[str, Any]:
    """The figures of a run, or of several of one picture, as plain values."""
    image, spread = _restored(result)
    runs = len(result.image)
    record = {
        "operator": repr(problem.operator),
        "seed": result.seed,
        "steps": result.steps,
        "stopped": result.stopped,
        "undone": result.undone,
        "ran": result.ran,
        "answer": result.answer if runs == 1 else f"mean of {runs} runs, of each the {result.answer}",
        "answer_steps": result.at.tolist(),
        "objective": float(result.trace["objective"][-1].mean()),
        "consistency_db": float(consistency(problem.operator, image, problem.y[:1])),
        "seconds": round(result.seconds, 3),
        "device": str(problem.y.device),
    }
    if problem.truth is not None:
        record["psnr"] = float(psnr(image.clamp(0, 1), problem.truth[:1]))
    if spread is not None:
        record["spread_of_white"] = _white(spread)
    if problem.truth is not None and runs > 1:
        record["psnr_of_runs"] = psnr(result.image.clamp(0, 1), problem.truth).tolist()
    return record


def _restored(result: Result) -> tuple[Tensor, Tensor | None]:
    """The picture to show, and with several runs how much they differ, the mean over the channels."""
    if len(result.image) == 1:
        return result.image, None
    mean, spread = result.pooled()
    return mean, spread.mean(1, keepdim=True)


def _white(spread: Tensor) -> float:
    """The spread that is drawn white; some even where all runs agree."""
    return max(float(spread.max()), torch.finfo(spread.dtype).tiny)


def _spread_file(output: Path) -> Path:
    return output.with_name(f"{output.stem}-spread{output.suffix}")


def _given(problem: Problem) -> dict[str, Tensor]:
    guide = problem.operator.guide
    return {"input": problem.y} if guide is None else {"guide": guide, "input": problem.y}


def _true(problem: Problem) -> dict[str, Tensor]:
    return {} if problem.truth is None else {"truth": problem.truth}


def place(choice: Device) -> torch.device:
    if choice is Device.cuda and not torch.cuda.is_available():
        raise BadValue("--device cuda", "a machine with CUDA", "use --device auto or cpu")
    chosen = choice.value if choice is not Device.auto else "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(chosen)


def digests(paths: Sequence[Path | None]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None}


def make_folder(path: Path) -> None:
    """Make sure that ``path`` is a folder, or BadFile."""
    if path.exists() and not path.is_dir():
        raise BadFile(f"{path} is a file", "a folder", "choose another --output")
    path.mkdir(parents=True, exist_ok=True)


def require_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise BadFile(f"no folder {path.parent} for {path.name}", "a folder that exists", "make it first")
    if path.is_dir():
        raise BadFile(f"{path} is a folder", "the name of a file", "add a file name")


def figure_kind(path: Path) -> str:
    from matplotlib.backend_bases import FigureCanvasBase

    kind = path.suffix.lstrip(".").lower()
    if kind not in FigureCanvasBase.get_supported_filetypes():
        raise BadValue(f"{path} with suffix {path.suffix!r}", "a figure such as .png, .svg or .pdf", "choose such a name")
    return kind


def draw(path: Path, figure: Any) -> None:
    import matplotlib.pyplot as plt

    write_whole(path, lambda file: figure.savefig(file, format=figure_kind(path), dpi=150))
    plt.close(figure)
