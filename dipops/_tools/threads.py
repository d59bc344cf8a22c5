"""The number of threads that PyTorch computes in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_users = 0
_before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this, the operations of this Python thread compute in one thread, and so give the same bits on every machine.

    Python threads that start meanwhile would inherit this, and so might the next user: the number is therefore that from before
    the first of several users, and is set again as each of them ends.
    """
    before = _change_users(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _change_users(-1)
        torch.set_num_threads(before)


def _change_users(change: int) -> int:
    """Count the users; returns the number of threads from before the first of them."""
    global _users, _before
    with _lock:
        if _users == 0:
            _before = torch.get_num_threads()
        _users += change
        return _before
