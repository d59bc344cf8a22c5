"""check, version: prove an operator."""

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import torch
import typer

from dipops._tools.files import package_version
from dipops.cli.options import whole
from dipops.errors import BadFile, BadType, BadValue, DipopsError
from dipops.operators.interface import LinearOrDifferentiableOperator
from dipops.testing.examples import EXAMPLES
from dipops.testing.laws import check as check_laws

SHAPES = "3,9,13 3,10,14"


def check(
    target: Annotated[str | None, typer.Argument(help="FILE.py:Class, an operator of yours; all of ours without it.")] = None,
    shape: Annotated[str, typer.Option(help="in_shape for its constructor, or several; odd and even ones show most.")] = SHAPES,
) -> None:
    """Prove an operator: try every law on it, and say what is wrong."""
    shapes = [tuple(map(_side, text.split(","))) for text in shape.split(" ")]
    if target is None:
        operators = [example for in_shape in shapes for example in _examples(in_shape)]
    else:
        operators = list(map(constructor(target), shapes))
    passed = True
    for operator in operators:
        try:
            report = check_laws(operator, strict=False)
        except Exception as error:  # whatever a user's forward raises is the diagnosis
            typer.echo(f"{operator!r}\n  ✗ forward fails on a zero image: {type(error).__name__}: {error}")
            passed = False
        else:
            typer.echo(str(report))
            passed = passed and report.passed
    if not passed:
        raise typer.Exit(1)


def _side(text: str) -> int:
    return whole(text, "shape", "write sides with commas, 3,9,13")


def version() -> None:
    """Print the version."""
    typer.echo(package_version("dipops"))


def _examples(in_shape: tuple[int, ...]) -> list[LinearOrDifferentiableOperator]:
    if len(in_shape) != 3:
        raise BadValue(f"shape = {in_shape}", "C,H,W", "use 3,9,13")
    in_shape = (in_shape[0], in_shape[1], in_shape[2])
    return [example(in_shape, torch.Generator().manual_seed(0)) for example in EXAMPLES.values()]


def constructor(target: str) -> Callable[[tuple[int, ...]], LinearOrDifferentiableOperator]:
    """Makes operators of a user's class, ``FILE.py:Class``, each of a shape; the file is loaded once."""
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise BadValue(f"{target}", "FILE.py:Class", "write the class's name after a colon")
    module = _module(Path(file))
    if not isinstance(kind := getattr(module, name, None), type):
        found = [key for key, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__]
        raise BadValue(f"no class {name} in {file}", f"one of {', '.join(found) or 'its classes (it has none)'}", "name one")
    return partial(_constructed, name, kind)


def _constructed(name: str, kind: type, in_shape: tuple[int, ...]) -> LinearOrDifferentiableOperator:
    try:
        operator = kind(in_shape)
    except DipopsError:
        raise
    except Exception as error:
        raise BadType(
            f"{name}({in_shape}) raises {type(error).__name__}: {error}", "a constructor of one shape", "mend it"
        ) from error
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise BadType(f"{name}, which is no operator", "a class that inherits from LinearOperator", "or DifferentiableOperator")
    return operator


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadFile(f"no file at {path}", "a Python file", "check the path")
    name = f"checked_{path.stem}"  # a name of its own: copy.py must not hide the library's copy
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadFile(f"{path} is no Python file", "a name that ends in .py", "rename it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadFile(f"{path} raises {type(error).__name__}: {error}", "a file that can be imported", "mend it") from error
    return module
