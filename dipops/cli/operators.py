"""Operators of a user's own file, FILE.py:NAME of a class or a function that makes one of a shape."""

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from dipops._tools.files import exists
from dipops.errors import BadFile, BadType, BadValue, DipopsError, first_line
from dipops.operators import LinearOrDifferentiableOperator

Shape = tuple[int, ...]
Make = Callable[[Shape], LinearOrDifferentiableOperator]


def load_make(target: str) -> Make:
    """The class or function ``FILE.py:NAME``, which makes an operator of a shape; what else it does is a BadType."""
    file, _, name = target.rpartition(":")
    if not exists(Path(file)) or Path(file).is_dir():
        raise BadFile(f"no file at {file!r}", "FILE.py:NAME", "check the path, and name a class or a function")
    module = _load_module(Path(file))
    make = getattr(module, name, None)
    if isinstance(make, LinearOrDifferentiableOperator):
        raise BadType(f"{name} in {file}, an operator", "a class or a function", f"write def make(in_shape): return {name}")
    if not callable(make):
        makers = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        expected = f"one of {', '.join(makers) or 'its classes (it has none)'}"
        raise BadValue(f"no class {name} in {file}, and no function", expected, "name one")
    return partial(_made, name, make)


def _made(name: str, make: Callable[..., Any], shape: Shape) -> LinearOrDifferentiableOperator:
    _require_one_argument(name, make)
    try:
        operator = make(shape)
    except (Exception, SystemExit) as error:
        cause = f"{name}({shape}) raises {type(error).__name__}: {first_line(error)}"
        raise BadType(cause, "an operator on images of that shape", "correct it") from error
    if not isinstance(operator, LinearOrDifferentiableOperator):
        came = f"{name}({shape}) is {'None' if operator is None else f'a {type(operator).__name__}'}"
        raise BadType(came, "a LinearOperator or a DifferentiableOperator", "inherit from one, or return one")
    return operator


def _require_one_argument(name: str, make: Callable[..., Any]) -> None:
    """Refuse with BadType what cannot be called with in_shape alone."""
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # of a few builtins
        return
    try:
        signature.bind(())
    except TypeError as error:
        advice = f"write def make(in_shape): return {name}(...), and name make"
        raise BadType(f"{name}{signature}", "a class or a function that needs in_shape alone", advice) from error


def runs(make: Make, shape: Shape) -> bool:
    """Whether an operator of this shape can be made, and its forward runs."""
    try:
        require_forward(make(shape))
    except DipopsError:
        return False
    return True


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
    with suppress(ImportError):  # it comes with the extra cluster, whose workers cannot import the module
        import_module("cloudpickle").register_pickle_by_value(module)
    try:
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise BadFile(
            f"{path} raises {type(error).__name__}: {first_line(error)}", "a file that can be imported", "correct it"
        ) from error
    return module
