"""Independent streams of random numbers from one seed."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dipops.errors import BadType, require_integer


def stream(seed: int, purpose: str, place: torch.device | None = None) -> torch.Generator:
    """A generator for one purpose: two purposes share no numbers, although they share the seed.

    Without this the noise of a simulated measurement and the noise that a solver adds to its input would be the same
    numbers whenever both run from seed 0.
    """
    require_integer("seed", seed, 0, "choose another")
    (state,) = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1, np.uint64)
    return torch.Generator(place or "cpu").manual_seed(int(state >> np.uint64(1)))


class SeededDraws(TorchDispatchMode):
    """Within it, whatever this thread draws without a generator has the bits that it has after ``torch.manual_seed(seed)``.

    The global random state is neither read nor changed, so that other threads may draw, or do the same, meanwhile.

    Raises:
        BadType: within it, for a random operation that takes no generator, such as a fused dropout.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags or _has_generator(args, kwargs):
            return func(*args, **kwargs)
        place = next((value.device for value in args if isinstance(value, Tensor)), kwargs.get("device"))
        kwargs["generator"] = self._generator(torch.device(place or "cpu"))
        return _with_generator(func)(*args, **kwargs)

    def _generator(self, place: torch.device) -> Generator:
        if place not in self._generators:
            self._generators[place] = Generator("cpu" if place.type == "meta" else place).manual_seed(self._seed)
        return self._generators[place]


class GlobalDraws(TorchDispatchMode):
    """Within it, ``seen`` says whether this thread has drawn without a generator, as torch.rand does, but fused dropout not."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and not _has_generator(args, kwargs):
            self.seen |= any(map(_takes_generator, _overloads(func)))
        return func(*args, **kwargs)


def _has_generator(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(value, Generator) for value in (*args, *kwargs.values()))


def _overloads(func: Any) -> list[Any]:
    return [getattr(func.overloadpacket, name) for name in func.overloadpacket.overloads()]


def _with_generator(func: Any) -> Any:
    """The overload of an operation that takes the same arguments and a generator."""
    for overload in (func, *_overloads(func)):
        if _takes_generator(overload) and _others(overload) == _others(func):
            return overload
    raise BadType(f"{func}, which takes no generator", "draws such as torch.rand and nn.init", "draw in another way")


def _takes_generator(func: Any) -> bool:
    return any(argument.name == "generator" for argument in func._schema.arguments)


def _others(func: Any) -> list[tuple[str, str]]:
    """The names and types of what an operation takes besides a generator."""
    return [(argument.name, str(argument.type)) for argument in func._schema.arguments if argument.name != "generator"]
