"""A submission in a process of its own: the checks run here, on stand-ins of what it handed in."""

import contextlib
import errno
import io
import math
import os
import pickle
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor, nn

from dipops.course.checks import GradingError, InView
from dipops.course.remote import operator_class
from dipops.course.sandbox import Limits
from dipops.course.wire import BadMessage, Message, decoded, encoded, read_message, stand_in, write_message
from dipops.operators import LinearOrDifferentiableOperator

_ROOT = Path(__file__).parents[2]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from dipops.course.child import main; main()"
_HIDDEN = _ROOT / "dipops" / "course"
"""Where the checks are: what a submission needs of it, its process has loaded."""
_LOOK = 0.5
_BLOCK = 4096
_ASKED = ("forward", "jvp", "vjp")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Ended(BaseException):
    """The process of a submission has ended or was ended; no check goes on, so it is no Exception."""


class Submission:
    """The cells of a submission, run; what it handed in is called over a pipe.

    Attributes:
        faults: what its cells raised, a line each.

    Args:
        codes: of its cells.
        limits: of the process.
        until: when it is ended, by ``time.monotonic()``.
        stop: ends it too, once it is set.

    Raises:
        Ended: its cells took too long, or ended the process.
    """

    faults: tuple[str, ...] = ()

    def __init__(self, codes: list[str], limits: Limits, until: float, stop: Event) -> None:
        self.limits, self.until, self.stop = limits, until, stop
        self.folder = Path(tempfile.mkdtemp(prefix="dipops-grade-"))
        self.process = _started(self.folder)
        self._sink: Any = self.process.stdin
        self._source: Any = self.process.stdout
        self._cell, self._in_view, self._refusal = 0, [], None
        self._answers: dict[str, list[str]] = {}
        try:
            self._begin(codes)
        except BaseException:
            self.end()
            raise

    def answer(self, exercise: str) -> Any:
        """What stands for the answer to an exercise: a function, a class of operators, or an object without use.

        Raises:
            KeyError: none was handed in.
        """
        kind, name, *written = self._answers[exercise]
        if kind == "blank":
            return ...
        if kind in ("linear", "differentiable"):
            return operator_class(self.call, exercise, name, kind, written)
        if kind == "function":
            return lambda *arguments: self.call({"do": "call", "name": exercise}, arguments)
        return stand_in(name) if kind == "class" else stand_in(name)()

    def handed_in(self, exercise: str) -> bool:
        """Whether there is an answer."""
        return exercise in self._answers

    def call(self, what: dict[str, Any], arguments: tuple[Any, ...]) -> Any:
        """What a call in the process of the submission gives; the networks among its arguments take over their weights.

        Raises:
            Ended: the process ended, did not answer in time, or sent what is no answer.
            Exception: of the name and text of what the call raised.
        """
        nonce, self._refusal = secrets.token_hex(8), None
        head, blobs = self._exchange({**what, "id": nonce}, [self._pickled(arguments)], nonce)
        try:
            if "error" in head:
                name, text = map(str, head["error"])
                raise self._refusal or _exception(name)(text)
            value = decoded(head["value"], blobs)
            for argument, change in zip(arguments, head["changed"], strict=True):
                _take_over(argument, decoded(change, blobs))
        except (KeyError, ValueError, TypeError, RuntimeError, BadMessage) as error:
            raise _no_answer() from error
        return value

    def end(self) -> None:
        """End its processes, and remove what they wrote."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for stream in (self._sink, self._source):
            with contextlib.suppress(OSError):
                stream.close()
        _remove(self.folder)

    def _begin(self, codes: list[str]) -> None:
        nonce = secrets.token_hex(8)
        start = pickle.dumps((codes, self.limits, self.folder, _readable(), _HIDDEN))
        head, _ = self._exchange({"id": nonce}, [start], nonce)
        try:
            answers = {str(name): [str(part) for part in answer] for name, answer in head["ready"].items()}
            if not all(len(answer) >= 2 for answer in answers.values()):
                raise _no_answer()
            self._answers = answers
            self.faults = tuple(map(str, head["faults"][:50]))
        except (KeyError, TypeError, AttributeError) as error:
            raise _no_answer() from error

    def _exchange(self, head: dict[str, Any], blobs: list[bytes], nonce: str) -> Message:
        """Send a message, and wait for the one that answers it; meanwhile the process may ask for an operator's values."""
        message = self._within(partial(self._sent, head, blobs))
        while message[0].get("id") != nonce:
            if "ask" in message[0]:
                message = self._within(partial(self._sent, *self._value(*message)))
            else:
                if isinstance(cell := message[0].get("cell"), int):
                    self._cell = cell
                message = self._within(partial(read_message, self._source))
        self._cell = 0
        return message

    def _sent(self, head: dict[str, Any], blobs: list[bytes]) -> Message:
        write_message(self._sink, head, blobs)
        return read_message(self._source)

    def _value(self, head: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """What an operator that stayed here gives, as a message."""
        try:
            operator, method = self._in_view[head["ask"]], head["method"]
            tensors = decoded(head["tensors"], blobs)
            if method not in _ASKED:
                raise _no_answer()
            results: list[bytes] = []
            return {"value": encoded(getattr(operator, method)(*tensors), results)}, results
        except GradingError as error:
            self._refusal = error
            return {"refused": str(error)}, []
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, BadMessage) as error:
            raise _no_answer() from error

    def _within(self, exchange: Callable[[], Message]) -> Message:
        """What an exchange gives, which nobody waits for longer than the process may take."""
        future = _in_thread(exchange)
        while not future.done():
            left = self.until - time.monotonic()
            if left <= 0:
                raise Ended(f"{self._where()} took too long")
            if self.stop.is_set():
                raise Ended("the grading was interrupted")
            if _size(self.folder) + _size_unlinked(self.process.pid) > self.limits.folder:
                raise Ended(f"{self._where()} wrote more than {self.limits.folder >> 20} MB")
            with contextlib.suppress(TimeoutError):
                future.exception(min(_LOOK, left))
        try:
            return future.result()
        except BadMessage as error:
            raise _no_answer() from error
        except (EOFError, OSError, ValueError) as error:
            raise Ended(f"{self._where()} ended the process") from error

    def _where(self) -> str:
        return f"cell {self._cell}" if self._cell else "it"

    def _pickled(self, arguments: tuple[Any, ...]) -> bytes:
        file = io.BytesIO()
        _Pickler(file, self._in_view).dump(list(arguments))
        return file.getvalue()


@contextmanager
def submitted(codes: list[str], limits: Limits, until: float, stop: Event) -> Iterator[Submission]:
    """A submission whose process ends with the block."""
    submission = Submission(codes, limits, until, stop)
    try:
        yield submission
    finally:
        submission.end()


class _Pickler(pickle.Pickler):
    """Writes arguments for the other process, but for operators whose calls a check looks at: those are asked from there."""

    def __init__(self, file: io.BytesIO, in_view: list[LinearOrDifferentiableOperator]) -> None:
        super().__init__(file)
        self.in_view = in_view

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, InView):
            return None
        operator: Any = obj
        if operator not in self.in_view:
            self.in_view.append(operator)
        return self.in_view.index(operator), operator.in_shape, operator._like

    def reducer_override(self, obj: Any) -> Any:
        return (_generator, (obj.get_state(),)) if isinstance(obj, torch.Generator) else NotImplemented


def _generator(state: Tensor) -> torch.Generator:
    return torch.Generator().set_state(state)


def _started(folder: Path) -> subprocess.Popen[bytes]:
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), str(folder))
    drawing = {"MPLBACKEND": "Agg", "MPLCONFIGDIR": _font_cache()}
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=folder,
        env={"PATH": os.defpath, **system, **places, **drawing, **dict.fromkeys(_THREADS, "1")},
        start_new_session=True,
    )


def _font_cache() -> str:
    import matplotlib as mpl

    return mpl.get_configdir()


def _readable() -> list[Path]:
    return [_ROOT / "dipops", Path(torch.__file__).parents[1]]


def _in_thread(exchange: Callable[[], Message]) -> "Future[Message]":
    """What an exchange will give; a thread that waits for ever does not keep Python from ending."""
    future: Future[Message] = Future()

    def run() -> None:
        try:
            future.set_result(exchange())
        except BaseException as error:  # the one who waits raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _take_over(network: Any, weights: Any) -> None:
    """Give a network the weights that it has in the other process."""
    if isinstance(network, nn.Module) and weights is not None:
        own = network.state_dict()
        network.load_state_dict({name: weights[name].to(value.dtype).view_as(value) for name, value in own.items()})


def _exception(name: str) -> type[Exception]:
    return type(stand_in(name).__name__, (Exception,), {})


def _size(folder: Path) -> float:
    """Bytes of all files in a folder, each at least a block; infinite where folders are nested too deeply to be read."""
    sizes, left = 0, [str(folder)]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    sizes += max(_BLOCK, entry.stat(follow_symlinks=False).st_size)
                    left += [entry.path] if entry.is_dir(follow_symlinks=False) else []
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return math.inf
    return sizes


def _size_unlinked(process: int) -> int:
    """Bytes of the files that a process holds open and that no folder lists any more (Linux)."""
    sizes = 0
    for descriptor in Path(f"/proc/{process}/fd").glob("*"):
        with contextlib.suppress(OSError):
            status = descriptor.stat()
            sizes += status.st_size if stat.S_ISREG(status.st_mode) and not status.st_nlink else 0
    return sizes


def _remove(folder: Path) -> None:
    """Remove a folder with all that is in it, however deeply nested."""
    if os.name == "posix":
        subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _no_answer() -> Ended:
    return Ended("it sent an invalid reply")
