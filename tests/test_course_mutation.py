"""Every solution of the course, made wrong in many ways: each mutant fails, but for those that are equal to the solution."""

import ast
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dipops.course import grade
from dipops.course.grading import record_answers
from dipops.course.hints import EXERCISES
from dipops.course.lessons import lessons
from dipops.course.notebooks import cells_of, run_cells
from dipops.operators import LinearOrDifferentiableOperator

COURSE = Path(__file__).parents[1] / "docs" / "course"
LESSONS = lessons()
LEAST = 8
FAIR = "own.fair"
GENERIC = re.compile(r"is wrong(, most at .*|: too (large|small) .*)?$")
SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.MatMult: ast.Mult}
COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
RENAMED = {"mean": "sum", "sum": "mean", "abs": "square", "sqrt": "square", "square": "abs", "adjoint": "forward", "min": "max"}
EQUAL: dict[str, set[str]] = {
    "adjoints.average": {"line 6: without USub"},  # axis 2 of a batch of images is axis -2
    "ill-posed.null-image": {"line 3: 1 is one more", "sign"},  # the null space has more than one image
    "ill-posed.pseudo-inverse": {  # other thresholds between what is small and what is zero
        "line 3: the other side of a boundary",
        "line 3: Mult is Div",
        "line 3: 0 is one more",
    },
    "ill-posed.truncated": {"moved along the axis before"},  # images of one line
    "ill-posed.gcv": {"line 5: 0 is one less", "line 5: 0 is one less, number 2"},  # a residual of no rounding; the only axis
    "least-squares.semi-convergence": {"line 3: 0 is one less"},  # there is one column
    "variation.divergence": {"line 3: 0 is one more", "line 3: 0 is one less"},  # of which only the shape is used
    "prior.fit": {"line 6: 0.5 is one more", "line 6: sum is mean"},  # Adam does not see the scale of a loss
    "prior.average": {"line 3: 1 is one less"},  # the average of the first image with itself
    "stopping.hold-out": {"line 2: the other side of a boundary"},  # no draw is equal to the fraction
    "noise.poisson": {"plus 1", "minus 1", "one short"},  # but for a constant
    "noise.debias": {"line 3: 20 is one more", "line 3: 20 is one less", "line 5: the other side of a boundary"},  # near enough
    "tomography.projections": {"line 2: 0 is one less, number 2"},  # a projection has one axis
    "tomography.filtered-back-projection": {"line 2: without USub"},  # axis 2 of a batch of sinograms is axis -2
    "tomography.sirt": {  # what a ray of no length, or a pixel on no ray, is multiplied by is 0 anyway
        *("line 3: 0 is one more", "line 3: 0 is one less"),
        *("line 3: 0 is one more, number 2", "line 3: 0 is one less, number 2"),
        *("line 3: the other side of a boundary", "line 3: 0 is one less, number 3"),
        *("line 3: the comparison turned round", "line 3: the comparison turned round, number 2"),
    },
    "own.operator": {  # other degradations, which are as good
        *("line 6: 1 is one more, number 2", "line 6: 1 is one more, number 3", "sign", "twice", "half"),
        *("line 6: 5 is one more", "line 6: 5 is one less"),
        *("line 6: 5 is one more, number 2", "line 6: 5 is one less, number 2"),
        *("moved along the last axis", "moved along the axis before", "mirrored", "transposed", "one short"),
    },
}
"""Mutants that do what the solution does, by exercise."""
Mutant = tuple[str, Any]


def solutions() -> dict[str, tuple[str, str]]:
    """By exercise, the code before it, which is the imports and the other solutions of its lesson, and its own."""
    found = {}
    for lesson in LESSONS:
        text = (COURSE / "solutions" / lesson.with_suffix(".py").name).read_text()
        parts = re.split(r"^# %% (\S+)\n", text, flags=re.MULTILINE)
        codes = dict(zip(parts[1::2], parts[2::2], strict=True))
        body = ast.parse(cells_of(lesson)[0].code).body
        imports = "\n".join(ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom))
        for name, code in codes.items():
            found[name] = ("\n".join([imports, *(other for key, other in codes.items() if key != name)]), code)
    return found


def answer_of(name: str, before: str, code: str) -> Any:
    with record_answers() as answers:
        faults = run_cells([before, code])
    assert not faults, faults
    return answers[name]


def rewritten(code: str) -> Iterator[tuple[str, str]]:
    """What was changed, and the code with that one change."""
    tree = ast.parse(code)
    for index, node in enumerate(ast.walk(tree)):
        for words, change in changes(node):
            mutant = copy.deepcopy(tree)
            change(list(ast.walk(mutant))[index])
            try:
                yield f"line {getattr(node, 'lineno', 0)}: {words}", ast.unparse(ast.fix_missing_locations(mutant))
            except (ValueError, AttributeError):
                continue


def changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPPED:
        other = SWAPPED[type(node.op)]
        yield f"{type(node.op).__name__} is {other.__name__}", lambda n: setattr(n, "op", other())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield "the other side of a boundary", lambda n: setattr(n, "ops", [COMPARED[type(n.ops[0])]()])
        yield "the comparison turned round", lambda n: setattr(n, "ops", [ast.NotEq()])
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        yield f"{node.value} is one more", lambda n: setattr(n, "value", n.value + 1)
        yield f"{node.value} is one less", lambda n: setattr(n, "value", n.value - 1)
    if isinstance(node, ast.Call) and any(keyword.arg == "keepdim" for keyword in node.keywords):
        yield "no keepdim", lambda n: setattr(n, "keywords", [k for k in n.keywords if k.arg != "keepdim"])
    if isinstance(node, ast.Attribute) and node.attr in RENAMED:
        yield f"{node.attr} is {RENAMED[node.attr]}", lambda n: setattr(n, "attr", RENAMED[n.attr])
    if isinstance(node, ast.FunctionDef | ast.For):
        for position, statement in enumerate(node.body[:-1]):
            if isinstance(statement, ast.AugAssign | ast.Expr):
                yield f"without its statement {position + 1}", lambda n, at=position: n.body.pop(at)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield f"without {type(node.op).__name__}", lambda n: setattr(n, "op", ast.UAdd())


def wrapped(answer: Any) -> Iterator[Mutant]:
    """The answer with its outcome changed, or applied to a part of the batch."""
    for words, change in OUTCOMES.items():
        if isinstance(answer, type) and issubclass(answer, LinearOrDifferentiableOperator):
            yield (
                words,
                type(answer.__name__, (answer,), {"forward": lambda self, x, c=change: c(super(type(self), self).forward(x))}),
            )
            if "adjoint" in vars(answer):
                adjoint = vars(answer)["adjoint"]
                methods = {"adjoint": lambda self, y, c=change, a=adjoint: c(a(self, y))}
                yield f"{words}, of the adjoint", type(answer.__name__, (answer,), methods)
        else:
            yield words, lambda *arguments, c=change: of_outcome(answer(*arguments), c)


def numbers(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    """The change, of numbers too."""

    def changed(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return change(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            other = type(value)(change(torch.tensor(float(value))))
            return value + 3 if other == value else other
        return value

    return changed


OUTCOMES = {
    "sign": numbers(lambda value: -value),
    "twice": numbers(lambda value: 2 * value),
    "half": numbers(lambda value: value // 2 if not value.is_floating_point() else value / 2),
    "plus 1": numbers(lambda value: value + 1),
    "minus 1": numbers(lambda value: value - 1),
    "moved along the last axis": numbers(lambda value: value.roll(1, -1) if value.ndim else value * 1.01),
    "moved along the axis before": numbers(lambda value: value.roll(1, -2) if value.ndim > 1 else value * 0.99),
    "mirrored": numbers(lambda value: value.flip(-1) if value.ndim else value * 1.1),
    "transposed": numbers(lambda value: value.mT if value.ndim > 1 else value * 0.9),
    "one short": numbers(lambda value: value[..., :-1] if value.ndim else value + 2),
}


def of_outcome(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        return [change(part) for part in value]
    return change(value)


def first_for_all(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The outcome for the first of a batch, for each of it."""
    count = batch_of(arguments)
    one = answer(*(a[:1] if isinstance(a, torch.Tensor) and a.ndim > 3 else a for a in arguments))
    return one.expand(count, *one.shape[1:]) if isinstance(one, torch.Tensor) and one.ndim > 3 else one


def batch_of(arguments: tuple[Any, ...]) -> int:
    return max((len(a) for a in arguments if isinstance(a, torch.Tensor) and a.ndim > 3), default=1)


def largest_batch(name: str, answer: Callable[..., Any]) -> int:
    """Of those that the check of an exercise tries."""
    batches = [1]

    def recorded(*arguments: Any) -> Any:
        batches.append(batch_of(arguments))
        return answer(*arguments)

    assert grade(name, recorded).passed
    return max(batches)


def mutants(name: str) -> Iterator[Mutant]:
    before, code = solutions()[name]
    for words, changed in rewritten(code):
        try:
            yield words, answer_of(name, before, changed)
        except AssertionError:
            continue  # not even the cell runs
    answer = answer_of(name, before, code)
    yield from wrapped(answer)
    if not isinstance(answer, type) and largest_batch(name, answer) > 1:
        yield "N = 1 only", lambda *arguments: first_for_all(answer, arguments)


@pytest.fixture(scope="module")
def faults() -> dict[str, dict[str, str]]:
    """By exercise, what is said of each mutant; empty where it passes."""
    return {name: dict(judged(name)) for name in EXERCISES if name != FAIR}


def judged(name: str) -> Iterator[tuple[str, str]]:
    """Each mutant of an exercise, and what is said of it; those of one line that are called the same are counted."""
    counts: Counter[str] = Counter()
    for words, answer in mutants(name):
        counts[words] += 1
        yield f"{words}, number {counts[words]}" if counts[words] > 1 else words, grade(name, answer).fault


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXERCISES if name != FAIR])
def test_every_mutant_of_a_solution_fails(name: str, faults: dict[str, dict[str, str]]) -> None:
    assert len(faults[name]) >= LEAST
    assert {words for words, fault in faults[name].items() if not fault} == EQUAL.get(name, set())


@pytest.mark.slow
def test_most_mutants_are_told_what_is_wrong(faults: dict[str, dict[str, str]]) -> None:
    said = [fault for of_exercise in faults.values() for fault in of_exercise.values() if fault]
    named = [fault for fault in said if not GENERIC.search(fault)]
    assert len(named) > 0.75 * len(said)


@pytest.mark.slow
def test_an_unfair_comparison_is_told_why() -> None:
    answer = answer_of(FAIR, *solutions()[FAIR])
    outcome: list[Any] = []
    assert grade(FAIR, lambda problem: outcome.append(answer(problem)) or outcome[0]).passed
    images, tuned = outcome[0]
    (prior, rule, weight) = tuned["TV"]
    for words, changed in {
        "is not the minimum": ({**images, "TV": 0.9 * images["TV"]}, tuned),
        "is not the minimum at": ({**images, "TV": images["TV"].roll(1, -1)}, tuned),
        "does not fit y": ({**images, "none": -images["none"]}, tuned),
        "2 different images": ({"TV": images["TV"], "DIP": images["DIP"]}, tuned),
        "1 different images": (dict.fromkeys(("TV", "a", "b"), images["TV"]), tuned),
        "chooses another weight": (images, {"TV": (prior, rule, 3 * weight)}),
        "chooses another weight for": (images, {"TV": (prior, rule, weight / 3)}),
        "by the ground truth": (images, {"TV": (prior, "Oracle", weight)}),
        "is none of TotalVariation": (images, {"TV": ("DIP", rule, weight)}),
        "not a positive number": (images, {"TV": (prior, rule, -weight)}),
        "among those compared": (images, {"mine": (prior, rule, weight)}),
        "says for each tuned prior": (images, {}),
        "two dictionaries": images,
        "say (": (images, {"TV": weight}),
    }.items():
        assert words in grade(FAIR, lambda problem, value=changed: value).fault
