"""Hypothesis strategies: images, operators, and random expressions of operators. Needs the extra ``test``."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from dipops.operators import Identity, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.testing.examples import EXAMPLES

_SIDE = 4
_SCALARS = (-2.0, -0.5, 0.25, 3.0)


@st.composite
def images(draw: st.DrawFn, in_shape: tuple[int, ...], count: int = 1) -> Tensor:
    """A float32 batch (count, *in_shape) with values in [0, 1], from a small seed."""
    return torch.rand(count, *in_shape, generator=draw(generators()), dtype=torch.float32)


def generators() -> st.SearchStrategy[torch.Generator]:
    """Random number generators from small seeds, which shrink to seed 0."""
    return st.integers(0, 999).map(lambda seed: torch.Generator().manual_seed(seed))


def shapes() -> st.SearchStrategy[tuple[int, int, int]]:
    """Small image shapes (C, H, W) with odd and unequal sides."""
    return st.tuples(st.sampled_from((1, 3)), st.integers(2, _SIDE), st.integers(2, _SIDE + 1))


@st.composite
def operators(draw: st.DrawFn, name: str | None = None) -> LinearOrDifferentiableOperator:
    """One elementary operator, of the given row of EXAMPLES or of any."""
    row = name or draw(st.sampled_from(sorted(EXAMPLES)))
    return EXAMPLES[row](draw(shapes()), draw(generators()))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4, name: str | None = None) -> LinearOrDifferentiableOperator:
    """A random expression around one elementary operator: sums, multiples, compositions, stacks, transposes, Jacobians.

    Nothing is filtered away: each step draws operators that fit the shapes the expression has so far.
    """
    expression = draw(operators(name))
    for _ in range(draw(st.integers(0, depth))):
        step = draw(st.sampled_from(STEPS if isinstance(expression, LinearOperator) else STEPS[:-2]))
        expression = step(expression, draw)
    return expression


def _endomorphism(draw: st.DrawFn, shape: tuple[int, ...]) -> LinearOrDifferentiableOperator:
    """An operator from a shape to itself: any example that keeps images of this shape, the identity for vectors."""
    keeps = ("FeatureMap", "Identity", "Mask", "Mask (shared)")
    if len(shape) != 3:
        return Identity(shape)
    return EXAMPLES[draw(st.sampled_from(keeps))](shape, draw(generators()))  # pyright: ignore[reportArgumentType]


Step = Callable[[Any, st.DrawFn], LinearOrDifferentiableOperator]


def _after(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return _endomorphism(draw, a.out_shape) @ a


def _before(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return a @ _endomorphism(draw, a.in_shape)


def _plus(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    other = draw(st.sampled_from(_SCALARS)) * a @ _endomorphism(draw, a.in_shape)
    return a + other if draw(st.booleans()) else a - other


def _times(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return draw(st.sampled_from(_SCALARS)) * a


def _stacked(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return stack(a, _endomorphism(draw, a.in_shape))


def _linearized(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return a.linearize(draw(images(a.in_shape)))


def _transposed(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return a.T


def _gram(a: Any, draw: st.DrawFn) -> LinearOrDifferentiableOperator:
    return a.gram


STEPS: tuple[Step, ...] = (_after, _before, _plus, _times, _stacked, _linearized, _transposed, _gram)
