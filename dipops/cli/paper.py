"""paper: run the experiments of "Deep Image Prior", and see what came of them."""

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
from dipops.paper.cluster import cluster, run_on
from dipops.paper.experiments import EXPERIMENTS, Experiment, experiment
from dipops.paper.pictures import require_pictures
from dipops.paper.report import write_report
from dipops.paper.runner import require_runnable
from dipops.paper.runner import run as run_tasks
from dipops.paper.store import MARK, Store
from dipops.paper.tasks import Size, plan
from dipops.recipes import Variant

app = typer.Typer(
    no_args_is_help=True,
    help='Run, print, draw, and score others by, the tables and figures of "Deep Image Prior".',
)


class Form(StrEnum):
    """How a table is printed."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"
    runs = "runs"


Name = Annotated[str, typer.Argument(help="An experiment that dipops paper list shows.")]
Names = Annotated[list[str], typer.Argument(help="Experiments that dipops paper list shows, or all.")]
Data = Annotated[Path, typer.Option(envvar="DIPOPS_DATA", help="Folder of the paper's pictures and weights.")]
Out = Annotated[Path, typer.Option(help="Folder of finished runs.")]
Seeds = Annotated[int, typer.Option(min=1, help="Runs of everything that draws at random.")]
Crop = Annotated[int | None, typer.Option(help="Cut pictures to the middle of so many pixels; such tables say so.")]
Part = Annotated[float, typer.Option("--steps", help="Make this part of each recipe's steps; such tables say so.")]
Light = Annotated[bool, typer.Option("--light", help="Take the light settings in place of the paper's.")]
Layers = Annotated[str | None, typer.Option(help="Of the pre-images only these layers, with commas.")]
Pictures = Annotated[int | None, typer.Option(min=1, help="Of each experiment only the first so many; tables say so.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this system; give it once for each.")]


@app.command("list")
def show(names: Annotated[list[str] | None, typer.Argument(help="Only these, with every picture and system.")] = None) -> None:
    """Show every experiment: its name, pictures, systems, and the figures that the paper prints."""
    told = map(_in_full, map(experiment, names)) if names else map(_in_brief, EXPERIMENTS.values())
    typer.echo("\n".join(told))


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
    """Run experiments. What is finished is not run again; a run that was ended goes on with the same command."""
    if scheduler is not None and workers is not None:
        raise BadValue("--scheduler and --workers", "one of them", "workers of a running scheduler are its own")
    if device is not Device.auto and (scheduler is not None or workers is not None):
        raise BadValue(f"--device {device.value} beside workers", "none, each takes its own", "leave --device out")
    tasks = plan(names, seeds, _size(crop, steps, light), _split(layers), only, pictures)
    require_runnable(tasks, data)
    store = Store(out)
    if scheduler is None and workers is None:
        run_tasks(tasks, store, data, str(place(device)), progress=not quiet)
    else:
        with cluster(scheduler, workers) as client:
            run_on(client, tasks, store, data, progress=not quiet)
    shown = f"dipops paper table {tasks[0].experiment} --out {out}{tasks[0].size.options}"
    say(quiet, f"{len(tasks)} runs in {out}; see them with {shown}")


@app.command()
def inputs(
    name: Name,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for them.")] = Path("inputs"),
    crop: Crop = None,
) -> None:
    """Write what the systems of an experiment are given, noisy, small or with black holes, for a system of your own."""
    row = experiment(name)
    require_pictures(data, row.cases)
    make_folder(output)
    for case in row.cases:
        images.save(output / f"{case.name}.png", row.posed(case.name, data, crop).y[0])
    typer.echo(f"{len(row.cases)} pictures in {output}")


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
    """Print the table of an experiment: what the paper prints, what was run here, and the oracle apart."""
    row, size, store = experiment(name), _size(crop, steps, light), _store(out)
    found = tables.finished(row, store)
    made = tables.every_run(row, found) if form is Form.runs else tables.table(row, size, found, store, data)
    forms = {Form.markdown: made.markdown, Form.csv: made.csv, Form.runs: made.csv, Form.latex: made.latex}
    typer.echo(forms[form](), nl=False)


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
    row, size, store = experiment(name), _size(crop, steps, light), _store(out)
    draw(output, figures.figure(row, size, tables.finished(row, store), store, data))
    typer.echo(f"Look at {output}")


@app.command()
def report(
    data: Data,
    out: Out = Path("paper"),
    output: Annotated[Path, typer.Option(help="The page.")] = Path("paper.html"),
) -> None:
    """Write one page with all that was run: tables, figures, pictures before and after, curves, settings."""
    require_writable(output)
    count = write_report(output, _store(out), data)
    typer.echo(f"{count} experiments; look at {output}")


@app.command()
def score(
    name: Name,
    data: Data,
    images: Annotated[Path, typer.Option(help="Folder of pictures, each named like a picture of the experiment.")],
    csv: Annotated[Path | None, typer.Option(help="Where to write the scores too.")] = None,
) -> None:
    """Score pictures of another system by the experiment's protocol."""
    made = scoring.score(experiment(name), images, data)
    if csv is not None:
        write_whole(csv, lambda file: file.write(made.csv().encode()))
    typer.echo(made.markdown(), nl=False)


def _size(crop: int | None, steps: float, light: bool) -> Size:
    return Size(crop, steps, Variant.LIGHT if light else Variant.PAPER)


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]


def _store(out: Path) -> Store:
    if not (out / MARK).is_file():
        raise BadValue(f"no runs in {out}", "a folder that dipops paper run has filled", "name it with --out")
    return Store(out)


def _in_full(row: Experiment) -> str:
    pictures, systems = (f"  {case.name}" for case in row.cases), (f"  {name}" for name in row.contestants)
    return "\n".join([f"{row.name}: {row.title}", row.source, "pictures:", *pictures, "systems:", *systems])


def _in_brief(row: Experiment) -> str:
    names = list(row.contestants)
    systems = ", ".join(names) if len(names) <= 6 else f"{len(names)} systems"
    printed = ", ".join(f"{one.system} {one.value:.2f}" for one in row.printed)
    pictures = f"{len(row.cases)} pictures; {systems}{f'; printed: {printed}' if printed else ''}"
    return f"{row.name:<18} {row.title}\n{'':<18} {pictures}"
