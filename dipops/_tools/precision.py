"""What a network computes in, and what the products of float32 do."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

Precision = Literal["full", "mixed"]

_GETTER = "_get_fp32_precision_getter"
_OPERATIONS = ("all", "conv", "rnn", "matmul")
_SETTINGS = (("generic", "all"), *((backend, operation) for backend in ("cuda", "mkldnn") for operation in _OPERATIONS))
_lock = threading.Lock()
_users = 0
_switches = ExitStack()
_this_thread = threading.local()


def fastest_precision(y: Tensor) -> Precision:
    """Mixed precision for float32 where the processor computes in bfloat16, else full."""
    has_bfloat16 = y.dtype is torch.float32 and (
        _gpu_has_bfloat16(y) if y.is_cuda else y.device.type == "cpu" and _cpu_has_bfloat16()
    )
    return "mixed" if has_bfloat16 else "full"


def has_float64(place: torch.device) -> bool:
    """Whether a device computes in float64: Apple's GPUs do not."""
    return place.type != "mps"


def _gpu_has_bfloat16(y: Tensor) -> bool:
    return torch.cuda.get_device_capability(y.device) >= (8, 0)


def _cpu_has_bfloat16() -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # missing in an older PyTorch
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@contextmanager
def full_float32(full: bool = True) -> Iterator[None]:
    """Within this, matrix products and convolutions of float32 are computed in float32, not in TF32 or bfloat16.

    PyTorch's switches are those of the whole process: they are set for the first of several threads that are within this, and
    put back after the last one.

    Args:
        full: False for what the caller has set, within one that is True.
    """
    before = _use(full)
    try:
        yield
    finally:
        _use(before)


def float32_of_steps(precision: str) -> AbstractContextManager[None]:
    """Within ``full_float32``, what the steps of a solve are within: in mixed precision, what the caller has set."""
    return full_float32(not precision.startswith("mixed"))


def _use(full: bool) -> bool:
    """Whether this thread needs full float32 from now on; returns whether it did before."""
    global _users
    with _lock:
        before, _this_thread.full = getattr(_this_thread, "full", False), full
        users, _users = _users, _users + full - before
        if not users and _users:
            _switches.enter_context(_switched_to_full())
        elif users and not _users:
            _switches.close()
    return before


@contextmanager
def _switched_to_full() -> Iterator[None]:
    """Within this, all of PyTorch's switches stand at float32.

    PyTorch 2.9 brought new switches beside the old ones, and does not read an old one that contradicts the new: all are set.
    """
    settings = {names: _own_setting(*names) for names in _SETTINGS} if hasattr(torch._C, _GETTER) else {}
    _use_up_the_deprecation_warning()
    matmul = torch.get_float32_matmul_precision()
    backends: list[Any] = [backend for backend in (torch.backends.cudnn, torch.backends.mkldnn) if _allows_tf32(backend)]

    def set_all(allow_tf32: bool, matmul: str, settings: dict[tuple[str, str], str]) -> None:
        for backend in backends:
            backend.allow_tf32 = allow_tf32
        torch.set_float32_matmul_precision(matmul)
        for names, value in settings.items():
            torch._C._set_fp32_precision_setter(*names, value)

    set_all(False, "highest", dict.fromkeys(settings, "ieee"))
    try:
        yield
    finally:
        set_all(True, matmul, settings)


def _own_setting(backend: str, operation: str) -> str:
    """A new switch, where those that it may follow are "none"; it is left as "none" too."""
    value = torch._C._get_fp32_precision_getter(backend, operation)
    torch._C._set_fp32_precision_setter(backend, operation, "none")  # torch.backends.mkldnn.fp32_precision sets another one
    return value


def _allows_tf32(backend: Any) -> bool:
    """The old switch of a backend, where all new ones are "none"."""
    try:
        return bool(getattr(backend, "allow_tf32", False))
    except RuntimeError:  # it contradicts them
        return True


@cache
def _use_up_the_deprecation_warning() -> None:
    """PyTorch 2.9 warns once in a process that the old switches will go."""
    with warnings.catch_warnings(action="ignore"):
        torch.get_float32_matmul_precision()
