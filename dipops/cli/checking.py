"""check: test an operator against the laws."""

from collections.abc import Sequence
from math import prod
from typing import Annotated

import typer
from torch import Generator
from typer import Argument, Option

from dipops.cli.memory import require_memory
from dipops.cli.operators import Make, Shape, load_make, require_forward, runs
from dipops.cli.options import parse_int
from dipops.errors import BadType, BadValue, DipopsError, first_line, safe_repr
from dipops.operators import LinearOrDifferentiableOperator
from dipops.testing import EXAMPLES
from dipops.testing.laws import check as check_laws

Target = Annotated[
    str | None, Argument(help="FILE.py:NAME of your class, or of a function of in_shape; without it, all operators of dipops.")
]
Shapes = Annotated[str, Option("--shape", help="Shape C,H,W to test at, or several; odd and even sides find different errors.")]
_OTHER_SHAPES = ((3, 16, 16), (1, 16, 16), (16, 16), (64,))


def check(target: Target = None, shapes: Shapes = "3,9,13 3,10,14") -> None:
    """Test an operator against every law and say what is wrong; exit code 1 if a law is broken."""
    in_shapes = [tuple(_parse_side(side) for side in text.split(",")) for text in shapes.split()]
    if not in_shapes:
        raise BadValue(f"--shape {shapes!r}", "C,H,W", "write 3,9,13")
    for shape in in_shapes:
        require_memory(prod(shape), f"--shape {_text(shape)}", "choose a smaller shape")
    operators = _own(load_make(target), in_shapes) if target else [own for shape in in_shapes for own in _examples(shape)]
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


def _own(make: Make, shapes: Sequence[Shape]) -> list[LinearOrDifferentiableOperator]:
    """A user's operator of each shape.

    Raises:
        BadType: there is none of one of them, or forward fails at all of them and runs at another. The advice names a shape
            that works, where one is found.
    """
    others = sorted(_OTHER_SHAPES, key=lambda shape: len(shape) != len(shapes[0]))
    working = next((shape for shape in (*shapes, *others) if runs(make, shape)), None)
    try:
        if working is not None and working not in shapes:
            require_forward(make(shapes[0]))
        return [make(shape) for shape in shapes]
    except DipopsError as error:
        if working is None:
            raise
        raise BadType(
            error.args[0].partition("; expected")[0], "a shape that it takes", f"write --shape {_text(working)}, which works"
        ) from error


def _text(shape: Shape) -> str:
    return ",".join(map(str, shape))


def _parse_side(text: str) -> int:
    return parse_int(text, "shape", "write sides with commas, 3,9,13")


def _examples(shape: tuple[int, ...]) -> list[LinearOrDifferentiableOperator]:
    if len(shape) != 3:
        raise BadValue(f"shape = {shape}", "C,H,W", "use 3,9,13")
    channels, height, width = shape
    return [example((channels, height, width), Generator().manual_seed(0)) for example in EXAMPLES.values()]
