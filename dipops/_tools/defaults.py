"""What the caller has set for PyTorch, and what dipops computes in whatever that is."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_lock = threading.Lock()
_users = 0
_before = torch.float32


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Within this, autocast is off, and tensors are created in float32 and on the CPU where nothing else is said.

    The default dtype is one for all threads: it is set back as the last of several users ends.
    """
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        _change_users(1)
        stack.callback(_change_users, -1)
        yield


def _change_users(change: int) -> None:
    global _users, _before
    with _lock:
        if _users == 0:
            _before = torch.get_default_dtype()
        _users += change
        torch.set_default_dtype(torch.float32 if _users else _before)
