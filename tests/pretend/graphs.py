"""CUDA graphs of the pretend GPU: the operations of a recording, made again by each replay."""

import threading
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils._pytree import tree_leaves

from tests.pretend.device import GPU, Facts, exchanged, generator_of, note, perform, storage_of, thread
from tests.pretend.hooks import library


class Stream:
    """The order of its work is the host's."""

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.device = GPU

    def wait_stream(self, stream: "Stream") -> None:
        pass

    def synchronize(self) -> None:
        note("synchronize")

    def is_capturing(self) -> bool:
        return thread.tape is not None


_USUAL = Stream()


class _Streams(threading.local):
    current = _USUAL


_streams = _Streams()


class stream:  # noqa: N801  (its name in torch.cuda)
    """Within it, the stream is the current one of this thread."""

    def __init__(self, used: Stream | None) -> None:
        self._used = used

    def __enter__(self) -> None:
        self._before, _streams.current = _streams.current, self._used or _streams.current

    def __exit__(self, *of_error: object) -> None:
        _streams.current = self._before


def default_stream(device: Any = None) -> Stream:
    return _USUAL


def current_stream(device: Any = None) -> Stream:
    return _streams.current


class CUDAGraph:
    """Recording leaves no numbers, as a GPU computes nothing then: what it changed is put back, what it made is NaN."""

    def __init__(self, keep_graph: bool = False) -> None:
        self._registered: list[Generator] = []
        self._operations: list[tuple[Facts, list[Any], dict[str, Any], list[Tensor | None]]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # by storage
        self._made: dict[int, Tensor] = {}
        self._failed = False

    def register_generator_state(self, generator: Generator) -> None:
        self._registered.append(generator.graphsafe_get_state())

    def capture_begin(self, *_: Any, **__: Any) -> None:
        if _streams.current is _USUAL:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self._states = [generator.get_state() for generator in self._registered]
        self._one_thread = torch.autograd.set_multithreading_enabled(False)  # for the backward pass to be in this one
        thread.tape = self

    def capture_end(self) -> None:
        thread.tape = None
        self._one_thread.__exit__(None, None, None)
        for storage, content in self._before.values():
            storage.copy_(content)
        for storage in self._made.values():
            if storage.is_floating_point() or storage.is_complex():
                storage.fill_(torch.nan)
        for generator, state in zip(self._registered, self._states, strict=True):
            generator.set_state(state)
        if self._failed:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    def refuse(self) -> None:
        self._failed = True
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def record(self, facts: Facts, args: list[Any], kwargs: dict[str, Any], hosts: list[Tensor]) -> Any:
        """Compute, and keep what a replay needs: numbers of the host as they are now, generators by their state."""
        for host in hosts:
            args, kwargs = exchanged(args, kwargs, host, host.clone())
        generator = generator_of(facts, args, kwargs)
        if generator is not None:
            args, kwargs = exchanged(args, kwargs, generator, self._state_of(generator))
        for tensor in _tensors([args[place] if isinstance(place, int) else kwargs[place] for place in facts.changes]):
            self._keep(tensor)
        out = perform(facts, args, kwargs)
        if not facts.is_view:
            given = {_storage(tensor) for tensor in _tensors((args, kwargs))}
            fresh = [None if _storage(tensor) in given else tensor for tensor in _tensors(out)]
            self._made.update({_storage(tensor): _whole(tensor) for tensor in fresh if tensor is not None})
            self._operations.append((facts, args, kwargs, fresh))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for facts, args, kwargs, fresh in self._operations:
            for kept, made in zip(fresh, _tensors(perform(facts, args, kwargs)), strict=True):
                if kept is not None:
                    kept.copy_(made)

    def reset(self) -> None:
        self._operations.clear()

    def _state_of(self, generator: Generator) -> Generator:
        assert library
        for registered in self._registered:
            if library.share_state(registered._cdata, generator._cdata):
                return registered
        self._failed = True
        raise RuntimeError("Attempt to increase offset for a CUDA generator not in capture mode.")

    def _keep(self, tensor: Tensor) -> None:
        """What a storage from before the recording holds."""
        storage = _storage(tensor)
        if storage not in self._made and storage not in self._before:
            whole = _whole(tensor)
            self._before[storage] = whole, whole.clone()


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _storage(tensor: Tensor) -> int:
    return storage_of(tensor)._cdata


def _whole(tensor: Tensor) -> Tensor:
    """All that is in the storage of a tensor."""
    return torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
