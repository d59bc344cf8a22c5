"""What a solve will cost, from a few of its steps."""

import statistics
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dipops._tools.allocator import reused_memory
from dipops._tools.seeds import stream
from dipops.methods.default import default_method
from dipops.methods.interface import Iteration, Method, Slowing
from dipops.priors.interface import Prior
from dipops.problem import Problem
from dipops.solver.solve import require_solvable

_PROBES = 5
_ENOUGH = 2.0
_STATES = 2  # solve holds two of them to go back to, where a fault can be undone


@dataclass(frozen=True)
class Estimate:
    """What a solve will cost; it prints as a sentence.

    Attributes:
        steps: how many steps at most.
        seconds: until they are done.
        bytes: of the tensors that are held at once. A process on a CPU is larger: by what Python and PyTorch take themselves,
            and by up to a half with a network, since memory is kept for the next step.
    """

    steps: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"up to {self.steps} steps, {_time(self.seconds)}, {self.bytes / 1e9:.2g} GB of tensors"


def estimate(problem: Problem, prior: Prior, method: Method | None = None, steps: int | None = None) -> Estimate:
    """Seconds and bytes of ``solve(problem, prior, method, steps=steps)``, from up to five of its steps.

    Nothing is changed. Seconds are the median step times the steps, without averages and stop rules, which cost little
    beside a network; a method whose first steps are dearer than the others, as Muon's are, is thought dearer than it is.
    Bytes are of all tensors alive at once, on a CPU without the scratch memory inside single operations.

    Args:
        problem, prior, method, steps: as for ``solve``.

    Raises:
        as ``solve`` before its first step.
    """
    require_solvable(problem, prior, method, steps)
    method = method or default_method(problem, prior)
    prior, iteration = begun(problem, prior, method)
    with reused_memory(prior):
        held = _held_by(lambda: iteration.step(True), problem.y)
        seconds: list[float] = []
        while len(seconds) < _PROBES and sum(seconds) < _ENOUGH:
            seconds.append(_seconds_of(lambda: iteration.step(False), problem.y))
    if isinstance(iteration, Slowing):
        held += _STATES * _size(iteration.state_dict())
    return Estimate(steps or method.steps, (steps or method.steps) * statistics.median(seconds), held)


def begun(problem: Problem, prior: Prior, method: Method) -> tuple[Prior, Iteration]:
    """A copy of the prior, and the iteration of a solve of it from seed 0 before its first step."""
    members = range(len(problem.y))
    prior = deepcopy(prior)
    prior.start(problem, members)
    return prior, method.start(problem, prior, [stream(k, "perturbation", problem.y.device) for k in members])


def _held_by(step: Callable[[], object], y: Tensor) -> int:
    """Bytes that a step holds at its peak."""
    if y.is_cuda:
        torch.cuda.reset_peak_memory_stats(y.device)
        step()
        return torch.cuda.max_memory_allocated(y.device)
    with _Live() as live:
        step()
    return live.peak


class _Live(TorchDispatchMode):
    """Adds up the tensors that are alive after each operation.

    Attributes:
        peak: the most bytes so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._storages = {key: found for key, found in self._storages.items() if not found[0].expired()}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._storages.values()))
        return out


def _seconds_of(step: Callable[[], object], y: Tensor) -> float:
    begun = time.perf_counter()
    step()
    if y.is_cuda:
        torch.cuda.synchronize(y.device)
    return time.perf_counter() - begun


def _size(state: Any) -> int:
    """Bytes of all tensors in nested dicts and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_size, values))


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
