"""Arguments and options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from dipops.cli.device import Device
from dipops.errors import BadValue
from dipops.recipes import Variant

PriorName = Literal["dip", "tv", "tikhonov", "none"]
LABELS: dict[PriorName, str] = {"dip": "DIP", "tv": "TV", "tikhonov": "Tikhonov", "none": "none"}
InputImage = Annotated[Path, Argument(help="Image to read: PNG, JPEG, TIFF or WebP.")]
OutputImage = Annotated[Path, Argument(help="Image to write; a JSON record of the run is written next to it.")]
DipSettings = Annotated[
    Variant, Option("--recipe", help="Settings of the deep image prior: light, or the paper's, far slower.")
]
DeviceOption = Annotated[Device, Option(help="Where to compute; auto uses CUDA where it is available.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print nothing and show no progress bar.")]


@dataclass(frozen=True)
class RunOptions:
    """How a command runs."""

    steps: Annotated[int | None, Option(min=1, help="Number of steps; by default the recipe's.")] = None
    seed: Annotated[int, Option(help="Seed of all random numbers.")] = 0
    device: DeviceOption = "auto"
    quiet: Quiet = False


def parse_int(text: str, name: str, advice: str = "round it") -> int:
    """The integer that ``text`` is, or BadValue."""
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "an integer", advice) from None
