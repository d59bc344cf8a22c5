"""Writes the pages of measured figures: parts of benchmarks/results, and what solves cost."""

import re
from pathlib import Path

import torch
from written import put

from dipops import DeepImagePrior, Identity, Problem, TotalVariation, recipes
from dipops._tools.tables import markdown
from dipops.solver.cost import estimate
from dipops.testing.laws import DERIVATIVE_LAWS, FIRST_LAWS, LINEAR_LAWS

_RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
_SIZES = (64, 128, 256)


def write(folder):
    """Write a file for each part that a page includes."""
    folder.mkdir(exist_ok=True)
    for page in ("dip", "tv", "core", "features", "speed", "gpu", "operators", "priors", "whole", "classical"):
        source = _RESULTS / f"{page}.md"
        if source.exists():
            for title, text in _sections(source.read_text()):
                put(folder / f"{page}-{_slug(title)}.md", text)
    put(folder / "bytes.md", bytes_held())
    put(folder / "laws.md", laws())


def laws():
    """A table of every law and its docstring."""
    texts = {law.__name__: " ".join(law.__doc__.split()) for law in (*FIRST_LAWS, *LINEAR_LAWS, *DERIVATIVE_LAWS)}
    return markdown(["law", "says"], [(name, re.sub(r"`+", "`", text)) for name, text in texts.items()]) + "\n"


def bytes_held():
    """A table of the memory of a step, counted by ``estimate`` while these pages are built."""
    rows = []
    for side in _SIZES:
        problem = Problem(Identity((3, side, side)), torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)))
        light = recipes.denoise()
        costs = [
            estimate(problem, TotalVariation(0.1), steps=1),
            estimate(problem, light.prior, light.method, steps=1),
            estimate(problem, DeepImagePrior(), steps=1),
        ]
        rows.append([f"{side} x {side}", *(f"{cost.bytes / 1e6:.0f} MB" for cost in costs)])
    return markdown(["pixels", "TV", "DIP, light", "DIP, the paper's"], rows) + "\n"


def _sections(text):
    """Titles and texts of the sections; the text before the first is called "about"."""
    text = re.sub(r"\A# .+\n", "## about\n", text)
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        yield title, re.sub(r"!\[(.*?)\]\((.*?)\)", r"![\1](../benchmarks/results/\2)", body.strip()) + "\n"


def _slug(title):
    """The first three words of a title, joined by hyphens."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())[:3])
