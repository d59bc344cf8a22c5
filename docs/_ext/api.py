"""Writes the pages of the API from the public names of the rooms: every name once, under the shortest module that has it."""

import inspect
import types
from importlib import import_module

from written import put

import dipops

_PAGES = {
    "operators": ("Operators", ("operators",), ("operators", "operators.networks")),
    "priors": ("Priors", ("priors",), ("priors", "priors.generators", "priors.inputs")),
    "methods": ("Problems, methods and solve", ("problem", "methods", "solver", "comparison"), ("methods", "solver")),
    "recipes": ("Recipes", ("recipes",), ("recipes",)),
    "stopping": ("Stopping rules", (), ("stopping",)),
    "tune": ("Weights by rule", (), ("tune",)),
    "images": ("Images", (), ("images",)),
    "metrics": ("Metrics", (), ("metrics",)),
    "plot": ("Figures", (), ("plot",)),
    "testing": ("Laws", ("testing",), ("testing", "testing.strategies")),
    "errors": ("Errors", ("errors",), ("errors",)),
    "course": ("Course", (), ("course",)),
    "preimages": ("Pre-images", (), ("paper.preimages",)),
}
"""File to a title, the rooms whose names in ``dipops`` itself the page has, and the modules whose names follow."""


def write(folder):
    """One file a page, and an index."""
    folder.mkdir(exist_ok=True)
    rooms = {name: room for name in dipops.__all__ if (room := _room(getattr(dipops, name)))}
    if missing := {*rooms.values()} - {room for _, own, _ in _PAGES.values() for room in own}:
        raise ValueError(f"no page for the names of {missing}: add these rooms to _PAGES")
    for page, (title, own, modules) in _PAGES.items():
        sections = {"dipops": sorted(name for name, room in rooms.items() if room in own)}
        sections |= {f"dipops.{module}": _public(import_module(f"dipops.{module}")) for module in modules}
        put(folder / f"{page}.rst", _page(title, sections))
    entries = "\n".join(f"   {page}" for page in _PAGES)
    put(folder / "index.rst", f"API\n===\n\nEvery heading is the module to import from.\n\n.. toctree::\n\n{entries}\n")


def _room(thing):
    """The room that a name of ``dipops`` comes from, or nothing for a module."""
    return "" if isinstance(thing, types.ModuleType) else thing.__module__.split(".")[1]


def _public(module):
    """The names that a module exports, or else the classes and functions that it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    return [name for name in own if not name.startswith("_") and (_is_class(module, name) or _is_function(module, name))]


def _page(title, sections):
    """A section for each module that has a name which no section before it has."""
    lines, seen = [title, "=" * len(title), ""], []
    for module_name, names in sections.items():
        module = import_module(module_name)
        new = [name for name in names if getattr(module, name) not in seen]
        seen += [getattr(module, name) for name in new]
        if new:
            lines += [module_name, "-" * len(module_name), "", f".. currentmodule:: {module_name}", ""]
        for name in new:
            lines += [*_entry(module, name), ""]
    return "\n".join(lines)


def _entry(module, name):
    if _is_class(module, name):
        return [f".. autoclass:: {name}", "   :members:"]
    if _is_function(module, name):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def _is_class(module, name):
    return inspect.isclass(getattr(module, name))


def _is_function(module, name):
    return inspect.isroutine(getattr(module, name))
