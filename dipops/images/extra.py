"""The packages of the extra "images"."""

from importlib import import_module
from typing import Any

from dipops.errors import BadFile


def package(name: str, came: str) -> Any:
    """The module tifffile or imagecodecs; BadFile says what came where the extra is not installed."""
    try:
        import_module("imagecodecs")  # tifffile without it cannot decode most files
        return import_module(name)
    except ImportError as error:
        raise BadFile(came, "the extra images, which reads such files", "pip install 'dipops[images]'") from error
