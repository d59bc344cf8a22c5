"""What a network computes in."""

from typing import Literal

import torch
from torch import Tensor

Precision = Literal["full", "mixed"]


def fastest_precision(y: Tensor) -> Precision:
    """Mixed precision for float32 where the processor computes in bfloat16, else full."""
    has_bfloat16 = y.dtype is torch.float32 and (
        _gpu_has_bfloat16(y) if y.is_cuda else y.device.type == "cpu" and _cpu_has_bfloat16()
    )
    return "mixed" if has_bfloat16 else "full"


def _gpu_has_bfloat16(y: Tensor) -> bool:
    return torch.cuda.get_device_capability(y.device) >= (8, 0)


def _cpu_has_bfloat16() -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # missing in an older PyTorch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
