"""paper: run the experiments of "Deep Image Prior", and see their tables and figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from dipops.cli.groups import flatten
from dipops.cli.interruption import interruptible, with_interruption
from dipops.cli.options import DeviceOption, Force, Quiet, torch_device
from dipops.cli.outputs import Outputs
from dipops.cli.writing import echo, figure_content, figure_format, made_folder
from dipops.errors import BadValue
from dipops.images.writing import encode
from dipops.paper import figures, scoring, tables
from dipops.paper.config import RunConfig
from dipops.paper.data import require_images
from dipops.paper.experiments import EXPERIMENTS, Experiment, experiment, mean_over
from dipops.paper.report import report as report_page
from dipops.paper.runs import Run, finished, plan, require_runnable, tasks
from dipops.study import MARK, Store, dask_client, run_on
from dipops.study.runner import run as run_here

Form = Literal["markdown", "csv", "latex", "runs"]
Name = Annotated[str, Argument(help="An experiment that dipops paper list shows.")]
Names = Annotated[list[str], Argument(help="Experiments that dipops paper list shows, or all.")]
Data = Annotated[Path, Option(envvar="DIPOPS_DATA", help="Folder of the paper's images and weights.")]
Out = Annotated[Path, Option(help="Folder of finished runs.")]
Crop = Annotated[int | None, Option(help="Crop images to a centred square of this side, in pixels; tables say so.")]


@dataclass(frozen=True)
class ConfigOptions:
    """How much of each experiment is run."""

    crop: Crop = None
    steps: Annotated[float, Option(help="Fraction of each recipe's steps to make; tables say so.")] = 1.0
    light: Annotated[bool, Option("--light", help="Use the light settings instead of the paper's; tables say so.")] = False

    @property
    def config(self) -> RunConfig:
        """The options as a configuration."""
        return RunConfig(self.crop, self.steps, "light" if self.light else "paper")

    def __str__(self) -> str:
        crop = "" if self.crop is None else f" --crop {self.crop}"
        steps = "" if self.steps == 1 else f" --steps {self.steps:g}"
        return f"{crop}{steps}{' --light' if self.light else ''}"


@dataclass(frozen=True)
class PlanOptions:
    """Which runs of the experiments are made."""

    seeds: Annotated[int, Option(min=1, help="Number of seeds for everything random.")] = 1
    layers: Annotated[str | None, Option(help="Layers of the pre-images, separated by commas; all by default.")] = None
    pictures: Annotated[int | None, Option(min=1, help="Number of images of each experiment, from the first.")] = None
    only: Annotated[list[str] | None, Option(help="Only this system; repeat the option for several.")] = None

    def plan(self, names: list[str], config: RunConfig) -> list[Run]:
        """The runs of some experiments."""
        layers = None if self.layers is None else [layer.strip() for layer in self.layers.split(",")]
        return plan(names, self.seeds, config, layers, self.only, self.pictures)


@dataclass(frozen=True)
class WorkerOptions:
    """What makes the runs: this process, or workers."""

    device: DeviceOption = "auto"
    scheduler: Annotated[str | None, Option(help="Address of a Dask scheduler, whose workers make the runs.")] = None
    workers: Annotated[int | None, Option(min=1, help="Number of processes on this machine.")] = None

    @property
    def are_used(self) -> bool:
        """Whether workers make the runs.

        Raises:
            BadValue: two options contradict each other.
        """
        if self.scheduler is not None and self.workers is not None:
            raise BadValue("--scheduler and --workers", "one of them", "workers of a running scheduler are its own")
        used = self.scheduler is not None or self.workers is not None
        if used and self.device != "auto":
            raise BadValue(f"--device {self.device} with workers", "none, each chooses its own", "leave --device out")
        return used


def show(names: Annotated[list[str] | None, Argument(help="Only these, with every file and system.")] = None) -> None:
    """Show every experiment: its name, images, systems, and the figures that the paper prints."""
    texts = map(_in_full, map(experiment, names)) if names else map(_in_brief, EXPERIMENTS.values())
    typer.echo("\n".join(texts))


def run(
    names: Names,
    *,
    data: Data,
    out: Out = Path("paper"),
    chosen: PlanOptions,
    size: ConfigOptions,
    workers: WorkerOptions,
    quiet: Quiet = False,
) -> None:
    """Run experiments. Finished runs are not made again; the same command continues after an interruption."""
    by_workers = workers.are_used
    runs = chosen.plan(names, size.config)
    require_runnable(runs, data)
    store = Store(out)
    with interruptible(lambda: f"finished runs are in {out}; give the same command again to go on"):
        if by_workers:
            with dask_client(workers.scheduler, workers.workers) as client:
                run_on(client, tasks(runs, data), store, progress=not quiet)
        else:
            run_here(tasks(runs, data), store, str(torch_device(workers.device)), progress=not quiet)
    echo(quiet, f"{len(runs)} runs in {out}; see them with dipops paper table {runs[0].experiment} --out {out}{size}")


def inputs(
    name: Name,
    *,
    data: Data,
    output: Annotated[Path, Option(help="Folder for them.")] = Path("inputs"),
    crop: Crop = None,
    force: Force = False,
) -> None:
    """Write the images that the systems of an experiment are given, noisy, small or with black holes, for your own system."""
    row, crop = experiment(name), RunConfig(crop).crop
    require_images(data, row.images)
    made = {image.name: row.problem_for(image.name, data, crop).y[0] for image in row.images}
    with made_folder(output):
        first, *others = paths = [output / f"{name}.png" for name in made]
        outputs = Outputs(first, others, force=force)
        files = {path: encode(path, image) for path, image in zip(paths, made.values(), strict=True)}
        outputs.write(files, {"command": "paper inputs", "experiment": name, "crop": crop})
        typer.echo(f"{len(row.images)} images in {output}")


def table(
    name: Name,
    *,
    out: Out = Path("paper"),
    data: Annotated[Path | None, Option(envvar="DIPOPS_DATA", help="For means of runs, and for fused results.")] = None,
    size: ConfigOptions,
    form: Annotated[Form, Option(help="runs has a line for every run.")] = "markdown",
) -> None:
    """Print the table of an experiment: what the paper prints, what was run here, and the oracle in a column of its own."""
    row, store = experiment(name), _store(out)
    runs = finished(row, store)
    if form == "runs":
        typer.echo(tables.every_run(row, runs).csv(), nl=False)
    else:
        printed = tables.table(row, size.config, runs, store, data)
        typer.echo({"markdown": printed.markdown, "csv": printed.csv, "latex": printed.latex}[form](), nl=False)


def figure(
    name: Name,
    *,
    data: Data,
    output: Annotated[Path, Option(help="File of the figure.")] = Path("figure.png"),
    out: Out = Path("paper"),
    size: ConfigOptions,
    force: Force = False,
) -> None:
    """Draw the figure of an experiment."""
    figure_format(output)
    outputs = Outputs(output, force=force)
    row, store = experiment(name), _store(out)
    drawn = figures.figure(row, size.config, finished(row, store), store, data)
    outputs.write({output: figure_content(output, drawn)}, {"command": "paper figure", "experiment": name})
    typer.echo(f"Look at {output}")


def report(
    *,
    data: Data,
    out: Out = Path("paper"),
    output: Annotated[Path, Option(help="File of the page.")] = Path("paper.html"),
    force: Force = False,
) -> None:
    """Write one page with all that was run: tables, figures, images before and after, curves, settings."""
    outputs = Outputs(output, force=force)
    page, count = report_page(_store(out), data)
    outputs.write({output: page.encode()}, {"command": "paper report"})
    typer.echo(f"{count} experiments; look at {output}")


def score(
    name: Name,
    *,
    data: Data,
    images: Annotated[Path, Option(help="Folder of images, each with the name of an image of the experiment.")],
    csv: Annotated[Path | None, Option(help="File to which the scores are written too.")] = None,
    force: Force = False,
) -> None:
    """Score images of another system by the experiment's protocol."""
    outputs = None if csv is None else Outputs(csv, force=force)
    scores = scoring.score(experiment(name), images, data)
    if csv is not None and outputs is not None:
        outputs.write({csv: scores.csv().encode()}, {"command": "paper score", "experiment": name})
    typer.echo(scores.markdown(), nl=False)


def _store(out: Path) -> Store:
    if not (out / MARK).is_file():
        raise BadValue(f"no runs in {out}", "a folder that dipops paper run has filled", "name it with --out")
    return Store(out)


def _in_full(row: Experiment) -> str:
    names = [f"  {image.name:<14} {', '.join(image.files.values())}" for image in row.images]
    systems = [f"  {name}" for name in row.contestants]
    head = [f"{row.name}: {row.title}", row.source, "images, and their files in --data:"]
    return "\n".join([*head, *names, "systems:", *systems])


def _in_brief(row: Experiment) -> str:
    names, every = list(row.contestants), [image.name for image in row.images]
    systems = ", ".join(names) if len(names) <= 6 else f"{len(names)} systems"
    figures = ((name, figure) for name, columns in row.printed.items() for figure in columns.values())
    printed = ", ".join(f"{name} {mean_over(figure, every):.2f}" for name, figure in figures)
    parts = [f"{len(every)} images", systems, *([f"printed: {printed}"] if printed else [])]
    return f"{row.name:<18} {row.title}\n{'':<18} {'; '.join(parts)}"


app = typer.Typer(
    no_args_is_help=True,
    help='Run and show the tables and figures of "Deep Image Prior", and score other systems.',
)
app.command("list")(show)
for command in (run, inputs, table, figure, report, score):
    app.command()(with_interruption(flatten(command)))
