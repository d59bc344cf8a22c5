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
Device = Literal["auto", "cpu", "cuda", "mps"]
InputImage = Annotated[Path, Argument(metavar="INPUT", help="Image to read: PNG, JPEG, TIFF or WebP.", callback=require_inputs)]
OutputImage = Annotated[
    Path, Argument(metavar="OUTPUT", help="Image to write; its record, OUTPUT.dipops.json, is written next to it.")
]
DipSettings = Annotated[Settings, Option("--recipe", help="Settings of the deep image prior; the paper's take far longer.")]
DeviceOption = Annotated[Device, Option(help="Where to compute; auto uses CUDA where it is available, mps is Apple's GPU.")]
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
    """The device of that name; "auto" is CUDA where it is available, else the CPU, for MPS has no float64."""
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[name]:
        machine = "a machine with CUDA" if name == "cuda" else "a Mac with a GPU, and a PyTorch with MPS"
        raise BadValue(f"--device {name}", machine, "use --device auto or cpu")
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    return torch.device(name)


def parse_int(text: str, name: str, advice: str = "round it") -> int:
    """The integer that ``text`` is, or BadValue."""
    try:
        return int(text)
    except ValueError:
        raise BadValue(f"{name} = {text}", "an integer", advice) from None
