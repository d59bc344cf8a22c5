"""The progress bar."""

import sys
from functools import cache
from typing import Any
from warnings import catch_warnings, simplefilter


def progress_bar(steps: int, shown: bool, unit: str = "step", done: int = 0) -> Any:
    """A tqdm bar for a terminal or a notebook, or a silent one; into a file it writes a line every half minute at most.

    A bar below another one disappears when it is full.
    """
    interactive = sys.stderr.isatty() or "ipykernel" in sys.modules
    return _tqdm()(
        total=steps,
        initial=done,
        disable=not shown,
        unit=unit,
        dynamic_ncols=True,
        mininterval=0.1 if interactive else 30,
        leave=None,
    )


@cache
def _tqdm() -> Any:
    """The kind of bar that suits a terminal or a notebook, imported at its first use."""
    with catch_warnings():
        simplefilter("ignore")  # of a notebook without ipywidgets, where the bar is text
        from tqdm.auto import tqdm
    return tqdm
