"""Lesson 6: when to stop, without the truth."""

from typing import Any

import torch

from dipops.course.checks import Check, picture, require, require_step, same

_WINDOW = 4


def windowed_variance(answer: Any) -> None:
    """The variance of the last outputs, pixel by pixel, and its mean over the pixels, once a window is full."""
    outputs = [picture(1, 1, 3, 5, seed=k) for k in range(7)]
    windows = [torch.stack(outputs[end - _WINDOW : end]) for end in range(_WINDOW, len(outputs) + 1)]
    whole = torch.stack([window.var(0, correction=0).mean() for window in windows])
    came = [float(value) for value in answer(list(outputs), _WINDOW)]
    require(len(came) != len(outputs), "a window that is not full yet has no variance: begin with the first full one")
    if len(came) == len(whole):
        corrected = whole * _WINDOW / (_WINDOW - 1)
        off = torch.allclose(torch.tensor(came, dtype=whole.dtype), corrected, rtol=1e-5)
        require(not off, "divide by the number of outputs, W, not by W - 1")
    same(came, whole, "the variance")


def patience(answer: Any) -> None:
    """The step of the lowest value, once none lower has come for so many steps."""
    falling = [5.0, 6.0, 4.0, 4.5, 4.2, 3.0, 3.5, 3.6, 3.7, 1.0]
    for values, wait, step in ((falling, 3, 6), (falling, 1, 1), (falling, 9, 10), ([2.0, 2.0, 2.0, 2.0, 1.0], 2, 1)):
        came = answer(list(values), wait)
        require_step(came, step, f"with a patience of {wait} it keeps the wrong step: {int(came)}")


def hold_out(answer: Any) -> None:
    """A mask split into pixels to fit and pixels to watch."""
    mask = (picture(1, 40, 50) > 0.3).float()
    fitted, watched = answer(mask, 0.1, torch.Generator().manual_seed(0))
    again = answer(mask, 0.1, torch.Generator().manual_seed(0))
    other = answer(mask, 0.1, torch.Generator().manual_seed(1))
    for name, part in (("fitted", fitted), ("watched", watched)):
        require(part.shape == mask.shape, f"the {name} mask has shape {tuple(part.shape)} instead of {tuple(mask.shape)}")
        require(((part == 0) | (part == 1)).all(), f"the {name} mask holds other values than 0 and 1")
    require(not (fitted * watched).any(), "some pixels are fitted and watched: then watching tells nothing")
    require((fitted + watched).equal(mask), "both parts together are not the mask")
    part = float(watched.sum() / mask.sum())
    require(0.07 < part < 0.13, f"{100 * part:.0f}% of the known pixels are watched instead of about 10%")
    require(all(one.equal(two) for one, two in zip((fitted, watched), again, strict=True)), "use the generator that is given")
    require(not watched.equal(other[1]), "another generator watches the same pixels: draw with the one that is given")


def cut_noise(answer: Any) -> None:
    """How strong noise is where it is cut to [0, 1]."""
    grey = torch.full((1, 1, 200, 200), 0.5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for clean, sigma in ((grey, 0.1), (torch.zeros_like(grey), 0.1), (torch.ones_like(grey), 0.2)):
        noise = sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        expected = float(((clean + noise).clamp(0, 1) - clean).square().mean().sqrt())
        came = float(answer(clean, sigma, generator.manual_seed(0)))
        require(
            abs(came - expected) < 0.03 * sigma,
            f"on a picture of {float(clean.mean()):g} at σ = {sigma:g} it is off: {came:.4f}",
        )


EXERCISES: dict[str, Check] = {
    "windowed-variance": windowed_variance,
    "patience": patience,
    "hold-out": hold_out,
    "cut-noise": cut_noise,
}
