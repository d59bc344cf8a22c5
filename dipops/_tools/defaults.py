"""What the caller has set for PyTorch, and what dipops computes in whatever that is."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_AUTOCAST_DEVICES = [device for device in ("cpu", "cuda", "mps", "xpu") if torch.amp.is_autocast_available(device)]


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Within this, autocast is off, and tensors are created on the CPU where nothing else is said, in this thread alone.

    The default dtype is one for all threads, and is left as it is: whatever dipops creates says its own.
    """
    with ExitStack() as stack:
        for device in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
