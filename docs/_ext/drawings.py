"""Draws the classes, the house and the flow of data from the code itself."""

import ast
import dataclasses
import inspect
from pathlib import Path

import matplotlib.pyplot as plt
from written import draw

import dipops

_ROOTS = ("LinearOrDifferentiableOperator", "Prior")
_BOX = {"boxstyle": "round,pad=0.35", "facecolor": "#eef4fb", "edgecolor": "#2a6fb0"}
_PACKAGE = Path(dipops.__file__).parent


def write(folder):
    """classes.svg, house.svg, flow.svg and adjoint.svg."""
    draw(folder, classes, house, flow, adjoint)


def classes():
    """The public classes under operator and prior, by inheritance."""
    lines = [line for root in _ROOTS for line in _tree(getattr(dipops, root), 0)]
    figure, axes = plt.subplots(figsize=(7, 0.34 * len(lines)))
    for number, (depth, name) in enumerate(lines):
        axes.text(depth, -number, name, va="center", fontsize=10, family="monospace", bbox=_BOX)
        parent = next((row for row in range(number - 1, -1, -1) if lines[row][0] == depth - 1), None)
        if parent is not None and depth:
            axes.plot([depth - 0.6, depth - 0.6, depth - 0.08], [-parent - 0.4, -number, -number], color="0.5", linewidth=1)
    axes.set(xlim=(-0.2, 4), ylim=(-len(lines), 0.8))
    axes.set_axis_off()
    return figure


def _tree(base, depth):
    yield depth, base.__name__
    own = [sub for sub in base.__subclasses__() if sub.__module__.startswith("dipops")]
    for sub in sorted(own, key=lambda sub: sub.__name__):
        if sub.__name__ in dipops.__all__:
            yield from _tree(sub, depth + 1)
        else:
            yield from ((level - 1, name) for level, name in _tree(sub, depth + 1) if name in dipops.__all__)


def house():
    """The rooms of the package, each above all that it imports."""
    below = _reached(_imports())
    heights: dict[str, int] = {}
    for room in sorted(below, key=lambda room: len(below[room])):
        heights[room] = 1 + max((heights[other] for other in below[room]), default=-1)
    floors: dict[int, list[str]] = {}
    for room, height in heights.items():
        floors.setdefault(height, []).append(room)
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(floors)))
    for floor, height in enumerate(sorted(floors)):
        names = sorted(floors[height])
        for number, name in enumerate(names):
            across = (number + 0.5) / len(names)
            axes.text(across, floor, name, ha="center", va="center", fontsize=9, family="monospace", bbox=_BOX)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(floors) - 0.4))
    axes.annotate(
        "", (-0.03, -0.4), (-0.03, len(floors) - 0.6), annotation_clip=False, arrowprops={"arrowstyle": "->", "color": "0.4"}
    )
    axes.text(-0.05, len(floors) / 2, "imports", rotation=90, ha="right", va="center", color="0.4")
    axes.set_axis_off()
    return figure


def _reached(graph):
    """Of each room, all that it imports, also by way of others."""
    reached = {room: set(others) for room, others in graph.items()}
    for middle in reached:
        for room, others in reached.items():
            if middle in others:
                reached[room] |= reached[middle] - {room}
    return reached


def _imports():
    rooms: dict[str, set[str]] = {}
    for path in _PACKAGE.rglob("*.py"):
        room = path.relative_to(_PACKAGE).with_suffix("").parts[0]
        if room.startswith("__"):
            continue
        imported = rooms.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dipops"):
                parts = node.module.split(".")[1:]
                imported |= {parts[0]} if parts else {alias.name for alias in node.names}
    return {room: {other for other in imported if other in rooms and other != room} for room, imported in rooms.items()}


def flow():
    """From operator and measurement to the result, by the signatures."""
    problem = [field.name for field in dataclasses.fields(dipops.Problem)]
    result = [field.name for field in dataclasses.fields(dipops.Result)]
    options = [
        parameter.name
        for parameter in inspect.signature(dipops.solve).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    figure, axes = plt.subplots(figsize=(9.5, 3.6))
    boxes = [
        (0.1, 0.78, "Problem\n" + ", ".join(problem)),
        (0.1, 0.5, "Prior\nθ, g(θ), R"),
        (0.1, 0.22, "Method\nhow θ moves"),
        (0.5, 0.5, "solve\nmin D(A(g(θ)), y) + R(g(θ))\n" + ", ".join(options)),
        (0.9, 0.5, "Result\n" + "\n".join(result)),
    ]
    for across, up, text in boxes:
        axes.text(across, up, text, ha="center", va="center", fontsize=8.5, bbox=_BOX)
    for up in (0.78, 0.5, 0.22):
        axes.annotate("", (0.325, 0.5), (0.24, up), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes.annotate("", (0.83, 0.5), (0.675, 0.5), arrowprops={"arrowstyle": "->", "color": "0.4"})
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    return figure


def adjoint():
    """The dot test on a small operator: every second row, of images of 4 x 3 pixels."""
    import torch

    class Rows(dipops.LinearOperator):
        def forward(self, x):
            return x[..., ::2, :]

    operator = Rows((1, 4, 3))
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, *shape, generator=generator) for shape in (operator.in_shape, operator.out_shape))
    measured, back = operator(x), operator.T(y)
    figure, grid = plt.subplots(2, 3, figsize=(8, 4), width_ratios=[1, 1, 1.1])
    rows = [
        ((x, "x"), (measured, "A x"), (measured * y).sum(), "⟨A x, y⟩", "y"),
        ((y, "y"), (back, "Aᵀ y"), (x * back).sum(), "⟨x, Aᵀ y⟩", "x"),
    ]
    for line, (start, end, number, words, other) in zip(grid, rows, strict=True):
        for axes, (image, name) in zip(line, (start, end), strict=False):
            axes.imshow(image[0, 0], cmap="gray", vmin=0, vmax=1, extent=(0, 3, 0, image.shape[2]))
            axes.set(xlim=(-0.5, 3.5), ylim=(-0.5, 4.5), title=name)
            axes.set_aspect("equal")
            axes.set_axis_off()
        line[0].annotate("", (4.6, 2), (3.4, 2), annotation_clip=False, arrowprops={"arrowstyle": "->", "color": "#2a6fb0"})
        line[2].text(0, 0.5, f"times {other}, summed:\n{words} = {float(number):.4f}", va="center", fontsize=12)
        line[2].set_axis_off()
    return figure
