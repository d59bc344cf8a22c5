"""What PyTorch's Python asks about a GPU, while the pretend one is on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._pytree import tree_map_only

from tests.pretend import device, graphs
from tests.pretend.hooks import library


def _no_state(device: Any = None) -> torch.Tensor:
    return torch.zeros(16, dtype=torch.uint8)


_CUDA: dict[str, Any] = {
    "_lazy_init": lambda: None,
    "_is_in_bad_fork": lambda: False,
    "_exchange_device": lambda device: 0,
    "_maybe_exchange_device": lambda device: 0,
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "get_device_name": lambda device=None: "pretend GPU",
    "get_device_capability": lambda device=None: (9, 0),
    "is_bf16_supported": lambda including_emulation=True: True,
    "memory_allocated": lambda device=None: 0,
    "max_memory_allocated": lambda device=None: 0,
    "mem_get_info": lambda device=None: (2**36, 2**36),
    "reset_peak_memory_stats": lambda device=None: None,
    "empty_cache": lambda: None,
    "manual_seed": lambda seed: None,
    "manual_seed_all": lambda seed: None,
    "get_rng_state": _no_state,
    "set_rng_state": lambda state, device=None: None,
    "synchronize": lambda device=None: device_waits(),
    "is_current_stream_capturing": lambda: device.thread.tape is not None,
    "current_stream": graphs.current_stream,
    "default_stream": graphs.default_stream,
    "stream": graphs.stream,
    "Stream": graphs.Stream,
    "CUDAGraph": graphs.CUDAGraph,
}


_load = torch.load


def _loaded(*args: Any, map_location: Any = None, **options: Any) -> Any:
    """What torch.load gives; its storages cannot be on the pretend GPU, and are brought there as tensors."""
    if map_location is None or torch.device(map_location).type != "cuda":
        return _load(*args, map_location=map_location, **options)
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to("cuda"), _load(*args, map_location="cpu", **options))


def device_waits() -> None:
    device.note("synchronize")


_factories = device.register()


@contextmanager
def pretended() -> Iterator[None]:
    """Within it, in all threads, there is a GPU; its tensors may be kept for a later time."""
    assert library
    with ExitStack() as stack:
        library.pretend(True)
        stack.callback(library.pretend, False)
        stack.enter_context(patch.multiple(torch.cuda, **_CUDA))
        stack.enter_context(patch.object(torch.backends.cuda, "is_built", lambda: True))
        stack.enter_context(patch.object(torch, "load", _loaded))
        stack.enter_context(patch.object(torch.accelerator, "current_stream", graphs.current_stream))
        stack.enter_context(patch.object(torch._C, "_host_emptyCache", lambda: None, create=True))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))  # for a count to see the line of a backward pass
        device.waits.clear()
        yield
