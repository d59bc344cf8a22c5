"""Functions that leave PyTorch, for NumPy or a kernel of one's own: how they are found, and given a derivative."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from dipops.errors import BadType, first_line

Map = Callable[[Tensor], Tensor]
MapAt = Callable[[Tensor, Tensor], Tensor]
_MUCH = 10.0


def traced(forward: Map, zero: Tensor, other: Tensor, linear: bool) -> tuple[Any, str]:
    """``forward(zero)``, and why autograd does not follow ``forward``: empty where it does, or where forward is constant.

    Args:
        forward: any function of one tensor.
        zero, other: two inputs, of which the second is used where the first shows no graph.
        linear: whether forward is, and its transpose by autograd is to be compared with it.
    """
    try:
        out, followed = _recorded(forward, zero)
        if followed or _recorded(forward, other)[1]:
            return out.detach(), _left_in_part(forward, out.detach(), other) if linear and not out.is_complex() else ""
        reason = "its output has no graph, as after detach() or no_grad()"
    except RecursionError:  # twice at every depth is for ever
        raise
    except Exception as error:  # where forward fails without gradients too, the error comes from the line below
        of_inference = "nference tensor" in str(error)  # tensors made in inference mode, which torch.func does follow
        reason = "" if of_inference else first_line(error)[:80]
    with torch.no_grad():
        out = forward(zero)
        constant = not reason or not isinstance(out, Tensor) or torch.equal(out, forward(other))
    return out, "" if constant else reason


def _recorded(forward: Map, x: Tensor) -> tuple[Any, bool]:
    """The output, and whether its graph reaches the input; that is no leaf, so that forward may work in place."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        out = forward(leaf.clone())
    nodes, seen = [getattr(out, "grad_fn", None)], set()
    while nodes:
        node = nodes.pop()
        if getattr(node, "variable", None) is leaf:
            return out, True
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
    return out, False


def _left_in_part(forward: Map, offset: Tensor, x: Tensor) -> str:
    """Why autograd follows only a part of a linear ``forward``, whose value at 0 is ``offset``; empty where it follows all.

    ⟨Ax, Ax⟩ is compared with ⟨x, Aᵀ Ax⟩. What is no more than rounding, which is as large where forward is applied to a sum,
    and what is not linear after all, is for ``check`` to see.
    """

    def applied(x: Tensor) -> Tensor:
        return forward(x.clone()) - offset

    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        out = applied(leaf)
    image = out.detach()
    v = image / image.abs().max().clamp(min=torch.finfo(image.dtype).tiny)
    (back,) = torch.autograd.grad(out, leaf, v, materialize_grads=True)
    size = _inner(image, v)
    missed = abs(size - _inner(x, back))
    if not missed > size * max(torch.finfo(dtype).eps for dtype in (torch.float32, image.dtype)) ** 0.5:
        return ""
    other = x.flatten(1).flip(1).view_as(x)
    with torch.no_grad():
        rounding = float((applied(x - other) - image + applied(other)).norm() / image.norm())
    if not missed > _MUCH * size * rounding:
        return ""
    return "in part: autograd gives another transpose, as after detach(), NumPy or a wrong backward"


def _inner(a: Tensor, b: Tensor) -> float:
    return float(a.cpu().double().flatten() @ b.cpu().double().flatten())


class LinearMap(Function):
    """A linear map that PyTorch cannot look into, and its transpose: each is the derivative of the other."""

    @staticmethod
    def forward(x: Tensor, there: Map, back: Map) -> Tensor:
        return there(_plain(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map, Map], output: Tensor) -> None:
        _, ctx.there, ctx.back = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return LinearMap.apply(gradients[0], ctx.back, ctx.there), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return LinearMap.apply(tangents[0], ctx.there, ctx.back)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return _flattened(LinearMap, info, in_dims, *args)


class MapWithDerivatives(Function):
    """A map that PyTorch cannot look into, with its vjp and its jvp; it can be differentiated once."""

    @staticmethod
    def forward(x: Tensor, there: Map, vjp: MapAt, jvp: MapAt) -> Tensor:
        return there(_plain(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map, MapAt, MapAt], output: Tensor) -> None:
        x, _, ctx.vjp, ctx.jvp_ = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        return _Derivative.apply(_Constant.apply(x), gradients[0], ctx.vjp, ctx.jvp_), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        return _Derivative.apply(_Constant.apply(x), tangents[0], ctx.jvp_, ctx.vjp)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return _flattened(MapWithDerivatives, info, in_dims, *args)


class _Derivative(Function):
    """A map (x, v), linear in v, and its transpose in v."""

    @staticmethod
    def forward(x: Tensor, v: Tensor, there: MapAt, back: MapAt) -> Tensor:
        return there(_plain(x), _plain(v))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, MapAt, MapAt], output: Tensor) -> None:
        x, _, ctx.there, ctx.back = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return torch.zeros_like(x), _Derivative.apply(x, gradients[0], ctx.back, ctx.there), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        return _Derivative.apply(x, tangents[1], ctx.there, ctx.back)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return _flattened(_Derivative, info, in_dims, *args)


class _Constant(Function):
    """x itself, where a derivative with respect to x is refused."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise _twice()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        raise _twice()


def _plain(x: Tensor) -> Tensor:
    """What foreign code may be given: a gradient is often an expanded number, which SciPy's ndimage reads wrongly."""
    return x.detach().contiguous()


def _twice() -> BadType:
    second = "the second derivative of an operator whose forward leaves PyTorch"
    return BadType(second, "first derivatives only", "write forward in torch operations")


def _flattened(function: type[Function], info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
    """The result under vmap, whose axis becomes part of the batch."""
    size = info.batch_size
    batches = [
        arg if not isinstance(arg, Tensor) else arg.expand(size, *arg.shape) if dim is None else arg.movedim(dim, 0)
        for arg, dim in zip(args, in_dims, strict=True)
    ]
    result = function.apply(*(batch.flatten(0, 1) if isinstance(batch, Tensor) else batch for batch in batches))
    return result.unflatten(0, (size, -1)), 0
