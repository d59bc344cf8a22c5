"""What is wrong with an adjoint: the usual mistakes, recognised in one image."""

from collections.abc import Mapping

import torch
from torch import Tensor

_CLOSE = 1e-8
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
        return "forward has no derivative: something inside cuts the graph, such as detach(), no_grad() or numpy"
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
    return "it computes in float32 inside: make constants in the dtype of the input" if error < _SINGLE else ""


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
    for axis in range(1, expected.ndim):
        for step in (1, -1):
            inner = expected.roll(step, axis).narrow(axis, 1, max(expected.shape[axis] - 2, 0))
            if inner.any() and _close(result.narrow(axis, 1, inner.shape[axis]), inner):
                return f"the adjoint looks one pixel off along axis {axis - 1} (moved by {step})"
    return ""


def _border(result: Tensor, expected: Tensor) -> str:
    if expected.ndim < 3 or min(expected.shape[-2:]) < 3:
        return ""
    inside = torch.zeros_like(expected, dtype=torch.bool)
    inside[..., 1:-1, 1:-1] = True
    if not expected[inside].any() or not _close(result[inside], expected[inside]):
        return ""
    wrong = ~torch.isclose(result, expected, rtol=_CLOSE, atol=_CLOSE)
    power = float(expected[wrong].square().sum())
    weight = f"its weight is about {float((result[wrong] * expected[wrong]).sum()) / power:.3g}" if power else "it should be 0"
    return f"the adjoint looks right inside and wrong on the border, where {weight}"


def _worst(result: Tensor, expected: Tensor) -> str:
    index = int((result - expected).abs().argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), expected.shape))[1:]
    value, expected_value = float(result.flatten()[index]), float(expected.flatten()[index])
    return f"the adjoint is wrong, most at pixel {where}: {value:.6g} instead of {expected_value:.6g}"


def _close(result: Tensor, expected: Tensor) -> bool:
    return bool((result - expected).norm() <= _CLOSE * max(float(result.norm()), float(expected.norm())))
