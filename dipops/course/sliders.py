"""A slider that draws a figure anew, in a notebook."""

import os
from collections.abc import Callable, Sequence

from dipops.errors import BadValue


def slide(draw: Callable[[float], None], label: str, values: Sequence[float], value: float) -> None:
    """Draw a figure for the value of a slider, in Jupyter with ipywidgets; elsewhere for one value.

    ``DIPOPS_SLIDERS=0`` in the environment draws one value everywhere, as pages on paper need it.

    Args:
        draw: makes the figure by matplotlib.
        label: in front of the slider.
        values: that the slider has.
        value: one of them, to begin with.

    Raises:
        BadValue: the value is none of them.
    """
    if value not in values:
        raise BadValue(f"value = {value!r}", f"one of {list(values)}"[:80], "begin with one that the slider has")
    if os.environ.get("DIPOPS_SLIDERS") == "0" or not _show_slider(draw, label, values, value):
        draw(value)


def _show_slider(draw: Callable[[float], None], label: str, values: Sequence[float], value: float) -> bool:
    """Whether there was a notebook, and ipywidgets, to show a slider."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
        from ipywidgets import SelectionSlider, VBox, interactive_output
    except ImportError:
        return False
    if getattr(get_ipython(), "kernel", None) is None:
        return False
    options = [(f"{each:g}", each) for each in values]
    slider = SelectionSlider(options=options, value=value, description=label, continuous_update=False)

    def redraw(value: float) -> None:
        import matplotlib.pyplot as plt

        draw(value)
        plt.show()

    display(VBox([slider, interactive_output(redraw, {"value": slider})]))
    return True
