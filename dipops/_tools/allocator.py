"""Freed memory that stays with the process while a solve runs."""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH = "DIPOPS_REUSE_MEMORY"
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # numbers of glibc's malloc.h
_NEVER, _DEFAULT_MAPS, _MIB = -1, 65536, 2**20
_lock = threading.Lock()
_users = 0


@contextmanager
def reused_memory(enabled: bool = True) -> Iterator[None]:
    """Within this, freed memory is kept for the next block that needs it, and given back to the system at the end.

    Each step of a network frees its maps and allocates as many again. The C library of Linux gives blocks of some megabytes
    back at once, and the system clears every page anew: a quarter of a step of the paper's network at 256 x 256 pixels. Other
    C libraries stay as they are, and so do GPUs, for which PyTorch keeps memory by itself.

    This sets three options of the C library's malloc for the whole process, other threads included, and resets them to glibc's
    own largest values when the last of several solves has ended. The process becomes up to a half larger than its tensors. The
    environment variable DIPOPS_REUSE_MEMORY=0 switches it off.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not enabled or os.environ.get(SWITCH) == "0" or library is None or not hasattr(library, "mallopt"):
        yield
        return
    _change_users(library, 1)
    try:
        yield
    finally:
        _change_users(library, -1)


def _change_users(library: ctypes.CDLL, change: int) -> None:
    global _users
    with _lock:
        _users += change
        if change > 0 and _users == 1:
            library.mallopt(_MMAP_MAX, 0)
            library.mallopt(_TRIM_THRESHOLD, _NEVER)
        elif _users == 0:
            library.mallopt(_MMAP_MAX, _DEFAULT_MAPS)
            library.mallopt(_MMAP_THRESHOLD, 32 * _MIB)
            library.mallopt(_TRIM_THRESHOLD, 64 * _MIB)
            library.malloc_trim(0)
