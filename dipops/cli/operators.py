"""Operators of a user's own file, FILE.py:Class."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from dipops._tools.files import exists
from dipops.errors import BadFile, BadType, BadValue, DipopsError, first_line
from dipops.operators import LinearOrDifferentiableOperator

Shape = tuple[int, ...]


def load_operators(target: str, shapes: Iterable[Shape]) -> list[LinearOrDifferentiableOperator]:
    """Operators of the class ``FILE.py:Class``, one of each shape."""
    file, _, name = target.rpartition(":")
    if not exists(Path(file)) or Path(file).is_dir():
        raise BadFile(f"no file at {file!r}", "FILE.py:Class", "check the path, and write the class's name after a colon")
    module = _load_module(Path(file))
    operator_class = getattr(module, name, None)
    if not isinstance(operator_class, type):
        classes = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise BadValue(f"no class {name} in {file}", f"one of {', '.join(classes) or 'its classes (it has none)'}", "name one")
    return [_construct(operator_class, shape) for shape in shapes]


def _construct(operator_class: type, shape: Shape) -> LinearOrDifferentiableOperator:
    name = operator_class.__name__
    try:
        operator = operator_class(shape)
    except (Exception, SystemExit) as error:
        cause = f"{name}({shape}) raises {type(error).__name__}: {first_line(error)}"
        raise BadType(cause, "a constructor that takes in_shape", "correct it") from error
    if not isinstance(operator, LinearOrDifferentiableOperator):
        raise BadType(f"{name}, which is no operator", "a class that inherits from LinearOperator", "or DifferentiableOperator")
    return operator


def require_forward(operator: LinearOrDifferentiableOperator) -> None:
    """Apply a user's forward once, and refuse with BadType what it raises."""
    try:
        _ = operator.out_shape
    except DipopsError:
        raise
    except (Exception, SystemExit) as error:
        cause = f"{type(operator).__name__}.forward raises {type(error).__name__}: {first_line(error)}"
        raise BadType(cause, "a forward that takes a zero image", "correct it; dipops check says more") from error


def _load_module(path: Path) -> ModuleType:
    module = ModuleType(f"checked_{path.stem}")  # not its own name: copy.py must not hide the library's copy
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    sys.path.append(str(path.resolve().parent))
    try:
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise BadFile(
            f"{path} raises {type(error).__name__}: {first_line(error)}", "a file that can be imported", "correct it"
        ) from error
    return module
