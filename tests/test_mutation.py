"""Each adjoint, vjp and jvp that the package overrides is made wrong in turn, and ``check`` must report it."""

from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor

import dipops.operators.features
import dipops.operators.resampling  # noqa: F401  (defines subclasses)
from dipops import LinearOrDifferentiableOperator, stack
from dipops.operators.interface import DifferentiableOperator, LinearOperator
from dipops.testing.examples import EXAMPLES
from dipops.testing.laws import DERIVATIVE_LAWS, FIRST_LAWS, LINEAR_LAWS, _verdicts

METHODS = ("adjoint", "vjp", "jvp")
BASES = (LinearOrDifferentiableOperator, LinearOperator, DifferentiableOperator)


def _zero_border(x: Tensor) -> Tensor:
    result = x.clone()
    result[..., 0] = 0
    return result


MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "times 1.01": lambda x: 1.01 * x,
    "flipped": lambda x: x.flip(-1),
    "rolled": lambda x: x.roll(1, -1),
    "zero border": _zero_border,
}


WRONG_ON_PURPOSE = "dipops.course."  # operators that its exercises hand to students


def _subclasses(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


def _specimens() -> dict[type, LinearOrDifferentiableOperator]:
    """An operator of every class in the package and of every class that they inherit from."""
    examples = {name: make((3, 4, 5), torch.Generator().manual_seed(1)) for name, make in EXAMPLES.items()}
    linear, nonlinear = examples["Mask"], examples["FeatureMap"]
    assert isinstance(linear, LinearOperator)
    combined = [
        linear.T,
        nonlinear.linearize(torch.rand(3, 4, 5)),
        *(linear @ linear, nonlinear @ linear),
        *(linear + 2 * linear, nonlinear + linear),
        *(2 * linear, 2 * nonlinear),
        *(stack(linear, 2 * linear), stack(nonlinear, linear)),
    ]
    operators = (*examples.values(), *combined)
    return {class_: operator for operator in operators for class_ in type(operator).__mro__ if class_ not in BASES}


SPECIMENS = _specimens()
OVERRIDES = [
    (class_, method)
    for class_ in sorted(set(_subclasses(LinearOrDifferentiableOperator)), key=lambda class_: class_.__name__)
    if class_.__module__.startswith("dipops.") and not class_.__module__.startswith(WRONG_ON_PURPOSE) and class_ not in BASES
    for method in METHODS
    if method in vars(class_)
]


def test_every_class_that_overrides_has_a_specimen() -> None:
    assert {class_ for class_, _ in OVERRIDES} <= set(SPECIMENS)
    assert len(OVERRIDES) >= 12


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("class_", "method"), OVERRIDES, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_mutated_override_is_rejected(class_: type, method: str, mutation: str) -> None:
    change = MUTATIONS[mutation]

    def wrong(self: LinearOrDifferentiableOperator, *inputs: Tensor) -> Tensor:
        return change(getattr(class_, method)(self, *inputs))

    mutant = deepcopy(SPECIMENS[class_])
    mutant.__class__ = type(f"Wrong{class_.__name__}", (type(mutant),), {method: wrong})
    laws = (*FIRST_LAWS, *(LINEAR_LAWS if isinstance(mutant, LinearOperator) else ()), *DERIVATIVE_LAWS)
    seen = any(verdict.fault and verdict.law != "copies" for verdict in _verdicts(mutant, laws, torch.float64))  # to the first
    assert seen, f"check does not see {class_.__name__}.{method} {mutation}"
