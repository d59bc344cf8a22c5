"""Arguments and options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from typer import Argument, Option

from dipops.cli.outputs import require_inputs
from dipops.errors import BadValue
from dipops.recipes import Settings
from dipops.solver.solve import require_steps

PriorName = Literal["dip", "tv", "tikhonov", "none"]
LABELS: dict[PriorName, str] = {"dip": "DIP", "tv": "TV", "tikhonov": "Tikhonov", "none": "none"}
Device = Literal["auto", "cpu", "cuda"]
InputImage = Annotated[Path, Argument(metavar="INPUT", help="Image to read: PNG, JPEG, TIFF or WebP.", callback=require_inputs)]
OutputImage = Annotated[
    Path, Argument(metavar="OUTPUT", help="Image to write; its record, OUTPUT.dipops.json, is written next to it.")
]
DipSettings = Annotated[Settings, Option("--recipe", help="Settings of the deep image prior; the paper's take far longer.")]
DeviceOption = Annotated[Device, Option(help="Where to compute; auto uses CUDA where it is available.")]
Force = Annotated[bool, Option("--force", help="Replace inputs and files that dipops did not write.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print nothing and show no progress bar.")]


@dataclass(frozen=True)
class RunOptions:
    """How a command runs."""

    steps: Annotated[int | None, Option(min=1, help="Number of steps; by default the recipe's.")] = None
    seed: Annotated[int, Option(help="Seed of all random numbers.")] = 0
    device: DeviceOption = "auto"
    force: Force = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        """Refuse a number of steps that no solve could make."""
        if self.steps is not None:
            require_steps(self.steps)


def torch_device(name: Device) -> torch.device:
    """The device of that name; "auto" is CUDA where it is available."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise BadValue("--device cuda", "a machine with CUDA", "use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def parse_int(text: str, name: str, advice: str = "round it") -> int:
    """The integer that ``text`` is, or BadValue."""
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "an integer", advice) from None
