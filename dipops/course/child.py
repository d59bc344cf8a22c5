"""The process of a submission: it runs the cells, says what was handed in, and answers calls. Nobody trusts what it says."""

import io
import os
import pickle
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from dipops.course.grading import called, record_answers
from dipops.course.notebooks import run_cells
from dipops.course.sandbox import limit, lock
from dipops.course.wire import METHODS, decoded, encoded, read_message, write_message
from dipops.errors import first_line
from dipops.operators import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator

_DRAWING = ("matplotlib", "plot")


def main() -> None:
    """Do what the process that started this one says on standard input, until that ends."""
    answers = _Answers(*_taken_streams())
    try:
        answers.begin()
        while True:
            answers.reply()
    except (EOFError, OSError):
        os._exit(0)


def _taken_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under other numbers; what the cells print or read goes nowhere."""
    streams = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    return streams  # pyright: ignore[reportReturnType]


class _Answers:
    """What was handed in, and the operators that were made of it."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self.source, self.sink = source, sink
        self.answers: dict[str, Any] = {}
        self.operators: list[dict[torch.dtype, Any]] = []

    def begin(self) -> None:
        """Run the cells within the limits, and say what was handed in."""
        head, blobs = read_message(self.source, trusted=True)
        codes, limits, folder, readable, hidden = pickle.loads(blobs[0])
        if any(word in code for code in codes for word in _DRAWING):
            import_module("matplotlib.pyplot")  # reads the fonts, which may not be read later
        _warm_up()
        limit(limits)
        if limits.locked:
            lock(folder, readable, hidden)
        with record_answers() as self.answers:
            faults = run_cells(codes, begin=lambda number: self._say({"cell": number}))
        ready = {name: _described(answer) for name, answer in self.answers.items()}
        self._say({"id": head["id"], "ready": ready, "faults": [fault[:200] for fault in faults[:50]]})

    def reply(self) -> None:
        """Answer one call."""
        head, blobs = read_message(self.source, trusted=True)
        reply: dict[str, Any] = {"id": head["id"]}
        results: list[bytes] = []
        try:
            arguments = _Arguments(io.BytesIO(blobs[0]), self._asked).load()
            reply["value"] = encoded(self._called(head, arguments), results)
            reply["changed"] = [_weights(argument, results) for argument in arguments]
        except BaseException as error:  # whatever a student's code raises
            reply, results = {"id": head["id"], "error": [type(error).__name__, first_line(error)[:300]]}, []
        self._say(reply, results)

    def _called(self, head: dict[str, Any], arguments: list[Any]) -> Any:
        if head["do"] == "call":
            return called(self.answers[head["name"]], tuple(arguments))
        if head["do"] == "make":
            operator = self.answers[head["name"]](*arguments)
            self.operators.append({torch.float32: operator})
            return [len(self.operators) - 1, list(operator.in_shape)]
        copies = self.operators[head["operator"]]
        dtype = arguments[0].dtype
        if dtype not in copies:
            copies[dtype] = deepcopy(copies[torch.float32]).to(dtype)
        with torch.no_grad():
            return getattr(copies[dtype], head["do"])(*arguments)

    def _asked(self, key: int, in_shape: tuple[int, ...], like: Tensor) -> "_InParent":
        return _InParent(key, in_shape, self._ask).to(like)

    def _ask(self, key: int, method: str, *tensors: Tensor) -> Any:
        blobs: list[bytes] = []
        self._say({"ask": key, "method": method, "tensors": encoded(list(tensors), blobs)}, blobs)
        head, got = read_message(self.source, trusted=True)
        if "refused" in head:
            raise RuntimeError(head["refused"])
        return decoded(head["value"], got)

    def _say(self, head: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        write_message(self.sink, head, blobs or [])


class _Arguments(pickle.Unpickler):
    """Reads the arguments of a call, which the trusted process sent; an operator that stayed there is asked for its values."""

    def __init__(self, file: io.BytesIO, asked: Callable[..., Any]) -> None:
        super().__init__(file)
        self.asked = asked

    def persistent_load(self, pid: Any) -> Any:
        return self.asked(*pid)


class _InParent(DifferentiableOperator):
    """An operator that lives in the other process."""

    def __init__(self, key: int, in_shape: tuple[int, ...], ask: Callable[..., Any]) -> None:
        super().__init__(in_shape)
        self.key, self.ask = key, ask

    def forward(self, x: Tensor) -> Tensor:
        return self.ask(self.key, "forward", x)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.ask(self.key, "jvp", x, u)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.ask(self.key, "vjp", x, v)


def _described(answer: Any) -> list[str]:
    """What an answer is, the name of its class or of itself, and the methods that it wrote itself where it is an operator."""
    if answer is ...:
        return ["blank", ""]
    if not isinstance(answer, type):
        return ["function" if callable(answer) else "object", type(answer).__name__]
    kinds = {"linear": LinearOperator, "differentiable": DifferentiableOperator, "class": object}
    kind = next(name for name, base in kinds.items() if issubclass(answer, base))
    written = [name for name in METHODS if getattr(answer, name, None) is not getattr(kinds[kind], name, None)]
    return [kind, answer.__name__, *written]


def _weights(argument: Any, blobs: list[bytes]) -> Any:
    """The weights of a network, which a call may have changed."""
    is_network = isinstance(argument, nn.Module) and not isinstance(argument, LinearOrDifferentiableOperator)
    return encoded(argument.state_dict(), blobs) if is_network else None


def _warm_up() -> None:
    """Load what PyTorch and SciPy load on their first use."""
    image = torch.rand(1, 1, 8, 8, requires_grad=True)
    nn.functional.conv2d(image, torch.ones(1, 1, 3, 3)).sum().backward()
    torch.func.jvp(torch.sin, (image.detach(),), (image.detach(),))
    torch.linalg.svd(torch.eye(3))
    optimiser = torch.optim.Adam([image])
    optimiser.step()
