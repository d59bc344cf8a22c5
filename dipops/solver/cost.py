"""What a solve will cost, from a few of its steps."""

import statistics
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from dipops._tools.allocator import reused_memory
from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import float32_of_steps, full_float32
from dipops._tools.seeds import stream
from dipops.methods import Iteration, Method, Slowing, default_method
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.solver.solve import own_problem, require_solvable

_PROBES = 5
_UNTIMED = 4  # in which a step is recorded on CUDA
_ENOUGH = 2.0
_SNAPSHOTS = 2


@dataclass(frozen=True)
class Estimate:
    """What a solve will cost; it prints as a sentence.

    Attributes:
        steps: number of steps at most.
        seconds: until they are done.
        bytes: of the tensors that are held at once. A process on a CPU is larger: by what Python and PyTorch need themselves,
            and by up to a half with a network, since memory is kept for the next step.
    """

    steps: int
    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"at most {duration(self.seconds)} ({self.steps} steps); memory about {self.memory}"

    @property
    def memory(self) -> str:
        """The bytes in words."""
        return byte_size(self.bytes)


@usual_defaults()
@full_float32()
@torch.inference_mode(False)
def estimate(problem: Problem, prior: Prior, method: Method | None = None, steps: int | None = None) -> Estimate:
    """Seconds and bytes of ``solve(problem, prior, method, steps=steps)``, from a few of its steps.

    Nothing is changed. Seconds are the median step times the steps, without averages and stopping rules, which cost little
    in comparison with a network; a method whose first steps cost more than the others, as Muon's do, is overestimated. Bytes
    are those of the state and its two copies, the measurements, the gradients, and what is saved for the backward pass; on a
    GPU they are PyTorch's peak.

    Args:
        problem, prior, method, steps: as for ``solve``.

    Raises:
        as ``solve`` before its first step.
    """
    require_solvable(problem, prior, method, (), steps)
    method = method or default_method(problem, prior)
    problem = own_problem(problem, method)
    prior, iteration = start(problem, prior, method)
    with reused_memory(not prior.recompute), float32_of_steps(iteration.precision):
        size = _step_bytes(problem, prior, iteration)
        for _ in range(_UNTIMED if problem.y.is_cuda else 0):
            iteration.step(False)
        seconds: list[float] = []
        while len(seconds) < _PROBES and sum(seconds) < _ENOUGH:
            seconds.append(_step_seconds(iteration, problem.y))
    if isinstance(iteration, Slowing):
        size += _SNAPSHOTS * _size(iteration.state_dict())
    return Estimate(steps or method.steps, (steps or method.steps) * statistics.median(seconds), size)


def start(problem: Problem, prior: Prior, method: Method) -> tuple[Prior, Iteration]:
    """A copy of the prior, and the iteration of a solve with it from seed 0 before its first step."""
    members = range(len(problem.y))
    prior = deepcopy(prior)
    prior.start(problem, members)
    return prior, method.start(problem, prior, [stream(k, "perturbation", problem.y.device) for k in members])


def _step_bytes(problem: Problem, prior: Prior, iteration: Iteration) -> int:
    """Bytes that a step holds at its peak."""
    if problem.y.is_cuda:
        others = torch.cuda.memory_allocated(problem.y.device) - _size(iteration.state_dict()) - problem.y.nbytes
        torch.cuda.reset_peak_memory_stats(problem.y.device)
        iteration.step(True)
        return torch.cuda.max_memory_allocated(problem.y.device) - others
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(count, _same):
        iteration.step(True)
    gradients = sum(parameter.nbytes for parameter in prior.parameters() if parameter.grad is not None)
    return sum(storages.values()) + gradients + problem.y.nbytes + _size(iteration.state_dict())


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _step_seconds(iteration: Iteration, y: Tensor) -> float:
    started = time.perf_counter()
    iteration.step(False)
    if y.is_cuda:
        torch.cuda.synchronize(y.device)
    return time.perf_counter() - started


def _size(state: Any) -> int:
    """Bytes of all tensors in nested dicts and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_size, values))


def duration(seconds: float) -> str:
    """Seconds in words, such as 17 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def byte_size(count: float) -> str:
    """Bytes in words, such as 25 MB."""
    unit, name = next(((unit, name) for unit, name in ((1e12, "TB"), (1e9, "GB")) if count >= unit), (1e6, "MB"))
    return f"{count / unit:.2g} {name}" if count < 100 * unit else f"{count / unit:.0f} {name}"
