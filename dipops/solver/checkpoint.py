"""A solve saved in a file, and resumed from it.

The file is one line of JSON, the digest and the fingerprint of what is solved, and the state as PyTorch writes it, read with
``weights_only=True``: nothing in it is executed.
"""

import hashlib
import io
import json
import pickle
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from dipops._tools.files import package_version, write_target, write_whole
from dipops._tools.fingerprints import description, digest_of
from dipops.errors import BadFile, BadType
from dipops.methods import Iteration, Method
from dipops.priors import Prior
from dipops.problem import Problem

FORMAT = 1
Fingerprint = dict[str, str]
_PACE = 50
_ELSEWHERE = "name another checkpoint, or delete this one to start again"


class Checkpoint:
    """A file that holds the state of one solve; within ``with`` no other solve has it.

    Raises:
        BadFile: its folder is missing, or cannot be written to; on entering, another solve has it.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        if not path.parent.is_dir() or path.is_dir():
            raise BadFile(
                f"a checkpoint at {path}", "a file in a folder that exists", "make the folder, or choose another name"
            )
        self.path, self.fingerprint = path, fingerprint
        target = write_target(path)
        self._part = target.with_name(f".{target.name}.part")
        self._lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
        _require_writable(target.parent)
        self._next, self._tried = 0.0, False

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise BadFile(f"{self.path} is in use", "a checkpoint of one solve at a time", "name another checkpoint") from None
        except OSError as error:
            raise BadFile(
                f"cannot lock {self.path}: {error.strerror}", "a folder that takes locks", "choose another"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @property
    def due(self) -> bool:
        """Whether saving now costs about a fiftieth of the time since the last save."""
        return time.perf_counter() >= self._next

    def load(self, like: Tensor) -> dict[str, Any] | None:
        """The state in the file, which must be of the same solve, or None where there is no file.

        Raises:
            BadFile: it is no checkpoint, is cut off or changed, or is of another problem, prior, method, seed or version.
        """
        if not self.path.exists():
            return None
        line, _, payload = self.path.read_bytes().partition(b"\n")
        header = _header(self.path, line)
        if header["dipops checkpoint"] != FORMAT:
            raise BadFile(f"{self.path} has format {header['dipops checkpoint']}", f"format {FORMAT}", _ELSEWHERE)
        saved = header["fingerprint"]
        if header["digest"] != _digest(saved, payload):
            raise BadFile(f"{self.path} is cut off or was changed", "the digest in its first line", _ELSEWHERE)
        for name, expected in self.fingerprint.items():
            if saved.get(name) != expected:
                raise BadFile(f"{self.path} has {name} {saved.get(name)}", f"{name} {expected}", _ELSEWHERE)
        try:
            return torch.load(io.BytesIO(payload), weights_only=True, map_location=like.device)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise BadFile(f"{self.path} holds no plain tensors", "what this version writes", _ELSEWHERE) from error

    def save(self, state: dict[str, Any]) -> None:
        """Put a state in the file's place, whole or not at all.

        Raises:
            BadFile: the file cannot be written.
            BadType: the state holds what could not be read back.
        """
        started = time.perf_counter()
        try:
            self._write(state)
        finally:
            now = time.perf_counter()
            self._next = now + _PACE * (now - started)

    def _write(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        if not self._tried:
            _require_readable(payload)
            self._tried = True
        header = {"dipops checkpoint": FORMAT, "digest": _digest(self.fingerprint, payload), "fingerprint": self.fingerprint}
        line = json.dumps(header, ensure_ascii=False).encode() + b"\n"
        write_whole(self.path, lambda file: file.writelines((line, payload)), self._part)


def require_checkpoint(path: Path) -> None:
    """Refuse an existing file that is no checkpoint, with BadFile."""
    if path.exists():
        with path.open("rb") as file:
            _header(path, file.readline().removesuffix(b"\n"))


def fingerprint(
    problem: Problem, iteration: Iteration, prior: Prior, method: Method, callbacks: Sequence[object], seed: int
) -> Fingerprint:
    """What must be the same for a solve to continue: all that its steps depend on but their number.

    The iteration is that before the first step: its state holds the weights, rates and random states of the start.
    """
    tensors = {"y": problem.y, "weights": problem.weights, "truth": problem.truth}
    start = hashlib.sha256(description(iteration.state_dict()).encode()).hexdigest()[:16]
    return {
        "operator": description(problem.operator),
        "measurement": f"{tuple(problem.y.shape)} {problem.noise} "
        + digest_of({name: tensor for name, tensor in tensors.items() if tensor is not None}),
        "prior": description(prior),
        "method": f"{description(method)} from {start}",
        "callbacks": description(list(callbacks)),
        "seed": str(seed),
        "versions": f"dipops {package_version('dipops')}, torch {torch.__version__}",
        "device": problem.y.device.type,
    }


def _digest(fingerprint: Fingerprint, payload: bytes) -> str:
    text = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode() + b"\n" + payload).hexdigest()


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        if isinstance(header["fingerprint"], dict) and header.keys() >= {"dipops checkpoint", "digest"}:
            return header
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise BadFile(f"{path} is no checkpoint, or its beginning was changed", "a file that solve wrote", _ELSEWHERE)


def _require_writable(folder: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        came = f"no file can be written in {folder}: {error.strerror}"
        raise BadFile(came, "a folder that can be written to", "choose another") from error


def _require_readable(payload: bytes) -> None:
    try:
        torch.load(io.BytesIO(payload), weights_only=True)
    except pickle.UnpicklingError as error:
        came = f"a state with {str(error).splitlines()[-1] or 'objects'}"
        raise BadType(came, "tensors and plain values", "use an optimiser and a schedule that hold no others") from error
