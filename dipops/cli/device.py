"""The device to compute on."""

from typing import Literal

import torch

from dipops.errors import BadValue

Device = Literal["auto", "cpu", "cuda"]


def torch_device(name: Device) -> torch.device:
    """The device of that name; "auto" is CUDA where it is available."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise BadValue("--device cuda", "a machine with CUDA", "use --device auto or cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
