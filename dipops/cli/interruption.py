"""Ctrl-C and SIGTERM: a command ends with one line that says what was saved and how to go on."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any


class Interrupted(Exception):
    """A command that was ended from outside; its text says what was saved."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


@contextmanager
def interruptible(saved: Callable[[], str]) -> Iterator[None]:
    """Within it Ctrl-C and SIGTERM raise Interrupted with what ``saved`` says then."""
    try:
        yield
    except KeyboardInterrupt as error:
        by_signal = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        raise Interrupted(f"interrupted: {saved()}", 128 + by_signal) from None


def with_interruption(command: Callable[..., None]) -> Callable[..., None]:
    """A command that says on Ctrl-C that nothing was saved, unless it says more by itself."""

    @wraps(command)
    def wrapped(**values: Any) -> None:
        with interruptible(lambda: NOTHING):
            command(**values)

    return wrapped


NOTHING = "nothing was saved; give the command again to start again"


def saved_in(checkpoint: Path | None) -> str:
    """What a checkpoint holds, in words."""
    if checkpoint is None:
        return "nothing was saved; --checkpoint FILE saves a run"
    if not checkpoint.exists():
        return f"{checkpoint} was not written yet; give the command again to start again"
    return f"the run is saved in {checkpoint}; give the same command again to go on"


@contextmanager
def handled_termination() -> Iterator[None]:
    """Within it SIGTERM is treated like Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: object) -> None:
    raise Terminated
