"""Files that the build makes from the code."""

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt


def put(path, text):
    """Write only what changed, so that a second build is quick."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def draw(folder, *drawings):
    """The figure of each function as an SVG of its name, with the same bytes for the same drawing."""
    folder.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "dipops"
    for drawing in drawings:
        figure = drawing()
        figure.savefig(folder / f"{drawing.__name__}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)
