"""check: test an operator against the laws."""

from math import prod
from typing import Annotated

import typer
from torch import Generator
from typer import Argument, Option

from dipops.cli.memory import require_memory
from dipops.cli.operators import load_operators
from dipops.cli.options import parse_int
from dipops.errors import BadValue, first_line, safe_repr
from dipops.operators import LinearOrDifferentiableOperator
from dipops.testing import EXAMPLES
from dipops.testing.laws import check as check_laws

Target = Annotated[str | None, Argument(help="Your operator, FILE.py:Class; without it, all operators of dipops.")]
Shapes = Annotated[str, Option("--shape", help="Shape C,H,W to test at, or several; odd and even sides show most.")]


def check(target: Target = None, shapes: Shapes = "3,9,13 3,10,14") -> None:
    """Test an operator against every law and say what is wrong; exit code 1 if a law is broken."""
    in_shapes = [tuple(_parse_side(side) for side in text.split(",")) for text in shapes.split()]
    for shape in in_shapes:
        require_memory(prod(shape), f"--shape {','.join(map(str, shape))}", "choose a smaller shape")
    operators = load_operators(target, in_shapes) if target else [own for shape in in_shapes for own in _examples(shape)]
    passed = [_passes(operator) for operator in operators]
    raise typer.Exit(0 if all(passed) else 1)


def _passes(operator: LinearOrDifferentiableOperator) -> bool:
    """Print the report of an operator; whether every law holds."""
    try:
        report = check_laws(operator, strict=False)
    except (Exception, SystemExit) as error:  # whatever a user's forward raises is the diagnosis
        typer.echo(f"{safe_repr(operator)}\n  ✗ forward fails on a zero image: {type(error).__name__}: {first_line(error)}")
        return False
    typer.echo(str(report))
    return report.passed


def _parse_side(text: str) -> int:
    return parse_int(text, "shape", "write sides with commas, 3,9,13")


def _examples(shape: tuple[int, ...]) -> list[LinearOrDifferentiableOperator]:
    if len(shape) != 3:
        raise BadValue(f"shape = {shape}", "C,H,W", "use 3,9,13")
    channels, height, width = shape
    return [example((channels, height, width), Generator().manual_seed(0)) for example in EXAMPLES.values()]
