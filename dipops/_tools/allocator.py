"""Memory that a loop frees and takes again stays with the process meanwhile."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # numbers of glibc's malloc.h
_NEVER, _USUAL_MAPS, _MIB = -1, 65536, 2**20


@contextmanager
def reused_memory(prior: nn.Module) -> Iterator[None]:
    """Within this, freed memory is kept for the next that wants it, and given back to the system at the end.

    Each step of a network frees its maps and takes as many again. The C library of Linux gives blocks of some megabytes back
    at once, and the system clears every page anew: a quarter of a step of the paper's network at 256 x 256 pixels. Other C
    libraries are left as they are; so are GPUs, for which PyTorch keeps memory by itself. Of two within each other, the inner
    one's end is the end of both: nothing breaks, the rest is as slow as without.

    Memory that is kept is not always where the next map fits, and a process becomes up to a half larger than its tensors. So
    nothing is kept where a module of the prior has ``recompute`` set, which asks for memory at the cost of time.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    spares = any(getattr(module, "recompute", False) for module in prior.modules())
    if spares or library is None or not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MAPS)
        library.mallopt(_MMAP_THRESHOLD, 32 * _MIB)  # the largest that glibc comes to by itself, as most processes do
        library.mallopt(_TRIM_THRESHOLD, 64 * _MIB)
        library.malloc_trim(0)
