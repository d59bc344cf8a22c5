"""Figures of images, traces, uncertainty and trials."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dipops.errors import BadValue, safe_repr
from dipops.images import to_pil
from dipops.metrics import psnr
from dipops.solver import Result
from dipops.tune import LCurve, Tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 2.9
_NOTHING = 1e-7
_HEIGHT = 15.0
_SMALLER = 0.7


def compare(images: Mapping[str, Tensor], truth: Tensor | None = None, columns: int | None = None) -> "Figure":
    """Images in rows, clipped to [0, 1], each above the PSNR of what is shown, where the ground truth is given.

    The name is the title of its image; what follows a line break in it is written below the image.

    Args:
        images: name to image (1 or 3, H, W) or (1, 1 or 3, H, W); sizes may differ.
        truth: the ground truth; images of its size are scored.
        columns: images in a row; by default at most three, and two for four images.

    Raises:
        BadValue: there is no image, or one has another shape.
    """
    import matplotlib.pyplot as plt

    if not images:
        raise BadValue("no images", "at least one", 'pass {"noisy": y, "restored": x}')
    drawn = {name: to_pil(image) for name, image in images.items()}
    if truth is not None and truth[..., 0, 0, 0].numel() != 1:
        raise BadValue(f"{len(truth)} ground truths", "one", "draw the members of a batch one by one")
    columns = columns or (2 if len(images) == 4 else min(len(images), 3))
    rows = -(-len(images) // columns)
    ratio = max(image.height / image.width for image in drawn.values())
    notes = {name: _notes(name, image, truth) for name, image in images.items()}
    lines = 1 + max(len(lines) for lines in notes.values())
    size = (_WIDTH * columns, (_WIDTH * ratio + 0.22 * lines) * rows + 0.1)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="compressed")
    for empty in grid.flat[len(images) :]:
        empty.remove()
    for axes, (name, image) in zip(grid.flat, drawn.items(), strict=False):
        axes.set_axis_off()
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name.partition("\n")[0], fontsize=11, parse_math=False)
        axes.text(0.5, -0.02, "\n".join(notes[name]), transform=axes.transAxes, ha="center", va="top", fontsize=10)
    return figure


def grid(rows: Mapping[str, Mapping[str, Tensor]]) -> "Figure":
    """Images in named rows and named columns, clipped to [0, 1]; a row without an image of a column is empty there.

    Args:
        rows: name of the row to name of the column to image (1 or 3, H, W) or (1, 1 or 3, H, W); sizes may differ. What
            follows a line break in the name of a column is written below that image alone.

    Raises:
        BadValue: there is no image, or one has another shape.
    """
    import matplotlib.pyplot as plt

    columns: list[str] = []
    for images in rows.values():
        _insert(columns, [name.partition("\n")[0] for name in images])
    if not columns:
        raise BadValue("no images", "at least one", 'pass {"photo": {"noisy": y, "restored": x}}')
    drawn = {title: {name: to_pil(image) for name, image in images.items()} for title, images in rows.items()}
    ratios = [max((image.height / image.width for image in images.values()), default=1.0) for images in drawn.values()]
    size = (_WIDTH * len(columns) * _SMALLER, (_WIDTH * sum(ratios) + 0.3 * len(rows)) * _SMALLER + 0.3)
    figure, all_axes = plt.subplots(
        len(rows), len(columns), figsize=size, height_ratios=ratios, squeeze=False, layout="compressed"
    )
    for axes in all_axes.flat:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    for column, name in enumerate(columns):
        all_axes[0, column].set_title(name, fontsize=10, parse_math=False)
    for line, (title, images) in zip(all_axes, drawn.items(), strict=True):
        line[0].set_ylabel(title, fontsize=9, parse_math=False)
        for name, image in images.items():
            axes = line[columns.index(name.partition("\n")[0])]
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xlabel(name.partition("\n")[2], fontsize=9)
    return figure


def _insert(columns: list[str], names: list[str]) -> None:
    """Put each name that is not among the columns yet next to the one that it follows."""
    place = 0
    for name in names:
        if name in columns:
            place = columns.index(name) + 1
        else:
            columns.insert(place, name)
            place += 1


def trace(results: Mapping[str, Result]) -> "Figure":
    """Objective, and PSNR where the ground truth was known, against the steps; one colour for each result.

    Thin lines are the PSNR of single outputs, thick ones of their average. For a batch the mean is drawn.

    Args:
        results: name to result.
    """
    import matplotlib.pyplot as plt

    scored = any("psnr" in result.trace for result in results.values())
    figure, grid = plt.subplots(1, 1 + scored, figsize=(5.2 * (1 + scored), 3.6), squeeze=False, layout="constrained")
    left, right = grid[0, 0], grid[0, -1]
    for number, (name, result) in enumerate(results.items()):
        colour = f"C{number}"
        curves = {key: curve.mean(1) for key, curve in result.trace.items()}
        steps = torch.arange(1, result.steps + 1)
        computed = curves["objective"].isfinite()
        left.loglog(steps[computed], curves["objective"][computed], color=colour, label=name, linewidth=1)
        if "psnr" in curves:
            averaged = "psnr_average" in curves
            right.plot(steps, curves["psnr"], color=colour, linewidth=0.6 if averaged else 2, alpha=0.5 if averaged else 1)
            if averaged:
                right.plot(steps, curves["psnr_average"], color=colour, linewidth=2)
    left.set(xlabel="step", ylabel="objective")
    left.set_ylim(bottom=max(left.get_ylim()[0], _NOTHING * left.get_ylim()[1]))
    if scored:
        right.set(xlabel="step", ylabel="PSNR (dB)")
        right.set_ylim(bottom=_floor(results))
    for axes in grid.flat:
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    return figure


def uncertainty(mean: Tensor, std: Tensor, truth: Tensor | None = None) -> "Figure":
    """An image, its standard deviation, and on the same scale its true error where the ground truth is known.

    Args:
        mean: the image (1 or 3, H, W) or (1, 1 or 3, H, W), such as ``recipe.ensemble(problem, 4).image``.
        std: its standard deviation, pixel by pixel, of the same shape; the root mean square over channels is drawn.
        truth: the ground truth.

    Raises:
        BadValue: the shapes differ.
    """
    import matplotlib.pyplot as plt

    shape = mean.shape[-3:]
    images = {"mean": mean, "std": std} | ({} if truth is None else {"truth": truth})
    if any(image.shape[-3:] != shape or image.numel() != shape.numel() for image in images.values()):
        shapes = ", ".join(f"{name} {tuple(image.shape)}" for name, image in images.items())
        raise BadValue(shapes, "one image each, of one shape", "draw the members of a batch one by one")
    maps = {"standard deviation": std.reshape(shape).square().mean(0).sqrt().cpu().numpy()}
    if truth is not None:
        maps["error"] = (mean - truth).reshape(shape).square().mean(0).sqrt().cpu().numpy()
    top = max(float(values.max()) for values in maps.values())
    size = (_WIDTH * (1 + len(maps)) + 0.6, _WIDTH * shape[1] / shape[2] + 0.3)
    figure, grid = plt.subplots(1, 1 + len(maps), figsize=size, squeeze=False, layout="compressed")
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].imshow(to_pil(mean), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    grid[0, 0].set_title(f"mean {_score(mean, truth)}".strip(), fontsize=11)
    for axes, (name, values) in zip(grid.flat[1:], maps.items(), strict=True):
        axes.imshow(values, cmap="magma", vmin=0, vmax=top, interpolation="nearest")
        axes.set_title(name, fontsize=11)
    figure.colorbar(grid[0, -1].images[0], ax=grid[0, -1], fraction=0.05)
    return figure


def trials(tuned: Tuned) -> "Figure":
    """What ``tune`` tried: the rule's score and, where the ground truth is known, the PSNR against the weight.

    Args:
        tuned: what ``tune`` returned.
    """
    import matplotlib.pyplot as plt

    weights = [trial.weight for trial in tuned.trials]
    scored = tuned.trials[0].psnr is not None
    figure, grid = plt.subplots(1, 1 + scored, figsize=(5.2 * (1 + scored), 3.6), squeeze=False, layout="constrained")
    _rule_curve(grid[0, 0], tuned)
    if scored:
        grid[0, 1].semilogx(weights, [trial.psnr for trial in tuned.trials], ".-", color="C1")
        grid[0, 1].set(xlabel="weight", ylabel="PSNR (dB)")
        grid[0, 1].axvline(tuned.weight, color="k", linewidth=1, linestyle=":")
    for axes in grid.flat:
        axes.grid(alpha=0.3)
    return figure


def _rule_curve(axes: "Axes", tuned: Tuned) -> None:
    """SURE's estimate, the L-curve, or the residual, with the chosen weight marked."""
    axes.set_title(safe_repr(tuned.rule))
    if isinstance(tuned.rule, LCurve):
        residuals, penalties = ([getattr(trial, name) for trial in tuned.trials] for name in ("rms_residual", "penalty"))
        axes.loglog(residuals, penalties, ".-")
        corner = next(trial for trial in tuned.trials if trial.weight == tuned.weight)
        axes.loglog(corner.rms_residual, corner.penalty, "ko", fillstyle="none", markersize=10)
        axes.set(xlabel=tuned.rule.label, ylabel="penalty / weight")
        return
    axes.semilogx([trial.weight for trial in tuned.trials], list(map(tuned.rule.plotted, tuned.trials)), ".-")
    axes.axvline(tuned.weight, color="k", linewidth=1, linestyle=":")
    axes.set(xlabel="weight", ylabel=tuned.rule.label)


def _notes(name: str, image: Tensor, truth: Tensor | None) -> list[str]:
    """The lines below an image."""
    return [line for line in (*name.split("\n")[1:], _score(image, truth)) if line]


def _score(image: Tensor, truth: Tensor | None) -> str:
    if truth is None or image.shape[-3:] != truth.shape[-3:]:
        return ""
    value = float(psnr(*(x.reshape(truth.shape[-3:]).clamp(0, 1).cpu() for x in (image, truth))))
    return "" if value == float("inf") else f"{value:.2f} dB"


def _floor(results: Mapping[str, Result]) -> float:
    """The lower limit of the PSNR axis; it leaves out the first steps, which would flatten the rest of the curves."""
    curves = [result.trace["psnr"].mean(1) for result in results.values() if "psnr" in result.trace]
    finite = [float(curve[curve.isfinite()].max()) for curve in curves if curve.isfinite().any()]
    return max(finite, default=_HEIGHT) - _HEIGHT
