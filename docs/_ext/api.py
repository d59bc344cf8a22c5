"""Writes the pages of the API: every public name once, under the room that exports it."""

import inspect
import re
import types
import typing
from importlib import import_module

from written import put

import dipops

_PAGES = {
    "solve": ("Problems, methods and solve", ("dipops", "dipops.methods", "dipops.solver")),
    "operators": ("Operators", ("dipops.operators", "dipops.operators.kernels", "dipops.operators.networks")),
    "noise": ("Noise", ("dipops.noise",)),
    "priors": ("Priors", ("dipops.priors", "dipops.priors.generators", "dipops.priors.inputs")),
    "stopping": ("Stopping rules", ("dipops.stopping",)),
    "recipes": ("Recipes", ("dipops.recipes",)),
    "tune": ("Weights by rule", ("dipops.tune",)),
    "classical": ("Classical denoisers and inpainting", ("dipops.classical",)),
    "study": ("Studies", ("dipops.study",)),
    "images": ("Images", ("dipops.images",)),
    "masks": ("Masks", ("dipops.masks",)),
    "metrics": ("Metrics", ("dipops.metrics",)),
    "plot": ("Figures", ("dipops.plot",)),
    "interop": ("Operators of other packages", ("dipops.interop",)),
    "testing": ("Testing operators", ("dipops.testing", "dipops.testing.strategies")),
    "course": ("Course", ("dipops.course",)),
    "preimages": ("Pre-images", ("dipops.paper.preimages",)),
    "errors": ("Errors", ("dipops.errors",)),
}
_INDEX = """API
===

The headings of the pages are the modules to import from. Names marked with a star can be imported from ``dipops`` itself, too.
The commands have :doc:`a page of their own </commands>`.

{summaries}

.. toctree::
   :hidden:

{pages}
"""


def write(folder):
    """One file a page, and an index."""
    folder.mkdir(exist_ok=True)
    rooms = {name: import_module(name) for _, names in _PAGES.values() for name in names}
    public = {room: _public(module) for room, module in rooms.items() if module is not dipops}
    exported = [getattr(rooms[room], name) for room, names in public.items() for name in names]
    own = {name: getattr(dipops, name) for name in sorted(dipops.__all__)}
    modules = [thing.__name__ for thing in own.values() if isinstance(thing, types.ModuleType)]
    if missing := {*modules} - {*rooms}:
        raise ValueError(f"no page for {missing}: add them to _PAGES")
    objects = [name for name, thing in own.items() if not isinstance(thing, types.ModuleType)]
    public["dipops"] = [name for name in objects if own[name] not in exported]
    for page, (title, names) in _PAGES.items():
        put(folder / f"{page}.rst", _page(title, {room: public[room] for room in names}))
    summaries = [_summary(title, {room: public[room] for room in names}, page) for page, (title, names) in _PAGES.items()]
    put(folder / "index.rst", _INDEX.format(summaries="\n".join(summaries), pages="\n".join(f"   {page}" for page in _PAGES)))


def _public(module):
    """The names that a module exports, or else the classes and functions that it defines."""
    if hasattr(module, "__all__"):
        return sorted(name for name in module.__all__ if not inspect.ismodule(getattr(module, name)))
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", None) == module.__name__
        and (inspect.isclass(thing) or inspect.isfunction(thing))
    ]


def _page(title, rooms):
    """A section for each room."""
    lines = [title, "=" * len(title), ""]
    for room, names in rooms.items():
        lines += [room, "-" * len(room), "", f".. currentmodule:: {room}", ""]
        for name in names:
            lines += [*_entry(name, getattr(import_module(room), name)), ""]
    return "\n".join(lines)


def _summary(title, rooms, page):
    """A table of what the modules of a page have, a line each."""
    rows = [
        f"   * - :py:obj:`{_name(room, name)} <{room}.{name}>`\n     - {_line(room, name)}"
        for room in rooms
        for name in rooms[room]
        if _line(room, name)
    ]
    head = [f":doc:`{title} <{page}>`", "-" * (len(title) + len(page) + 10), "", ".. list-table::", "   :widths: 30 70", ""]
    return "\n".join([*head, *rows, ""])


def _name(room, name):
    is_top = getattr(dipops, name, None) is getattr(import_module(room), name)
    return f"{name} ★" if is_top and name in dipops.__all__ else name


def _line(room, name):
    """The first line of a docstring, as markup."""
    thing = getattr(import_module(room), name)
    documented = inspect.isclass(thing) or inspect.isroutine(thing)
    return plain((inspect.getdoc(thing) or "").split("\n")[0]) if documented else ""


def plain(line):
    """Docstrings are prose: a * in a shape and the bars of a norm are no markup, but for what stands in ``code``."""
    parts = line.split("``")
    parts[::2] = [re.sub(r"\*(?=\w)", r"\\*", part).replace("|", r"\|") for part in parts[::2]]
    return "``".join(parts)


def _entry(name, thing):
    if inspect.isclass(thing):
        return [f".. autoclass:: {name}", "   :members:"]
    if inspect.isroutine(thing):
        return [f".. autofunction:: {name}"]
    if isinstance(thing, types.GenericAlias | types.UnionType):  # autodoc would show the docstring of dict, or of unions
        return [f".. data:: {name}", f"   :value: {thing}"]
    if typing.get_origin(thing):
        return [f".. autodata:: {name}", "   :no-value:"]
    return [f".. data:: {name}", f"   :type: {type(thing).__name__}"]  # autodoc would show the docstring of its type
