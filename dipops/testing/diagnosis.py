"""What is wrong with an adjoint: the usual mistakes, recognised in one image."""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

_SINGLE = 1e-5


def diagnose_adjoint(result: Tensor, expected: Tensor, confusions: Mapping[str, Tensor] | None = None) -> str:
    """One sentence on how ``result``, what the adjoint gives, differs from ``expected``; both of shape (1, *in_shape).

    Args:
        result, expected: images.
        confusions: other operators that may have been taken for the adjoint, in words, and what each of them gives.
    """
    if result.shape != expected.shape:
        return f"the adjoint gives shape {tuple(result.shape[1:])} instead of {tuple(expected.shape[1:])}"
    if not result.isfinite().all():
        return "the adjoint gives values that are not finite"
    if not expected.any():
        return "the adjoint should be zero"
    confused = (f"the adjoint looks like {other}" for other, image in (confusions or {}).items() if _close(result, image))
    sentences = (
        _rounded(result, expected),
        _scaled(result, expected),
        _moved(result, expected),
        *confused,
        _border(result, expected),
        _worst(result, expected),
    )
    return next(sentence for sentence in sentences if sentence)


def in_single_precision(error: float) -> str:
    """A sentence where a relative error is that of float32 in a computation that should be float64, else empty."""
    words = 'it computes in float32 inside: make constants in the dtype of the input, or check(A, precision="single")'
    return words if 0 < error < _SINGLE else ""


def _rounded(result: Tensor, expected: Tensor) -> str:
    return in_single_precision(float((result - expected).norm() / expected.norm()))


def _scaled(result: Tensor, expected: Tensor) -> str:
    scale = float((result * expected).sum() / expected.square().sum())
    if not _close(result, scale * expected):
        return ""
    return f"the adjoint looks scaled by {scale:.4g}" if scale else "the adjoint is zero"


def _moved(result: Tensor, expected: Tensor) -> str:
    for axis in range(1, expected.ndim):
        if _close(result, expected.flip(axis)):
            channels = " (channels swapped)" if expected.ndim == 4 and axis == 1 else ""
            return f"the adjoint looks mirrored along axis {axis - 1}{channels}"
    if expected.ndim == 4 and expected.shape[1] > 1:
        order = torch.cdist(result[0].flatten(1), expected[0].flatten(1)).argmin(dim=1)
        if len(order.unique()) == len(order) and _close(result, expected[:, order]):
            return f"the adjoint looks right but for its channels swapped: it gives channels {order.tolist()} in this order"
    return _shifted(result, expected)


def _shifted(result: Tensor, expected: Tensor) -> str:
    axes = range(1, expected.ndim)
    for steps in sorted(product((0, 1, -1), repeat=len(axes)), key=lambda steps: sum(map(abs, steps))):
        inner = (slice(None), *(slice(1, -1) if step else slice(None) for step in steps))
        moved = expected.roll(steps, tuple(axes))[inner]
        if any(steps) and moved.any() and _close(result[inner], moved):
            places = [f"axis {axis} (moved by {step})" for axis, step in enumerate(steps) if step]
            return f"the adjoint looks one pixel off along {' and '.join(places)}"
    return ""


def _border(result: Tensor, expected: Tensor) -> str:
    if expected.ndim < 3 or min(expected.shape[-2:]) < 3:
        return ""
    inside = torch.zeros_like(expected, dtype=torch.bool)
    inside[..., 1:-1, 1:-1] = True
    if not expected[inside].any() or not _close(result[inside], expected[inside]):
        return ""
    wrong = ~torch.isclose(result, expected, rtol=_tolerance(expected), atol=_tolerance(expected))
    power = float(expected[wrong].square().sum())
    weight = f"its weight is about {float((result[wrong] * expected[wrong]).sum()) / power:.3g}" if power else "it should be 0"
    return f"the adjoint looks right inside and wrong on the border, where {weight}"


def _worst(result: Tensor, expected: Tensor) -> str:
    index = int((result - expected).abs().argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), expected.shape))[1:]
    value, expected_value = float(result.flatten()[index]), float(expected.flatten()[index])
    return f"the adjoint is wrong, most at pixel {where}: {value:.6g} instead of {expected_value:.6g}"


def _close(result: Tensor, expected: Tensor) -> bool:
    return bool((result - expected).norm() <= _tolerance(expected) * max(float(result.norm()), float(expected.norm())))


def _tolerance(t: Tensor) -> float:
    return 1e-8 if t.dtype == torch.float64 else 1e-4
