"""What is wrong with an adjoint: the usual mistakes, told from one picture."""

from collections.abc import Mapping

import torch
from torch import Tensor

_CLOSE = 1e-8
_SINGLE = 1e-5


def diagnose_adjoint(got: Tensor, truth: Tensor, confusions: Mapping[str, Tensor] | None = None) -> str:
    """One sentence on how ``got``, the adjoint's answer, differs from ``truth``; both of shape (1, *in_shape).

    Args:
        got, truth: the answers.
        confusions: in words, what it may have been taken for, and that one's answer.
    """
    if got.shape != truth.shape:
        return f"the adjoint gives shape {tuple(got.shape[1:])} instead of {tuple(truth.shape[1:])}"
    if not got.isfinite().all():
        return "the adjoint gives values that are not finite"
    if not truth.any():
        return "forward has no derivative: something inside cuts the graph, such as detach(), no_grad() or numpy"
    taken = (f"the adjoint looks like {words}" for words, answer in (confusions or {}).items() if _close(got, answer))
    sentences = (_rounded(got, truth), _scaled(got, truth), _moved(got, truth), *taken, _border(got, truth), _worst(got, truth))
    return next(sentence for sentence in sentences if sentence)


def in_single_precision(error: float) -> str:
    """A sentence where a relative error is that of float32 in a computation that should be float64, else empty."""
    return "it computes in float32 inside: make constants in the dtype of the input" if error < _SINGLE else ""


def _rounded(got: Tensor, truth: Tensor) -> str:
    return in_single_precision(float((got - truth).norm() / truth.norm()))


def _scaled(got: Tensor, truth: Tensor) -> str:
    scale = float((got * truth).sum() / truth.square().sum())
    if not _close(got, scale * truth):
        return ""
    return f"the adjoint looks scaled by {scale:.4g}" if scale else "the adjoint is zero"


def _moved(got: Tensor, truth: Tensor) -> str:
    for axis in range(1, truth.ndim):
        if _close(got, truth.flip(axis)):
            channels = " (channels swapped)" if truth.ndim == 4 and axis == 1 else ""
            return f"the adjoint looks mirrored along axis {axis - 1}{channels}"
    if truth.ndim == 4 and truth.shape[1] > 1:
        order = torch.cdist(got[0].flatten(1), truth[0].flatten(1)).argmin(dim=1)
        if len(order.unique()) == len(order) and _close(got, truth[:, order]):
            return f"the adjoint looks right but for its channels swapped: it gives channels {order.tolist()} in this order"
    for axis in range(1, truth.ndim):
        for step in (1, -1):
            inner = truth.roll(step, axis).narrow(axis, 1, max(truth.shape[axis] - 2, 0))
            if inner.any() and _close(got.narrow(axis, 1, inner.shape[axis]), inner):
                return f"the adjoint looks one pixel off along axis {axis - 1} (moved by {step})"
    return ""


def _border(got: Tensor, truth: Tensor) -> str:
    if truth.ndim < 3 or min(truth.shape[-2:]) < 3:
        return ""
    inside = torch.zeros_like(truth, dtype=torch.bool)
    inside[..., 1:-1, 1:-1] = True
    if not truth[inside].any() or not _close(got[inside], truth[inside]):
        return ""
    wrong = ~torch.isclose(got, truth, rtol=_CLOSE, atol=_CLOSE)
    power = float(truth[wrong].square().sum())
    weight = f"its weight is about {float((got[wrong] * truth[wrong]).sum()) / power:.3g}" if power else "it should be 0"
    return f"the adjoint looks right inside and wrong on the border, where {weight}"


def _worst(got: Tensor, truth: Tensor) -> str:
    index = int((got - truth).abs().argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), truth.shape))[1:]
    came, expected = float(got.flatten()[index]), float(truth.flatten()[index])
    return f"the adjoint is wrong, most at pixel {where}: {came:.6g} instead of {expected:.6g}"


def _close(got: Tensor, truth: Tensor) -> bool:
    return bool((got - truth).norm() <= _CLOSE * max(float(got.norm()), float(truth.norm())))
