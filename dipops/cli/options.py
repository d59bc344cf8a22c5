"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from dipops.cli.runs import Device, PriorName
from dipops.errors import BadValue
from dipops.recipes import Variant

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


def whole(text: str, name: str, advice: str = "round it") -> int:
    """An integer, or BadValue."""
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "a whole number", advice) from None
