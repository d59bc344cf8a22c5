"""paper: run the experiments of "Deep Image Prior", and see their tables and figures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dipops import images
from dipops._tools.files import write_whole
from dipops.cli.options import DeviceOption, Quiet
from dipops.cli.runs import Device, draw, figure_kind, make_folder, place, require_writable, say
from dipops.errors import BadValue
from dipops.paper import figures, scoring, tables
from dipops.paper.config import RunConfig
from dipops.paper.data import require_images
from dipops.paper.experiments import EXPERIMENTS, Experiment, experiment, mean_over
from dipops.paper.report import write_report
from dipops.paper.runs import finished, plan, require_runnable, tasks
from dipops.study.cluster import cluster, run_on
from dipops.study.runner import run as run_here
from dipops.study.store import MARK, Store

app = typer.Typer(
    no_args_is_help=True,
    help='Run, print and draw the tables and figures of "Deep Image Prior", and score other systems.',
)


class Form(StrEnum):
    """How a table is printed."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"
    runs = "runs"


Name = Annotated[str, typer.Argument(help="An experiment that dipops paper list shows.")]
Names = Annotated[list[str], typer.Argument(help="Experiments that dipops paper list shows, or all.")]
Data = Annotated[Path, typer.Option(envvar="DIPOPS_DATA", help="Folder of the paper's images and weights.")]
Out = Annotated[Path, typer.Option(help="Folder of finished runs.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of everything that draws at random.")]
Crop = Annotated[int | None, typer.Option(help="Cut images to the middle of so many pixels; such tables say so.")]
Part = Annotated[float, typer.Option("--steps", help="Make this share of each recipe's steps; such tables say so.")]
Light = Annotated[bool, typer.Option("--light", help="Use the light settings in place of the paper's.")]
Layers = Annotated[str | None, typer.Option(help="Of the pre-images only these layers, separated by commas.")]
Pictures = Annotated[
    int | None, typer.Option("--pictures", min=1, help="Of each experiment only the first so many; tables say so.")
]
Only = Annotated[list[str] | None, typer.Option(help="Only this system; give it once for each.")]


@app.command("list")
def show(names: Annotated[list[str] | None, typer.Argument(help="Only these, with every image and system.")] = None) -> None:
    """Show every experiment: its name, images, systems, and the figures that the paper prints."""
    texts = map(_in_full, map(experiment, names)) if names else map(_in_brief, EXPERIMENTS.values())
    typer.echo("\n".join(texts))


@app.command()
def run(
    names: Names,
    data: Data,
    out: Out = Path("paper"),
    seeds: Seeds = 1,
    crop: Crop = None,
    steps: Part = 1.0,
    light: Light = False,
    layers: Layers = None,
    pictures: Pictures = None,
    only: Only = None,
    device: DeviceOption = Device.auto,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, whose workers make the runs.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Make the runs by so many processes here.")] = None,
    quiet: Quiet = False,
) -> None:
    """Run experiments. Finished runs are not made again; the same command continues after an interruption."""
    if scheduler is not None and workers is not None:
        raise BadValue("--scheduler and --workers", "one of them", "workers of a running scheduler are its own")
    if device is not Device.auto and (scheduler is not None or workers is not None):
        raise BadValue(f"--device {device.value} with workers", "none, each takes its own", "leave --device out")
    config = _config(crop, steps, light)
    runs = plan(names, seeds, config, _split(layers), only, pictures)
    require_runnable(runs, data)
    store = Store(out)
    if scheduler is None and workers is None:
        run_here(tasks(runs, data), store, str(place(device)), progress=not quiet)
    else:
        with cluster(scheduler, workers) as client:
            run_on(client, tasks(runs, data), store, progress=not quiet)
    table_command = f"dipops paper table {runs[0].experiment} --out {out}{_options(config)}"
    say(quiet, f"{len(runs)} runs in {out}; see them with {table_command}")


@app.command()
def inputs(
    name: Name,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for them.")] = Path("inputs"),
    crop: Crop = None,
) -> None:
    """Write the images that the systems of an experiment are given, noisy, small or with black holes, for your own system."""
    row = experiment(name)
    require_images(data, row.images)
    make_folder(output)
    for image in row.images:
        images.save(output / f"{image.name}.png", row.problem_for(image.name, data, crop).y[0])
    typer.echo(f"{len(row.images)} images in {output}")


@app.command()
def table(
    name: Name,
    out: Out = Path("paper"),
    data: Annotated[Path | None, typer.Option(envvar="DIPOPS_DATA", help="For the mean of several runs.")] = None,
    crop: Crop = None,
    steps: Part = 1.0,
    light: Light = False,
    form: Annotated[Form, typer.Option(help="runs has a line for every run.")] = Form.markdown,
) -> None:
    """Print the table of an experiment: what the paper prints, what was run here, and the oracle in a column of its own."""
    row, config, store = experiment(name), _config(crop, steps, light), _store(out)
    runs = finished(row, store)
    printed = tables.every_run(row, runs) if form is Form.runs else tables.table(row, config, runs, store, data)
    texts = {Form.markdown: printed.markdown, Form.csv: printed.csv, Form.runs: printed.csv, Form.latex: printed.latex}
    typer.echo(texts[form](), nl=False)


@app.command()
def figure(
    name: Name,
    data: Data,
    output: Annotated[Path, typer.Option(help="Where to draw it.")] = Path("figure.png"),
    out: Out = Path("paper"),
    crop: Crop = None,
    steps: Part = 1.0,
    light: Light = False,
) -> None:
    """Draw the figure of an experiment."""
    figure_kind(output)
    require_writable(output)
    row, config, store = experiment(name), _config(crop, steps, light), _store(out)
    draw(output, figures.figure(row, config, finished(row, store), store, data))
    typer.echo(f"Look at {output}")


@app.command()
def report(
    data: Data,
    out: Out = Path("paper"),
    output: Annotated[Path, typer.Option(help="The page.")] = Path("paper.html"),
) -> None:
    """Write one page with all that was run: tables, figures, images before and after, curves, settings."""
    require_writable(output)
    count = write_report(output, _store(out), data)
    typer.echo(f"{count} experiments; look at {output}")


@app.command()
def score(
    name: Name,
    data: Data,
    images: Annotated[Path, typer.Option(help="Folder of images, each with the name of an image of the experiment.")],
    csv: Annotated[Path | None, typer.Option(help="Where to write the scores too.")] = None,
) -> None:
    """Score images of another system by the experiment's protocol."""
    scores = scoring.score(experiment(name), images, data)
    if csv is not None:
        write_whole(csv, lambda file: file.write(scores.csv().encode()))
    typer.echo(scores.markdown(), nl=False)


def _config(crop: int | None, steps: float, light: bool) -> RunConfig:
    return RunConfig(crop, steps, "light" if light else "paper")


def _options(config: RunConfig) -> str:
    crop = "" if config.crop is None else f" --crop {config.crop}"
    steps = "" if config.steps == 1 else f" --steps {config.steps:g}"
    return f"{crop}{steps}{' --light' if config.settings == 'light' else ''}"


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]


def _store(out: Path) -> Store:
    if not (out / MARK).is_file():
        raise BadValue(f"no runs in {out}", "a folder that dipops paper run has filled", "name it with --out")
    return Store(out)


def _in_full(row: Experiment) -> str:
    names, systems = (f"  {image.name}" for image in row.images), (f"  {name}" for name in row.contestants)
    return "\n".join([f"{row.name}: {row.title}", row.source, "images:", *names, "systems:", *systems])


def _in_brief(row: Experiment) -> str:
    names = list(row.contestants)
    systems = ", ".join(names) if len(names) <= 6 else f"{len(names)} systems"
    every = [image.name for image in row.images]
    figures = ((name, figure) for name, columns in row.printed.items() for figure in columns.values())
    printed = ", ".join(f"{name} {mean_over(figure, every):.2f}" for name, figure in figures)
    parts = [f"{len(every)} images", systems, *([f"printed: {printed}"] if printed else [])]
    return f"{row.name:<18} {row.title}\n{'':<18} {'; '.join(parts)}"
