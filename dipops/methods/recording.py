"""Steps that are recorded once as a CUDA graph and replayed, which saves the time between their operations."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_REHEARSALS = 3
_MOST_CHANGES = 2  # in a row: the first comparison is with nothing, and the first step may keep something for the others
_MODE = "thread_local"  # other threads may read from the GPU meanwhile
_one_at_a_time = Lock()
_INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
_WAITING = {
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "bincount", "histc", "unique_consecutive"),
    *("_unique2", "unique_dim", "_linalg_check_errors", "_linalg_eigvals"),
}


@runtime_checkable
class Phased(Protocol):
    """An optimiser that does something else from some step on; a recording holds for one phase.

    Attributes:
        counter: the option of its groups in which it counts its steps; a replay, in which ``step`` is not called, counts there.
        phase: what the next step does; compared with ==.
    """

    counter: str

    @property
    def phase(self) -> object: ...


class RecordedStep:
    """One step of descent, which is replayed while it is known to be the same every time.

    The first three steps of a phase are made one operation at a time. Where the second and the third ask for the same
    operations, on the same tensors and with the same numbers, the fourth is recorded; otherwise none is, nor where one reads
    values from the GPU, draws random numbers on the CPU, or cannot be recorded. Before each replay the plain attributes of
    what takes part in the step are compared with those at its recording; where one has changed, the phase begins anew.

    Args:
        step: makes a step.
        optimizer: moves the parameters in it.
        modules: prior and operator.
        generators: those from which it draws on the GPU.
        refusal: why it may not be recorded; None if it may.

    Attributes:
        refusal: why it is not recorded.
        replays: whether the last step was a replay; the tensors that it made are then overwritten by the next one.
    """

    def __init__(
        self,
        step: Callable[[], None],
        optimizer: Optimizer,
        modules: Sequence[nn.Module],
        generators: Sequence[torch.Generator],
        refusal: str | None,
    ) -> None:
        self._step, self._optimizer, self.refusal = step, optimizer, refusal
        self._generators = {_identity(generator): generator for generator in generators}
        self._watched = [
            each for module in modules for each in module.modules() if not type(each).__module__.startswith("torch.")
        ]
        self._stream = None if refusal else torch.cuda.Stream(_place(optimizer))
        self._was_recorded = False
        self._marks: Marks = {}
        self._changes = 0
        self.forget()

    @property
    def replays(self) -> bool:
        return self._graph is not None

    def __str__(self) -> str:
        if self.refusal is not None:
            return f"eager: {self.refusal}"
        return "captured" if self._was_recorded else "eager: too few steps"

    def forget(self) -> None:
        """Drop the recording, as when tensors of the step were replaced."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._made = 0
        self._rehearsal: _Operations | None = None

    def __call__(self) -> None:
        """Make a step."""
        if self._stream is None or self.refusal:
            self._step()
            return
        changed = self._changed_mark()
        self._changes = self._changes + 1 if changed else 0
        if changed:
            self.forget()
        self._made += 1
        if self._changes > _MOST_CHANGES:
            self.refusal = f"{changed} changes from step to step"
            self._step()
        elif self._graph is not None:
            self._graph.replay()
            if isinstance(self._optimizer, Phased):
                for group in self._optimizer.param_groups:
                    group[self._optimizer.counter] += 1
        elif self._made <= _REHEARSALS:
            self._rehearse(self._stream)
        else:
            self._record(self._stream)

    def _changed_mark(self) -> str | None:
        """Which plain value in the optimiser, the prior or the operator is another one than before, if any."""
        before, self._marks = self._marks, marks(self._optimizer, self._watched)
        if before == self._marks:
            return None
        return next((name for (_, name), mark in self._marks.items() if before.get((_, name), self) != mark), "an attribute")

    def _rehearse(self, stream: torch.cuda.Stream) -> None:
        """Make a step, and from the second one note its operations."""
        if self._made == 1:
            with _after_the_current_one(stream):  # alone, for it may compile something, or make the optimiser's state
                self._step()
            return
        draws = _states_on_cpu()
        with _after_the_current_one(stream), _Operations() as noted:
            self._step()
        self._generators |= noted.generators
        if self._rehearsal is not None:
            self.refusal = noted.obstacle or _difference(self._rehearsal.lines, noted.lines)
        if draws != _states_on_cpu():
            self.refusal = "random numbers of the CPU"
        self._rehearsal = noted  # which holds the tensors from outside that a recording reads

    def _record(self, stream: torch.cuda.Stream) -> None:
        """Record a step, which does not make it, and replay it."""
        generators = list(self._generators.values())
        states = [generator.clone_state() for generator in generators]
        groups = [{key: value for key, value in group.items() if key != "params"} for group in self._optimizer.param_groups]
        graph = torch.cuda.CUDAGraph()
        try:
            for generator in generators:
                graph.register_generator_state(generator)
            # a failing recording does not leave its stream by itself
            with _one_at_a_time, torch.cuda.stream(stream), torch.cuda.graph(graph, stream=stream, capture_error_mode=_MODE):
                self._step()
        except RuntimeError as error:
            self.refusal = _first_cause(error)
            for generator, state in zip(generators, states, strict=True):
                generator.graphsafe_set_state(state)  # the old state may still count as being recorded
            for group, before in zip(self._optimizer.param_groups, groups, strict=True):
                group.update(before)
            self._step()
        else:
            graph.replay()
            self._graph, self._was_recorded = graph, True


def prepare(optimizer: Optimizer, scheduled: bool) -> None:
    """Have an optimiser count its steps on the GPU, and read its rates there if a schedule changes them."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
        if scheduled:
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=_place(optimizer))


def rates_as_numbers(optimizer: Optimizer, schedule: LRScheduler | None) -> None:
    """Take the rates back from the GPU, where an optimiser that is not recorded would wait for them."""
    for group in optimizer.param_groups:
        for name in ("lr", "initial_lr"):
            if isinstance(group.get(name), Tensor):
                group[name] = float(group[name])
    for each in [schedule, *getattr(schedule, "_schedulers", ())]:
        if hasattr(each, "base_lrs"):
            each.base_lrs = list(map(float, each.base_lrs))


Marks = dict[tuple[int, str], object]


def marks(optimizer: Optimizer, modules: Sequence[nn.Module]) -> Marks:
    """The plain values that a step may depend on, by name, and which tensors it may read."""
    found: Marks = {}
    left_out = {"params"}
    if isinstance(optimizer, Phased):
        found[0, "the phase"] = optimizer.phase
        left_out.add(optimizer.counter)
    for index, group in enumerate(optimizer.param_groups):
        found |= {(index, f"the optimiser's {name}"): _mark(value) for name, value in group.items() if name not in left_out}
    if not type(optimizer).__module__.startswith(("torch.", "dipops.")):
        found |= _marks_of(optimizer)
        plain = [value for state in optimizer.state.values() if isinstance(state, dict) for value in state.values()]
        found[0, "the optimiser's state"] = [_mark(value) for value in plain if not isinstance(value, Tensor)]
    for module in modules:
        found |= _marks_of(module)
    return found


def _marks_of(thing: object) -> Marks:
    return {(id(thing), f"{type(thing).__name__}.{name}"): _mark(value) for name, value in vars(thing).items()}


def _mark(value: object) -> object:
    """A plain value as it is, a container by what is in it, and anything else by its identity."""
    if value is None or isinstance(value, bool | int | float | complex | str):
        return value
    if isinstance(value, list | tuple):
        return [_mark(item) for item in value]
    if isinstance(value, dict):
        return {key: _mark(item) for key, item in value.items()}
    return id(value)


def _states_on_cpu() -> tuple[object, ...]:
    """Those of the random numbers of Python, NumPy and PyTorch."""
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def _first_cause(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return str(error).split("\n")[0]


def _place(optimizer: Optimizer) -> torch.device:
    return optimizer.param_groups[0]["params"][0].device


@contextmanager
def _after_the_current_one(stream: torch.cuda.Stream) -> Iterator[None]:
    """Work in a stream, after what the current one has to do and before what it is given next."""
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        yield
    current.wait_stream(stream)


class _Operations(TorchDispatchMode):
    """Notes each operation within it as a line: its tensors and numbers, and whether the host takes part in it.

    Attributes:
        lines: one for each operation. A tensor from outside is told by its storage, one that was made within by its shape.
        obstacle: what cannot be recorded, or None.
        generators: those of the GPU from which something was drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.obstacle: str | None = None
        self.generators: dict[int, torch.Generator] = {}
        self._made: set[int] = set()
        self._outside: dict[int, Tensor] = {}  # held, so that no other tensor takes their place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "profiler":
            return func(*args, **kwargs)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        line = f"{func} {tree_map(self._told, (args, kwargs))}"
        result = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._made |= {_storage(tensor) for tensor in tensors} - {_storage(tensor) for tensor in given}
        self.lines.append(line)
        if _waits(func, args) or len({tensor.device.type for tensor in given + tensors}) > 1:
            self.obstacle = self.obstacle or f"{func} moves numbers between CPU and GPU"
        return result

    def _told(self, argument: object) -> object:
        if isinstance(argument, torch._C.Generator):
            if argument.device.type == "cuda":
                self.generators[_identity(argument)] = argument
            return f"generator {_identity(argument)}"
        if not isinstance(argument, Tensor):
            return argument
        if _storage(argument) not in self._made:
            self._outside[_storage(argument)] = argument
        storage = "made" if _storage(argument) in self._made else _storage(argument)
        place = (argument.stride(), argument.storage_offset()) if argument.layout is torch.strided else argument.layout
        return f"{argument.dtype} {tuple(argument.shape)} {place} {storage}"


def _waits(func: Any, args: Any) -> bool:
    """Whether the CPU needs to know what is in a tensor."""
    name = func._schema.name.removeprefix("aten::")
    masks = name in _INDEXING and any(index is not None and index.dtype is torch.bool for index in args[1])
    return masks or name in _WAITING


def _identity(generator: torch.Generator) -> int:
    return generator._cdata  # pyright: ignore[reportAttributeAccessIssue]


def _storage(tensor: Tensor) -> int:
    """What tells a tensor's memory apart; a sparse one is itself."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)


def _difference(first: list[str], second: list[str]) -> str | None:
    """Which operation differs between two steps, or None."""
    pairs = zip_longest(first, second, fillvalue="the-number-of-operations")
    return next((f"{pair[1].split()[0]} differs from step to step" for pair in pairs if pair[0] != pair[1]), None)
