"""Lesson 6: when to stop, without the ground truth."""

from typing import Any

import torch

from dipops.course.checks import expect, expect_equal, expect_step, random_image, random_seed

_WINDOW = 4


def windowed_variance(answer: Any) -> None:
    """The variance of the last outputs, pixel by pixel, and its mean over the pixels, once a window is full."""
    outputs = [random_image(1, 1, 3, 5, seed=k) for k in range(7)]
    windows = [torch.stack(outputs[end - _WINDOW : end]) for end in range(_WINDOW, len(outputs) + 1)]
    expected = torch.stack([window.var(0, correction=0).mean() for window in windows])
    variances = [float(value) for value in answer(outputs, _WINDOW)]
    expect(len(variances) != len(outputs), "a window that is not full yet has no variance: begin with the first full one")
    if len(variances) == len(expected):
        corrected = expected * _WINDOW / (_WINDOW - 1)
        is_corrected = torch.allclose(torch.tensor(variances, dtype=expected.dtype), corrected, rtol=1e-5)
        expect(not is_corrected, "divide by the number of outputs, W, not by W - 1")
    expect_equal(variances, expected, "the variance")


def patience(answer: Any) -> None:
    """The step of the lowest value, once no lower one has come for so many steps."""
    values = [round(float(value), 2) for value in random_image(12, seed=5)]
    level, falling = [2.0, 2.0, 2.0, 2.0, 1.0], sorted(values, reverse=True)
    dips = [5.0, 6.0, 4.0, 4.5, 4.2, 3.0, 3.5, 3.6, 3.7, 1.0]
    for curve in (dips, values, [value + 1 for value in values], level, falling):
        for wait in (3, 1, 2, len(curve) - 1):
            answer_step = int(answer(curve, wait))
            expect_step(answer_step, _patient(curve, wait), f"with a patience of {wait} it keeps the wrong step: {answer_step}")


def _patient(values: list[float], wait: int) -> int:
    lowest = 0
    for index, value in enumerate(values):
        lowest = index if value < values[lowest] else lowest
        if index - lowest >= wait:
            break
    return lowest + 1


def hold_out(answer: Any) -> None:
    """A mask split into pixels to fit and pixels to watch."""
    mask = (random_image(1, 40, 50) > 0.3).float()
    seed = random_seed(21)
    fitted, watched = answer(mask, 0.1, torch.Generator().manual_seed(seed))
    again = answer(mask, 0.1, torch.Generator().manual_seed(seed))
    other = answer(mask, 0.1, torch.Generator().manual_seed(seed + 1))
    for name, part in (("fitted", fitted), ("watched", watched)):
        expect(part.shape == mask.shape, f"the {name} mask has shape {tuple(part.shape)} instead of {tuple(mask.shape)}")
        expect(((part == 0) | (part == 1)).all(), f"the {name} mask has values other than 0 and 1")
    expect(not (fitted * watched).any(), "some pixels are in both masks: a pixel to watch must not be fitted")
    expect((fitted + watched).equal(mask), "both parts together are not the mask")
    fraction = float(watched.sum() / mask.sum())
    expect(0.07 < fraction < 0.13, f"{100 * fraction:.0f}% of the known pixels are watched instead of about 10%")
    expect(fitted.equal(again[0]) and watched.equal(again[1]), "use the generator that is given")
    expect(not watched.equal(other[1]), "another seed watches the same pixels: draw with the generator that is given")


def clipped_noise(answer: Any) -> None:
    """The strength of noise that is clipped to [0, 1]."""
    flat = torch.ones((1, 1, 200, 200), dtype=torch.float64)
    generator, seed, (grey, some) = torch.Generator(), random_seed(22), random_image(2).tolist()
    for level, sigma in ((0.4 + 0.2 * grey, 0.1), (0.0, 0.05 + 0.1 * some), (1.0, 0.2)):
        clean = level * flat
        noise = sigma * torch.randn(clean.shape, generator=generator.manual_seed(seed), dtype=torch.float64)
        expected = float(((clean + noise).clamp(0, 1) - clean).square().mean().sqrt())
        strength = float(answer(clean, sigma, generator.manual_seed(seed)))
        fault = f"on an image of {float(clean.mean()):g} at σ = {sigma:g} it is wrong: {strength:.4f}"
        near = abs(strength - expected) < 0.03 * sigma
        expect(abs(strength - expected) < 1e-5 * sigma, f"{fault}{'; add the noise as it is drawn' if near else ''}")
