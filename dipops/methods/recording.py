"""Steps that are recorded once as a CUDA graph and replayed, which saves the time between their operations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_REHEARSALS = 3


@runtime_checkable
class Phased(Protocol):
    """An optimiser that does something else from some step on; a recording holds for one phase.

    Attributes:
        phase: what the next step does; compared with ==.
    """

    @property
    def phase(self) -> object: ...

    def count_step(self) -> None:
        """Count a step that is replayed, in which ``step`` is not called."""
        ...


class RecordedStep:
    """One step of descent, which is replayed once it is known to be the same every time.

    The first steps of a phase are made one operation at a time. Where the second and the third asked for the same operations,
    on the same tensors and with the same numbers, the next one is recorded. All steps are made that way otherwise, and where
    the GPU cannot record them. A step that draws a number in Python, reads one from the GPU, or changes one from step to step
    is told by that; one that changes its course later is not.

    Args:
        step: makes a step.
        optimizer: moves the parameters in it.
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
        generators: Sequence[torch.Generator],
        refusal: str | None,
    ) -> None:
        self._step, self._optimizer, self._generators, self.refusal = step, optimizer, generators, refusal
        self._stream = None if refusal else torch.cuda.Stream(_place(optimizer))
        self._phase: object = None
        self._was_recorded = False
        self.forget()

    @property
    def replays(self) -> bool:
        return self._graph is not None

    def __str__(self) -> str:
        if self.refusal is not None:
            return f"eager: {self.refusal}"
        return "captured" if self._was_recorded else "eager: too few steps"

    def forget(self) -> None:
        """Drop the recording, as when tensors or numbers of the step were replaced."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rehearsals: list[list[str]] = []

    def __call__(self) -> None:
        """Make a step."""
        if isinstance(self._optimizer, Phased) and self._optimizer.phase != self._phase:
            self.forget()
            self._phase = self._optimizer.phase
        if self._stream is None or self.refusal:
            self._step()
        elif self._graph is not None:
            self._graph.replay()
            if isinstance(self._optimizer, Phased):
                self._optimizer.count_step()
        elif len(self._rehearsals) < _REHEARSALS:
            self._rehearse(self._stream)
        else:
            self._record(self._stream)

    def _rehearse(self, stream: torch.cuda.Stream) -> None:
        """Make a step and note its operations."""
        with _after_the_current_one(stream), _Operations() as noted:
            self._step()
        self._rehearsals.append(noted.lines)
        if len(self._rehearsals) == _REHEARSALS:
            self.refusal = noted.obstacle or _difference(*self._rehearsals[-2:])

    def _record(self, stream: torch.cuda.Stream) -> None:
        """Record a step, which does not make it, and replay it."""
        states = [generator.clone_state() for generator in self._generators]
        groups = [{key: value for key, value in group.items() if key != "params"} for group in self._optimizer.param_groups]
        graph = torch.cuda.CUDAGraph()
        try:
            for generator in self._generators:
                graph.register_generator_state(generator)
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._step()
        except RuntimeError as error:
            self.refusal = str(error).split("\n")[0]
            for generator, state in zip(self._generators, states, strict=True):
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
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.obstacle: str | None = None
        self._made: set[int] = set()  # a storage from outside lives on, so that no new one has its number

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
        if func._schema.name == "aten::_local_scalar_dense" or len({tensor.device.type for tensor in given + tensors}) > 1:
            self.obstacle = self.obstacle or f"{func} moves numbers between CPU and GPU"
        return result

    def _told(self, argument: object) -> object:
        if isinstance(argument, torch._C.Generator):
            return f"generator {argument._cdata}"  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(argument, Tensor):
            return argument
        place = "made" if _storage(argument) in self._made else _storage(argument)
        return f"{argument.dtype} {tuple(argument.shape)} {place}"


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _difference(first: list[str], second: list[str]) -> str | None:
    """Which operation differs between two steps, or None."""
    pairs = zip_longest(first, second, fillvalue="the-number-of-operations")
    return next((f"{pair[1].split()[0]} differs from step to step" for pair in pairs if pair[0] != pair[1]), None)
