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
            if not _is_refusal(error):
                raise
            return _pullback_without_transforms(forward, x, v)
        return pull(v)[0]


def _pullback_without_transforms(forward: Function, x: Tensor, v: Tensor) -> Tensor:
    """The same where torch.func refuses; not under vmap."""
    recorded = torch.is_grad_enabled() and (x.requires_grad or v.requires_grad)
    with torch.enable_grad():
        leaf = x if recorded and x.requires_grad else x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(forward(leaf), leaf, v, create_graph=recorded, materialize_grads=True)
    return gradient


def _is_refusal(error: RuntimeError) -> bool:
    """Whether torch.func refuses: an autograd.Function of the old style, or within hooks on saved tensors."""
    return "functorch" in str(error) or "saved tensor hooks" in str(error)


def pushforward(forward: Function, x: Tensor, u: Tensor) -> Tensor:
    """The Jacobian-vector product Ju of ``forward`` at ``x``, as the transpose of v ↦ Jᵀv, which is linear in v."""
    with torch.inference_mode(False):
        x, u = _usable(x), _usable(u)
        try:
            out, pull = vjp(forward, x)[:2]
        except RuntimeError as error:
            if not _is_refusal(error):
                raise
            return pullback(lambda v: pullback(forward, x, v), torch.zeros_like(forward(x)), u)
        push = vjp(lambda v: pull(v)[0], torch.zeros_like(out))[1]
        return push(u)[0]


def outside_transforms(function: Callable[[], T]) -> T:
    """What ``function`` gives in a thread of its own, where no torch.func transform, autocast or inference mode is active."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, function).result()


def _usable(t: Tensor) -> Tensor:
    return t.clone() if t.is_inference() else t
