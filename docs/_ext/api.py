"""Writes the pages of the API from the public names: a page for each kind of thing."""

import inspect
import types
from importlib import import_module

from written import put

import dipops

_PAGES = {
    "operators": ("Operators", ("operators", "laws", "consistency")),
    "priors": ("Priors", ("priors",)),
    "methods": ("Problems, methods and solve", ("problem", "methods", "solver", "result", "estimate", "compare")),
    "errors": ("Errors", ("errors",)),
}
_MODULES = ("recipes", "stopping", "tune", "preimages", "images", "metrics", "plot", "testing", "course")


def write(folder):
    """One file a page, and an index."""
    folder.mkdir(exist_ok=True)
    names = [name for name in dipops.__all__ if not isinstance(getattr(dipops, name), types.ModuleType)]
    homes = {name: getattr(dipops, name).__module__.split(".")[1] for name in names}
    for page, (title, rooms) in _PAGES.items():
        chosen = sorted(name for name, room in homes.items() if room in rooms)
        _page(folder / f"{page}.rst", title, "dipops", chosen)
    left = [name for name, room in homes.items() if not any(room in rooms for _, rooms in _PAGES.values())]
    if left:
        raise ValueError(f"no page for {left}: name their rooms in _PAGES")
    for module in _MODULES:
        found = import_module(f"dipops.{module}")
        _page(folder / f"{module}.rst", f"dipops.{module}", f"dipops.{module}", _public(found))
    entries = "\n".join(f"   {page}" for page in (*_PAGES, *_MODULES))
    text = (
        "API\n===\n\nEvery name of the first four pages is imported from ``dipops`` itself; the others stand in the "
        f"modules that head their pages.\n\n.. toctree::\n\n{entries}\n"
    )
    put(folder / "index.rst", text)


def _public(module):
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
        and (inspect.isclass(thing) or inspect.isfunction(thing))
    ]


def _page(path, title, module, names):
    lines = [title, "=" * len(title), "", f".. currentmodule:: {module}", ""]
    found = import_module(module)
    for name in names:
        thing = getattr(found, name)
        if inspect.isclass(thing):
            lines += [f".. autoclass:: {name}", "   :members:", ""]
        elif callable(thing):
            lines += [f".. autofunction:: {name}", ""]
        else:
            lines += [f".. autodata:: {name}", "   :no-value:", ""]
    put(path, "\n".join(lines))
