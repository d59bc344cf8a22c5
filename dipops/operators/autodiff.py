"""Derivatives of a function by reverse mode alone, so that they work for any forward that PyTorch can differentiate."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp

Function = Callable[[Tensor], Tensor]


def pullback(forward: Function, x: Tensor, v: Tensor) -> Tensor:
    """The vector-Jacobian product Jᵀv of ``forward`` at ``x``; itself differentiable, also under no_grad and vmap."""
    with torch.inference_mode(False):
        x, v = _usable(x), _usable(v)
        try:
            pull = vjp(forward, x)[1]
        except RuntimeError as error:
            if "functorch" in str(error):
                return _pullback_without_transforms(forward, x, v)
            raise
        return pull(v)[0]


def _pullback_without_transforms(forward: Function, x: Tensor, v: Tensor) -> Tensor:
    """The same for an autograd.Function of the old style, which torch.func refuses: once differentiable, not under vmap."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(forward(leaf), leaf, v, materialize_grads=True)
    return gradient


def pushforward(forward: Function, x: Tensor, u: Tensor) -> Tensor:
    """The Jacobian-vector product Ju of ``forward`` at ``x``, as the transpose of v ↦ Jᵀv, which is linear in v."""
    with torch.inference_mode(False):
        out, pull = vjp(forward, _usable(x))[:2]
        push = vjp(lambda v: pull(v)[0], torch.zeros_like(out))[1]
        return push(_usable(u))[0]


def _usable(t: Tensor) -> Tensor:
    return t.clone() if t.is_inference() else t
