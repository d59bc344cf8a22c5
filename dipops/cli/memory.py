"""What does not fit in memory: refused where the size is known before, and told in one line where it is not."""

import math
import os
import re
from copy import deepcopy
from pathlib import Path

import torch

from dipops.errors import BadValue
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.solver.cost import byte_size

_BYTES = 4
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "Storage size calculation overflowed")
_ASKED = re.compile(r"allocate (\d+ bytes|[\d.]+ [KMGTPE]?i?B)")
SMALLER = "use a smaller image, or --tile 512 or --recompute where the command has them"


def require_memory(size: float, what: str, advice: str) -> None:
    """Refuse so many bytes with BadValue where this machine cannot hold them."""
    total = _total()
    if size > total:
        raise BadValue(f"{what}, which takes {byte_size(size)}", f"at most the {byte_size(total)} of this machine", advice)


def fits(size: float) -> bool:
    """Whether so many bytes leave half of the memory of this machine to others."""
    return size <= _total() / 2


def image_bytes(values: int) -> int:
    """Bytes of so many float32 values."""
    return _BYTES * values


def bytes_of_a_run(problem: Problem, prior: Prior) -> int:
    """The bytes that a run keeps at least: the image, and each parameter with its gradient and the moments of Adam."""
    started = deepcopy(prior)
    started.start(problem, [0])
    return image_bytes(problem.y.numel() + 4 * sum(parameter.numel() for parameter in started.parameters()))


def memory_error(error: BaseException) -> BadValue | None:
    """The error of a command that ran out of memory, or None where ``error`` is another one."""
    if not isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) and not any(word in str(error) for word in _WORDS):
        return None
    asked = _ASKED.search(str(error))
    came = f"not enough memory for {_in_words(asked[1])} more" if asked else "not enough memory"
    return BadValue(came, "a problem that fits", SMALLER)


def _in_words(size: str) -> str:
    return byte_size(int(size.split()[0])) if size.endswith("bytes") else size


def _total() -> float:
    """Bytes of memory that this process may use, infinity where it cannot be told."""
    limits = [math.inf]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if _LIMIT.is_file() and (text := _LIMIT.read_text().strip()).isdigit():
        limits.append(int(text))
    return min([*limits, _process_limit()])


def _process_limit() -> float:
    """Bytes of address space that the shell allows."""
    try:
        import resource
    except ImportError:  # on Windows
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if limit == resource.RLIM_INFINITY else limit
