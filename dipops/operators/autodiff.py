"""Derivatives of a function by reverse mode alone, so that they work for any forward that PyTorch can differentiate."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import torch
from torch import Tensor
from torch.func import vjp

Function = Callable[[Tensor], Tensor]
T = TypeVar("T")


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


def outside_transforms(function: Callable[[], T]) -> T:
    """What ``function`` gives in a thread of its own, where no torch.func transform, autocast or inference mode is active."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, function).result()


def _usable(t: Tensor) -> Tensor:
    return t.clone() if t.is_inference() else t
