"""No override is trusted: each adjoint, vjp and jvp in the package is made wrong in turn, and ``check`` must see it."""

from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor

import dipops.operators.features
import dipops.operators.resampling  # noqa: F401  (defines subclasses)
from dipops import LinearOrDifferentiableOperator, check, stack
from dipops.operators.interface import DifferentiableOperator, LinearOperator
from dipops.testing.examples import EXAMPLES

METHODS = ("adjoint", "vjp", "jvp")
BASES = (LinearOrDifferentiableOperator, LinearOperator, DifferentiableOperator)


def _zero_border(x: Tensor) -> Tensor:
    kept = x.clone()
    kept[..., 0] = 0
    return kept


MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "times 1.01": lambda x: 1.01 * x,
    "flipped": lambda x: x.flip(-1),
    "rolled": lambda x: x.roll(1, -1),
    "zero border": _zero_border,
}


WRONG_ON_PURPOSE = "dipops.course."  # operators that its exercises hand to students


def _subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def _specimens() -> dict[type, LinearOrDifferentiableOperator]:
    """An operator of every class in the package, by its class."""
    made = {name: make((3, 4, 5), torch.Generator().manual_seed(1)) for name, make in EXAMPLES.items()}
    linear, curved = made["Mask"], made["FeatureMap"]
    assert isinstance(linear, LinearOperator)
    combined = [
        linear.T,
        curved.linearize(torch.rand(3, 4, 5)),
        *(linear @ linear, curved @ linear),
        *(linear + 2 * linear, curved + linear),
        *(2 * linear, 2 * curved),
        *(stack(linear, 2 * linear), stack(curved, linear)),
    ]
    return {type(operator): operator for operator in (*made.values(), *combined)}


SPECIMENS = _specimens()
OVERRIDES = [
    (kind, method)
    for kind in sorted(set(_subclasses(LinearOrDifferentiableOperator)), key=lambda kind: kind.__name__)
    if kind.__module__.startswith("dipops.") and not kind.__module__.startswith(WRONG_ON_PURPOSE) and kind not in BASES
    for method in METHODS
    if method in vars(kind)
]


def test_every_class_that_overrides_has_a_specimen() -> None:
    assert {kind for kind, _ in OVERRIDES} <= set(SPECIMENS)
    assert len(OVERRIDES) >= 12


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("kind", "method"), OVERRIDES, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_mutated_override_is_rejected(kind: type, method: str, mutation: str, device: torch.device) -> None:
    change = MUTATIONS[mutation]

    def wrong(self: LinearOrDifferentiableOperator, *inputs: Tensor) -> Tensor:
        return change(getattr(kind, method)(self, *inputs))

    mutant = deepcopy(SPECIMENS[kind]).to(device)
    mutant.__class__ = type(f"Wrong{kind.__name__}", (kind,), {method: wrong})
    faults = {verdict.law: verdict.fault for verdict in check(mutant, strict=False).verdicts if verdict.fault}
    assert set(faults) - {"copies"}, f"{kind.__name__}.{method} {mutation} goes unseen"
