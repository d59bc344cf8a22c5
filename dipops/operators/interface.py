"""What an operator is, and the algebra that combines operators into new ones."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops.errors import BadType, BadValue, NotLinear, safe_repr
from dipops.operators import checks
from dipops.operators.autodiff import outside_transforms, pullback, pushforward
from dipops.operators.checks import Shape
from dipops.operators.foreign import LinearMap, Map, MapWithDerivatives, traced
from dipops.operators.spectrum import lanczos_norm

if TYPE_CHECKING:
    import scipy.sparse.linalg

R = TypeVar("R")
Scalar = float | Tensor | np.number
_LANCZOS_STEPS = 30
_COLUMNS_AT_ONCE = 256
_IN_PART = {"data pointer": "in part: it reads the values of x, as NumPy does", "in-place": "in part: it works in place"}


class _Required:
    """Stands for ``in_shape`` until ``super().__init__`` sets it."""

    def __get__(self, operator: Any, owner: type) -> Any:
        if operator is None:
            return self
        raise _not_initialised(operator)


class LinearOrDifferentiableOperator(nn.Module):
    """A map from images (N, *in_shape) to measurements (N, *out_shape), linear or just differentiable.

    A subclass writes ``__init__``, which hands ``in_shape`` to ``super().__init__``, and ``forward``. Tensors that are
    assigned to ``self`` become buffers, so ``.to()`` moves them. Inherit from :class:`LinearOperator` or
    :class:`DifferentiableOperator`, and test the result with :func:`dipops.check`.

    Attributes:
        in_shape: shape of one image, without the batch.
        guide: an image that a prior may use as its input (in_shape, or None for most operators).

    Raises:
        BadValue: ``in_shape`` is not a sequence of positive integers.
    """

    __array_ufunc__ = None  # NumPy's numbers and arrays leave their products to __rmul__
    in_shape: Shape = _Required()  # pyright: ignore[reportAssignmentType]
    guide: Tensor | None
    _like: Tensor

    def __init__(self, in_shape: Sequence[int]) -> None:
        super().__init__()
        self.in_shape = checks.image_shape(in_shape)
        self.register_buffer("_like", torch.empty(0), persistent=False)
        self.register_buffer("guide", None)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator: (N, *in_shape) to (N, *out_shape). The one method that a subclass must write."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, x)")

    def __call__(self, x: Tensor) -> Tensor:
        """Check that x is a real tensor of shape (N, *in_shape) like the operator's own, then apply ``forward``.

        Raises:
            BadType: x is an integer tensor or a complex one.
            BadValue: x has another shape, dtype or device.
        """
        checks.require_batch(x, self.in_shape, self._like, "x", self)
        return self._apart(super().__call__, x) if self._leaves_torch else super().__call__(x)

    @property
    def out_shape(self) -> Shape:
        """Shape of one measurement, found once by applying ``forward`` to a zero image."""
        if "_out_shape" not in self.__dict__:
            self.__dict__["_out_shape"], self.__dict__["_reason"] = self._trace()
        return self.__dict__["_out_shape"]

    @property
    def _leaves_torch(self) -> str:
        """Why autograd does not follow forward, found with ``out_shape``; empty where it does."""
        if "_reason" not in self.__dict__:
            self.__dict__["_out_shape"], self.__dict__["_reason"] = self._trace()
        return self.__dict__["_reason"]

    def _apart(self, forward: Map, x: Tensor) -> Tensor:
        """``forward(x)``, of which the operator's own vjp and jvp are the derivatives."""
        return MapWithDerivatives.apply(x, forward, self.vjp, self.jvp)

    @property
    def known(self) -> Tensor | None:
        """Which outputs carry information: a bool tensor of shape out_shape, or None for all.

        A linear operator finds the rows that are zero by itself, each time it is asked, with one application where there are
        none. A composition, stack, sum or multiple takes it from its parts. Any other nonlinear operator says None; a subclass
        whose outputs are constant somewhere declares it by a property of its own.
        """
        return None

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """Jᵀv, with J the Jacobian at x: x of shape (N, *in_shape) and v of (N, *out_shape) give (N, *in_shape)."""
        with self._in_torch("vjp and jvp", "vjp(self, x, v) and jvp(self, x, u)"):
            return pullback(self.forward, x, v)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        """Ju, with J the Jacobian at x: x and u of shape (N, *in_shape) give (N, *out_shape)."""
        with self._in_torch("vjp and jvp", "vjp(self, x, v) and jvp(self, x, u)"):
            return pushforward(self.forward, x, u)

    def linearize(self, x: Tensor) -> "LinearOperator":
        """The Jacobian at one image x of shape in_shape or (1, *in_shape), as a linear operator."""
        return Jacobian(self, x)

    @overload
    def __matmul__(self: "LinearOperator", other: "LinearOperator") -> "LinearOperator": ...
    @overload
    def __matmul__(self, other: "LinearOrDifferentiableOperator") -> "LinearOrDifferentiableOperator": ...
    def __matmul__(self, other: Any) -> Any:
        return _combined("@", LinearComposition, DifferentiableComposition, self, other)

    @overload
    def __add__(self: "LinearOperator", other: "LinearOperator") -> "LinearOperator": ...
    @overload
    def __add__(self, other: "LinearOrDifferentiableOperator") -> "LinearOrDifferentiableOperator": ...
    def __add__(self, other: Any) -> Any:
        return _combined("+", LinearSum, DifferentiableSum, self, other)

    @overload
    def __radd__(self: "LinearOperator", other: int) -> "LinearOperator": ...
    @overload
    def __radd__(self, other: int) -> "LinearOrDifferentiableOperator": ...
    def __radd__(self, other: Any) -> Any:
        """0 + A is A, with which ``sum([A, B])`` begins."""
        if isinstance(other, Real) and other == 0:
            return self
        return _combined("+", LinearSum, DifferentiableSum, other, self)

    @overload
    def __sub__(self: "LinearOperator", other: "LinearOperator") -> "LinearOperator": ...
    @overload
    def __sub__(self, other: "LinearOrDifferentiableOperator") -> "LinearOrDifferentiableOperator": ...
    def __sub__(self, other: Any) -> Any:
        return self + (-1) * other

    @overload
    def __mul__(self: "LinearOperator", scalar: Scalar) -> "LinearOperator": ...
    @overload
    def __mul__(self, scalar: Scalar) -> "LinearOrDifferentiableOperator": ...
    def __mul__(self, scalar: Any) -> Any:
        number = _finite_number(self, "*", scalar)
        return (LinearScaling if isinstance(self, LinearOperator) else DifferentiableScaling)(number, self)

    __rmul__ = __mul__

    @overload
    def __truediv__(self: "LinearOperator", scalar: Scalar) -> "LinearOperator": ...
    @overload
    def __truediv__(self, scalar: Scalar) -> "LinearOrDifferentiableOperator": ...
    def __truediv__(self, scalar: Any) -> Any:
        number = _finite_number(self, "/", scalar)
        if number == 0:
            raise BadValue(f"{safe_repr(self)} / 0", "a number other than 0", "look at where it comes from")
        return self * (1 / number)

    @overload
    def __neg__(self: "LinearOperator") -> "LinearOperator": ...
    @overload
    def __neg__(self) -> "LinearOrDifferentiableOperator": ...
    def __neg__(self) -> Any:
        return self * -1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.in_shape))})"

    def __getattr__(self, name: str) -> Any:
        if "_parameters" not in self.__dict__ and not name.startswith("__"):
            raise _not_initialised(self)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_to_hide(self, name, value)
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            if value.is_complex():
                attribute = f"{type(self).__name__}.{name} is complex, and .to(float32) would drop its imaginary part"
                raise BadType(attribute, "real tensors", "keep torch.view_as_real(k), and torch.view_as_complex it in forward")
            if hasattr(type(self), name):
                attribute = f"{type(self).__name__}.{name} = tensor, next to a class attribute that would hide it"
                raise BadType(attribute, "a name of its own", "choose another name, or set it in __init__ only")
            if "_buffers" not in self.__dict__:
                raise _not_initialised(self)
            if name not in self._buffers:
                self.__dict__.pop(name, None)
                self.register_buffer(name, value.detach())
                return
        super().__setattr__(name, value)

    def unit_images(self, pixels: Tensor) -> Tensor:
        """One image (N, *in_shape) for each of the N flat indices, 1 there and 0 elsewhere."""
        images = self._like.new_zeros(len(pixels), math.prod(self.in_shape))
        images[torch.arange(len(pixels)), pixels] = 1
        return images.view(-1, *self.in_shape)

    def _trace(self) -> tuple[Shape, str]:
        """out_shape, and why autograd does not follow forward."""
        automatic = getattr(type(self), "adjoint", None) is LinearOperator.adjoint
        out, reason = self._traced(self.forward, self.in_shape, linear=automatic)
        if not isinstance(out, Tensor) or out.ndim < 2 or len(out) != 1:
            result = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
            advice = "keep the batch dimension, and one more: keepdim=True"
            raise BadType(f"{type(self).__name__}.forward gives {result} for one image", "a tensor (1, ...)", advice)
        if out.numel() == 0:
            raise BadValue(f"{type(self).__name__}.forward gives nothing", "at least one measurement", "look at its slices")
        if out.is_complex():
            advice = "return torch.view_as_real(y): real and imaginary parts as a last axis of 2"
            raise BadType(f"{type(self).__name__}.forward gives {out.dtype}", "real measurements", advice)
        return tuple(out.shape[1:]), reason

    def _traced(self, function: Map, shape: Shape, linear: bool = False) -> tuple[Any, str]:
        """The same for any function of the operator, with its output for a zero tensor (1, *shape)."""

        def trace() -> tuple[Any, str]:
            zero = self._like.new_zeros(1, *shape)
            other = torch.rand(zero.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(zero)
            return traced(function, zero, other, linear)

        return self._outside_transforms(trace)

    def _outside_transforms(self, function: Callable[[], R]) -> R:
        def on_device() -> R:
            with torch.cuda.device_of(self._like), full_float32():
                return function()

        try:
            return outside_transforms(on_device)
        except AttributeError as error:  # nn.Module.__getattr__ would hide it behind "no attribute out_shape"
            raise RuntimeError(f"{type(self).__name__}.forward failed: {error}") from error

    @contextmanager
    def _in_torch(self, methods: str, signatures: str) -> Iterator[None]:
        """Refuse a derivative of forward where it leaves PyTorch, also where only torch.func sees that."""
        reason, error = self._leaves_torch, None
        if not reason:
            try:
                yield
                return
            except RuntimeError as caught:
                reason, error = next((words for sign, words in _IN_PART.items() if sign in str(caught)), ""), caught
                if not reason:
                    raise
        came = f"{type(self).__name__}.forward leaves PyTorch ({reason})"
        raise BadType(came, f"torch operations, or {methods} of its own", f"write {signatures}") from error


class LinearOperator(LinearOrDifferentiableOperator):
    """A linear map of images. ``forward`` is enough; an ``adjoint`` of one's own may be written where it is faster."""

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀy: (N, *out_shape) to (N, *in_shape). By default the transpose of ``forward`` by automatic differentiation.

        An override need not check its input: ``A.T(y)`` does.
        """
        with self._in_torch("an adjoint", "adjoint(self, y), with the library of forward"):
            zero = torch.zeros(len(y), *self.in_shape, dtype=y.dtype, device=y.device)
            return pullback(self.forward, zero, y)

    @property
    def known(self) -> Tensor | None:
        return self._reached(None)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self._pull(v)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self(u)

    def linearize(self, x: Tensor) -> "LinearOperator":
        return self

    @property
    def T(self) -> "LinearOperator":
        """The adjoint as an operator; ``A.T.T is A``."""
        return Adjoint(self)

    @property
    def H(self) -> "LinearOperator":
        """The same as ``T``: operators are real."""
        return self.T

    @property
    def gram(self) -> "LinearOperator":
        """AᵀA."""
        return self.T @ self

    @usual_defaults()
    @full_float32()
    def norm(self) -> float:
        """The largest singular value, from below, within 1%: 30 Lanczos steps unless the operator knows it exactly."""
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(1, *self.in_shape, generator=generator, dtype=torch.float32).to(self._like)
        with torch.no_grad():
            return lanczos_norm(lambda x: self.adjoint(self.forward(x)), start, min(_LANCZOS_STEPS, start.numel()))

    @usual_defaults()
    @full_float32()
    def matrix(self) -> Tensor:
        """The dense matrix, (prod(out_shape), prod(in_shape)), by applying the operator to every unit image."""
        size = math.prod(self.in_shape)
        with torch.no_grad():
            rows = [self(self.unit_images(part)).flatten(1) for part in torch.arange(size).split(_COLUMNS_AT_ONCE)]
        return torch.cat(rows).T

    def scipy(self) -> "scipy.sparse.linalg.LinearOperator":
        """The operator on flat NumPy vectors, or on several as columns, for SciPy's solvers; it can be pickled."""
        from dipops.operators.flat import FlatOperator

        return FlatOperator(self)

    def _apart(self, forward: Map, x: Tensor) -> Tensor:
        return LinearMap.apply(x, forward, self.adjoint)

    @property
    def _adjoint_leaves_torch(self) -> str:
        """Why autograd does not follow ``adjoint``, found once; empty where it does."""
        if type(self).adjoint is LinearOperator.adjoint:
            return ""
        if "_adjoint_reason" not in self.__dict__:
            self.__dict__["_adjoint_reason"] = self._traced(self.adjoint, self.out_shape)[1]
        return self.__dict__["_adjoint_reason"]

    def _pull(self, y: Tensor) -> Tensor:
        """``adjoint``, which autograd follows also where it leaves PyTorch."""
        return LinearMap.apply(y, self.adjoint, self.forward) if self._adjoint_leaves_torch else self.adjoint(y)

    def _reached(self, pixels: Tensor | None) -> Tensor | None:
        """Which measurements depend on some of the pixels (in_shape, bool), or on any; None for all."""
        nonzero = self._outside_transforms(lambda: self._nonzero_rows(pixels))
        return None if nonzero.all() else nonzero

    @torch.no_grad()
    def _nonzero_rows(self, pixels: Tensor | None) -> Tensor:
        """Where the measurements of random images are not 0, of as many images as show something new."""
        generator = torch.Generator().manual_seed(0)
        nonzero = torch.zeros(self.out_shape, dtype=torch.bool, device=self._like.device)
        while not nonzero.all():
            image = torch.randn(1, *self.in_shape, generator=generator, dtype=torch.float32).to(self._like)
            image = image if pixels is None else image * pixels.to(image)
            more = nonzero | (self.forward(image)[0] != 0)
            if torch.equal(more, nonzero):
                break
            nonzero = more
        return nonzero


class DifferentiableOperator(LinearOrDifferentiableOperator):
    """A differentiable map of images that is not linear: it has ``vjp``, ``jvp`` and ``linearize``, but no adjoint.

    Asking for ``T``, ``H``, ``adjoint``, ``gram``, ``norm``, ``matrix`` or ``scipy`` raises NotLinear.
    """

    def __getattr__(self, name: str) -> Any:
        if name in ("T", "H", "adjoint", "gram", "norm", "matrix", "scipy"):
            raise NotLinear(f"{type(self).__name__}.{name}", "a LinearOperator", "use vjp(x, v) or linearize(x).T instead")
        return super().__getattr__(name)


class _Combined(LinearOrDifferentiableOperator):
    """An operator made of others, which it calls as operators: autograd follows it."""

    @property
    def _leaves_torch(self) -> str:
        return ""

    @property
    def _adjoint_leaves_torch(self) -> str:
        return ""


class Adjoint(_Combined, LinearOperator):
    """Aᵀ of a linear operator A."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.out_shape)
        self.operator = operator
        self._like = operator._like

    @property
    def out_shape(self) -> Shape:
        return self.operator.in_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.operator._pull(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.operator(y)

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def norm(self) -> float:
        return self.operator.norm()

    def __repr__(self) -> str:
        return f"{_bracketed(self.operator, LinearComposition, LinearSum, LinearScaling)}.T"


class Jacobian(LinearOperator):
    """The Jacobian of a differentiable operator at one image."""

    def __init__(self, operator: LinearOrDifferentiableOperator, x: Tensor) -> None:
        super().__init__(operator.in_shape)
        self.operator = operator
        self._like = operator._like
        self.guide = operator.guide
        point = x if x.ndim > len(self.in_shape) else x[None]
        checks.require_batch(point, self.in_shape, self._like, "x", operator)
        if len(point) != 1:
            raise BadValue(f"a batch of {len(point)} images", "the one image to linearize at", "pass x[k]")
        self.point = point

    def forward(self, x: Tensor) -> Tensor:
        return self.operator.jvp(self.point.expand_as(x), x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.operator.vjp(self.point.expand(len(y), *self.in_shape), y)

    def __repr__(self) -> str:
        return f"{_bracketed(self.operator, _Composition, _Sum, _Scaling)}.linearize(x)"


class _Composition(_Combined):
    def __init__(self, outer: LinearOrDifferentiableOperator, inner: LinearOrDifferentiableOperator) -> None:
        super().__init__(inner.in_shape)
        if outer.in_shape != inner.out_shape:
            product = f"{safe_repr(outer)} @ {safe_repr(inner)}"
            shapes = f"{product}, where the right gives {inner.out_shape} and the left takes {outer.in_shape}"
            raise BadValue(shapes, "equal shapes in the middle", "build the left one for the right one's out_shape")
        self.outer, self.inner = outer, inner
        self._like, self.guide = checks.common_like((outer._like, inner._like)), inner.guide

    @property
    def out_shape(self) -> Shape:
        return self.outer.out_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def __repr__(self) -> str:
        return f"{_bracketed(self.outer, _Sum, _Scaling)} @ {_bracketed(self.inner, _Sum, _Scaling)}"


class LinearComposition(_Composition, LinearOperator):
    """A @ B of linear operators."""

    outer: LinearOperator
    inner: LinearOperator

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner._pull(self.outer._pull(y))


class DifferentiableComposition(_Composition, DifferentiableOperator):
    """A @ B where one of them is not linear."""

    @property
    def known(self) -> Tensor | None:
        outer, known = self.outer, self.inner.known
        return outer.known if known is None or not isinstance(outer, LinearOperator) else outer._reached(known)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.inner.vjp(x, self.outer.vjp(self.inner(x), v))

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.outer.jvp(self.inner(x), self.inner.jvp(x, u))


class _Sum(_Combined):
    def __init__(self, first: LinearOrDifferentiableOperator, second: LinearOrDifferentiableOperator) -> None:
        super().__init__(first.in_shape)
        if (first.in_shape, first.out_shape) != (second.in_shape, second.out_shape):
            shapes = (f"{safe_repr(part)} from {part.in_shape} to {part.out_shape}" for part in (first, second))
            raise BadValue(f"a sum of {' and '.join(shapes)}", "operators of the same shapes", "use stack(A, B)")
        self.first, self.second = first, second
        self._like = checks.common_like((first._like, second._like))
        self.guide = checks.common_guide((first.guide, second.guide))

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)

    def __repr__(self) -> str:
        second = self.second
        if isinstance(second, _Scaling) and second.scalar == -1:
            return f"{safe_repr(self.first)} - {_bracketed(second.operator, _Sum)}"
        return f"{safe_repr(self.first)} + {safe_repr(second)}"


class LinearSum(_Sum, LinearOperator):
    """A + B of linear operators."""

    first: LinearOperator
    second: LinearOperator

    def adjoint(self, y: Tensor) -> Tensor:
        return self.first._pull(y) + self.second._pull(y)


class DifferentiableSum(_Sum, DifferentiableOperator):
    """A + B where one of them is not linear."""

    @property
    def known(self) -> Tensor | None:
        first, second = self.first.known, self.second.known
        return None if first is None or second is None or (first | second).all() else first | second

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.first.vjp(x, v) + self.second.vjp(x, v)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.first.jvp(x, u) + self.second.jvp(x, u)


class _Scaling(_Combined):
    def __init__(self, scalar: float, operator: LinearOrDifferentiableOperator) -> None:
        super().__init__(operator.in_shape)
        self.scalar, self.operator = scalar, operator
        self._like, self.guide = operator._like, operator.guide

    def forward(self, x: Tensor) -> Tensor:
        return self.scalar * self.operator(x)

    def __repr__(self) -> str:
        return f"{self.scalar:g} * {_bracketed(self.operator, _Composition, _Sum, _Scaling)}"


class LinearScaling(_Scaling, LinearOperator):
    """c * A of a linear operator."""

    operator: LinearOperator

    def adjoint(self, y: Tensor) -> Tensor:
        return self.scalar * self.operator._pull(y)

    def norm(self) -> float:
        return abs(self.scalar) * self.operator.norm()


class DifferentiableScaling(_Scaling, DifferentiableOperator):
    """c * A where A is not linear."""

    @property
    def known(self) -> Tensor | None:
        return self.operator.known if self.scalar else _all_of(self.operator, False)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.scalar * self.operator.vjp(x, v)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.scalar * self.operator.jvp(x, u)


class _Stack(_Combined):
    def __init__(self, *operators: LinearOrDifferentiableOperator) -> None:
        super().__init__(operators[0].in_shape)
        if any(part.in_shape != self.in_shape for part in operators):
            raise BadValue(f"stack of {[part.in_shape for part in operators]}", "one in_shape", "resample the image first")
        self._operators = nn.ModuleList(operators)
        self._like = checks.common_like([part._like for part in operators])
        self.guide = checks.common_guide([part.guide for part in operators])

    @property
    def operators(self) -> tuple[Any, ...]:
        return tuple(self._operators)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x).flatten(1) for part in self.operators], dim=1)

    def split(self, y: Tensor) -> list[Tensor]:
        """The measurement (N, total) as one tensor (N, *out_shape) for each operator."""
        parts = y.split([math.prod(part.out_shape) for part in self.operators], dim=1)
        return [part.unflatten(1, op.out_shape) for part, op in zip(parts, self.operators, strict=True)]

    def __repr__(self) -> str:
        return f"stack({', '.join(map(safe_repr, self.operators))})"


class LinearStack(_Stack, LinearOperator):
    """Linear operators on the same image, their measurements flattened and concatenated."""

    def adjoint(self, y: Tensor) -> Tensor:
        pairs = zip(self.operators, self.split(y), strict=True)
        return torch.stack([part._pull(piece) for part, piece in pairs]).sum(0)


class DifferentiableStack(_Stack, DifferentiableOperator):
    """A stack where one operator is not linear."""

    @property
    def known(self) -> Tensor | None:
        parts = [(part, part.known) for part in self.operators]
        if all(known is None for _, known in parts):
            return None
        return torch.cat([(_all_of(part, True) if known is None else known).flatten() for part, known in parts])

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        pairs = zip(self.operators, self.split(v), strict=True)
        return torch.stack([part.vjp(x, piece) for part, piece in pairs]).sum(0)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.cat([part.jvp(x, u).flatten(1) for part in self.operators], dim=1)


@overload
def stack(first: LinearOperator, *others: LinearOperator) -> LinearStack: ...
@overload
def stack(first: LinearOrDifferentiableOperator, *others: LinearOrDifferentiableOperator) -> LinearOrDifferentiableOperator: ...
def stack(first: Any, *others: Any) -> Any:
    """Several measurements of one image: operators on one in_shape give one vector (N, total).

    Raises:
        BadType: an argument is no operator.
        BadValue: their in_shape, dtype, device or guide differ.
    """
    return _combined("stack", LinearStack, DifferentiableStack, first, *others)


def _combined(symbol: str, linear: Any, differentiable: Any, *parts: Any) -> Any:
    """``linear(*parts)`` where every part is linear, else ``differentiable(*parts)``."""
    for part in parts:
        if not isinstance(part, LinearOrDifferentiableOperator):
            advice = "apply an operator with A(x)" if isinstance(part, Tensor) else "wrap it in an operator of your own"
            raise BadType(f"{_name(part)} next to {symbol}", "operators on both sides", advice)
    return (linear if all(isinstance(part, LinearOperator) for part in parts) else differentiable)(*parts)


def _refuse_to_hide(operator: LinearOrDifferentiableOperator, name: str, value: Any) -> None:
    """Raise where an attribute would hide a method or a property of operators; a function may replace a method."""
    inherited = None if name.startswith("_") else getattr(LinearOperator, name, None)
    is_property, present = isinstance(inherited, property), getattr(type(operator), name, inherited)
    redefined = present is not inherited and present is not getattr(LinearOrDifferentiableOperator, name, None)
    if redefined or not (is_property or callable(inherited)):
        return
    if is_property or not isinstance(value, FunctionType | MethodType):
        hidden = f"{type(operator).__name__}.{name} = {type(value).__name__}, which would hide the operator's {name}"
        raise BadType(f"{hidden}{'' if is_property else '()'}", "a name of its own", f"write self.my_{name}")


def _not_initialised(operator: LinearOrDifferentiableOperator) -> BadType:
    came = f"{type(operator).__name__} before super().__init__"
    return BadType(came, "the shape of one image first", "begin __init__ with super().__init__(in_shape)")


def _all_of(operator: LinearOrDifferentiableOperator, value: bool) -> Tensor:
    """One value for every measurement of an operator."""
    return torch.full(operator.out_shape, value, dtype=torch.bool, device=operator._like.device)


def _bracketed(operator: LinearOrDifferentiableOperator, *looser: type) -> str:
    return f"({safe_repr(operator)})" if isinstance(operator, looser) else safe_repr(operator)


def _finite_number(operator: LinearOrDifferentiableOperator, symbol: str, scalar: Any) -> float:
    """A finite number, or a tensor of one entry that asks for no gradient, as a float; else BadType."""
    if isinstance(scalar, Tensor) and scalar.numel() == 1 and not scalar.requires_grad:
        scalar = scalar.item()
    if not isinstance(scalar, Real) or not math.isfinite(scalar):
        operation = f"{safe_repr(operator)} {symbol} {_name(scalar)}"
        raise BadType(operation, "a finite real number", "compose operators with A @ B, or write one of your own")
    return float(scalar)


def _name(operand: Any) -> str:
    return "a tensor" if isinstance(operand, Tensor) else safe_repr(operand)
