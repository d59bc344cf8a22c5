"""Tensors of the pretend GPU, and what its operations refuse and count."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")

# operations whose result, or whose size, the host has to know
_WAITS = {
    "_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "bincount", "histc", "repeat_interleave",
    "unique_consecutive", "_unique2", "unique_dim", "_linalg_eigvals", "_linalg_eigh", "_linalg_svd", "_linalg_check_errors",
}  # fmt: skip
_INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
_FACTORIES = (
    "empty.memory_format", "empty_strided", "arange.start_step", "range.step", "linspace", "logspace", "eye", "eye.m",
    "randperm", "randperm.generator", "tril_indices", "triu_indices",
    "copy_",  # to what torch.tensor has made, by which it does not dispatch to Python
)  # fmt: skip
_QUICK = {  # operations that PyTorch's Python calls in the same way, and in less time
    "add", "sub", "mul", "div", "neg", "abs", "sqrt", "exp", "maximum", "minimum", "mm", "bmm", "mv", "dot",
    "add_", "sub_", "mul_", "div_", "addcmul_", "addcdiv_", "lerp_", "copy_", "zero_", "fill_", "clone", "detach", "view",
    "expand", "t", "transpose", "permute", "unsqueeze", "squeeze", "select", "sum", "mean", "clamp", "flip", "roll",
}  # fmt: skip
_LISTS = (list, tuple)
_RESHAPING = {"resize_", "resize_as_", "set_", "squeeze_", "unsqueeze_", "t_", "transpose_", "as_strided_"}
_UNDECLARED = {"native_batch_norm": (3, 4)}  # its running statistics
_EAGER: dict[Any, Any] = {  # for within a dispatch nobody looks at the flag that these set
    torch.ops.aten._conj.default: torch.ops.aten.conj_physical.default,
    torch.ops.aten._neg_view.default: torch.ops.aten.neg.default,
}
_PACKAGE = f"{Path(__file__).parents[2] / 'dipops'}/"

waits: Counter[str] = Counter()  # by what, and by the line of dipops that asked for it


class Tape(Protocol):
    """A graph that takes up the operations of its thread."""

    def refuse(self) -> None: ...
    def record(self, facts: "Facts", args: list[Any], kwargs: dict[str, Any], hosts: list[Tensor]) -> Any: ...


class _Thread(threading.local):
    tape: Tape | None = None


thread = _Thread()


@dataclass(frozen=True, slots=True)
class Facts:
    """What all calls of an operation have in common; the arguments that it changes by place, or by name."""

    call: Callable[..., Any]
    name: str
    changes: tuple[int | str, ...]
    returned: int | str | None
    is_view: bool
    draws: bool
    may_wait: bool


_facts: dict[int, Facts] = {}  # by the id of the operation, whose hash is slow


def _facts_of(call: Any) -> Facts:
    schema, name = call._schema, call._schema.name.removeprefix("aten::")
    if name in _RESHAPING:
        raise NotImplementedError(f"{call}, which changes a shape in place, on the pretend GPU")
    changes = tuple(
        argument.name if argument.kwarg_only else place
        for place, argument in enumerate(schema.arguments)
        if argument.alias_info and argument.alias_info.is_write
    )
    aliases = [result.alias_info for result in schema.returns if result.alias_info]
    returned = changes[0] if any(alias.is_write for alias in aliases) else None
    draws = any(argument.name == "generator" for argument in schema.arguments)
    is_view = bool(aliases) and not changes and call not in _EAGER
    changes = changes or _UNDECLARED.get(name, ())
    may_wait = name in _WAITS or name in _INDEXING or name == "_to_copy"
    quick = name in _QUICK and "out" not in call._overloadname
    function = getattr(Tensor, name) if quick else _EAGER.get(call, call)._op
    _facts[id(call)] = facts = Facts(function, name, changes, returned, is_view, draws, may_wait)
    return facts


_wrapper: Callable[..., Any] = Tensor._make_wrapper_subclass


class OnGpu(Tensor):
    """A tensor on the pretend GPU; ``numbers`` holds what is in it, on the CPU."""

    numbers: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGpu":
        if inner.layout is torch.strided:
            place = inner.stride(), inner.storage_offset(), None
            made = _wrapper(cls, inner.size(), *place, inner.dtype, torch.strided, GPU)
        else:
            made = _wrapper(cls, inner.size(), dtype=inner.dtype, device=GPU)
        made.numbers = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return _run(call, args, kwargs or {})

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """By this Module.to knows that it cannot put it into ``param.data``."""
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], context: Any, size: Any, stride: Any) -> "OnGpu":
        return OnGpu(inner["numbers"])

    def __repr__(self, **_: Any) -> str:
        return f"{self.numbers!r} on {self.device}"

    def tolist(self) -> Any:
        note("tolist")
        return self.numbers.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        return self.detach().cpu().numpy(force=True)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.numbers.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return storage_of(self.numbers)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnGpu":
        if id(self) not in memo:
            if not self.is_leaf:
                raise RuntimeError("Only Tensors created explicitly by the user support the deepcopy protocol at the moment")
            made = OnGpu(self.numbers.detach().clone()).requires_grad_(self.requires_grad)
            made.__dict__.update({name: value for name, value in self.__dict__.items() if name != "numbers"})
            made.grad = None if self.grad is None else self.grad.__deepcopy__(memo)
            memo[id(self)] = made
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        note("save")
        parts = self.numbers.detach().clone(), self.dtype, str(self.device), self.requires_grad
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, parts


def storage_of(numbers: Tensor) -> torch.UntypedStorage:
    """The memory of a tensor on the CPU, or of the values of a sparse one."""
    return (numbers if numbers.layout is torch.strided else numbers.values()).untyped_storage()


def note(what: str) -> None:
    """Count what makes the host wait for the device, unless a graph is being recorded, which refuses it."""
    if thread.tape:
        thread.tape.refuse()
    waits[f"{what} at {_line()}"] += 1


def _line() -> str:
    """The innermost line of dipops."""
    frame = sys._getframe(2)
    while frame and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename.removeprefix(_PACKAGE)}:{frame.f_lineno}" if frame else "no line of dipops"


def _run(call: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """An operation with tensors of the pretend GPU, or that makes one."""
    facts = _facts.get(id(call)) or _facts_of(call)
    hosts: list[Tensor] = []
    inner_args = [_inner(value, hosts) for value in args]
    inner_kwargs = {name: _inner(value, hosts) for name, value in kwargs.items()} if kwargs else {}
    stays, target = True, inner_kwargs.get("device")
    if target is not None:
        stays = torch.device(target).type == "cuda"
        inner_kwargs["device"] = CPU if stays else target
    if hosts or facts.may_wait:
        _take_note(facts, args, hosts, stays)
    if thread.tape:
        out = thread.tape.record(facts, inner_args, inner_kwargs, hosts)
    else:
        out = perform(facts, inner_args, inner_kwargs) if facts.draws else facts.call(*inner_args, **inner_kwargs)
    if facts.returned is not None:
        return args[facts.returned] if isinstance(facts.returned, int) else kwargs[facts.returned]
    return _wrapped(out) if stays else out


def _inner(value: Any, hosts: list[Tensor]) -> Any:
    """The same with inner tensors; those of the host are put into ``hosts``."""
    if isinstance(value, OnGpu):
        return value.numbers
    if isinstance(value, Tensor):
        hosts.append(value)
    elif isinstance(value, _LISTS):
        return [_inner(item, hosts) for item in value]
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return OnGpu(value)
    return type(value)(map(_wrapped, value)) if isinstance(value, _LISTS) else value


def _take_note(facts: Facts, args: Sequence[Any], hosts: list[Tensor], stays: bool) -> None:
    """Refuse what a GPU refuses, and count what makes the host wait."""
    name = facts.name
    if hosts and name == "copy_":
        note("copy to the GPU" if isinstance(args[0], OnGpu) else "copy to the host")
    elif hosts and any(host.ndim and not _indexes(name, host, args) for host in hosts):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu in {name}")
    elif name == "_to_copy" and not stays:
        note("copy to the host")
    elif name in _WAITS or (name in _INDEXING and _finds(name, args)):
        note(name)


def _indexes(name: str, host: Tensor, args: Sequence[Any]) -> bool:
    """Whether a tensor of the host is the index of one on the GPU, to which it is copied."""
    indexes = name in _INDEXING and isinstance(args[0], OnGpu) and any(host is index for index in args[1])
    if indexes:
        note("index copied to the GPU")
    return indexes


def _finds(name: str, args: Sequence[Any]) -> bool:
    """Whether the places where a mask is true must be counted first; not for one number put where it is."""
    indices = [index for index in args[1] if index is not None]
    masks = any(index.dtype is torch.bool for index in indices)
    return masks and not ("put" in name and len(indices) == 1 and args[2].numel() == 1)


def perform(facts: Facts, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """An operation on inner tensors; a generator of the pretend GPU lends its state to one of the CPU."""
    generator = generator_of(facts, args, kwargs)
    if generator is None:
        return facts.call(*args, **kwargs)
    if generator.device.type != "cuda":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    lent = Generator()
    lent.set_state(generator.get_state())
    args, kwargs = exchanged(args, kwargs, generator, lent)
    out = facts.call(*args, **kwargs)
    generator.set_state(lent.get_state())
    return out


def generator_of(facts: Facts, args: Sequence[Any], kwargs: dict[str, Any]) -> Generator | None:
    """The generator of an operation that draws with one."""
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Generator)), None) if facts.draws else None


def exchanged(args: Sequence[Any], kwargs: dict[str, Any], old: Any, new: Any) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with another in the place of one."""
    return [new if value is old else value for value in args], {k: new if v is old else v for k, v in kwargs.items()}


def register() -> torch.library.Library:
    """Let operations without tensors make theirs on the pretend GPU, for as long as the library that is returned lives."""
    library = torch.library.Library("aten", "IMPL")
    for name in _FACTORIES:
        packet, _, overload = name.partition(".")
        library.impl(name, partial(_make, getattr(getattr(torch.ops.aten, packet), overload or "default")), "CUDA")
    return library


def _make(call: Any, *args: Any, **kwargs: Any) -> Any:
    return _run(call, args, kwargs)
