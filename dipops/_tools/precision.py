"""What a generator computes in."""

from enum import Enum

import torch
from torch import Tensor


class Precision(Enum):
    """What a generator computes in. The loss and what is learned are never less precise than the problem.

    FULL: all in the precision of the problem. MIXED: convolutions in bfloat16, their weights, the statistics of
    normalisation, the output and the loss in float32: about twice as fast on processors that have bfloat16 and several times
    slower on others; as good a picture, of which single pixels differ.
    """

    FULL = "full"
    MIXED = "mixed"


def fastest(y: Tensor) -> Precision:
    """MIXED for float32 where the processor computes in bfloat16, else FULL."""
    mixed = y.dtype is torch.float32 and (_gpu_has_bfloat16(y) if y.is_cuda else y.device.type == "cpu" and _cpu_has_bfloat16())
    return Precision.MIXED if mixed else Precision.FULL


def _gpu_has_bfloat16(y: Tensor) -> bool:
    return torch.cuda.get_device_capability(y.device) >= (8, 0)


def _cpu_has_bfloat16() -> bool:
    found = getattr(torch.cpu, "get_capabilities", dict)()  # an older PyTorch does not tell
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
