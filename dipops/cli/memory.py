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

_BYTES = 4
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "Storage size calculation overflowed")
_ASKED = re.compile(r"allocate (\d+ bytes|[\d.]+ [KMGTPE]?i?B)")
_SMALLER = "use a smaller image, fewer runs, or a smaller network; in Python, Hourglass(recompute=True)"


def require_memory(values: int, what: str, advice: str) -> None:
    """Refuse so many float32 values with BadValue where this machine cannot hold them."""
    total = _total()
    if values * _BYTES > total:
        came = f"{what}, which takes {values * _BYTES / 1e9:.3g} GB"
        raise BadValue(came, f"at most the {total / 1e9:.3g} GB of this machine", advice)


def values_of_a_run(problem: Problem, prior: Prior) -> int:
    """The values that a run keeps at least: the image, and each parameter with its gradient and the moments of Adam."""
    started = deepcopy(prior)
    started.start(problem, [0])
    return problem.y.numel() + 4 * sum(parameter.numel() for parameter in started.parameters())


def memory_error(error: BaseException) -> BadValue | None:
    """The error of a command that ran out of memory, or None where ``error`` is another one."""
    if not isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) and not any(word in str(error) for word in _WORDS):
        return None
    asked = _ASKED.search(str(error))
    came = f"not enough memory for {asked[1]} more" if asked else "not enough memory"
    return BadValue(came, "a problem that fits", _SMALLER)


def _total() -> float:
    """Bytes of memory that this process may use, infinity where it cannot be told."""
    limits = [math.inf]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if _LIMIT.is_file() and (text := _LIMIT.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits)
