"""What the blocks of a page print, and the lessons as notebooks to download."""

import contextlib
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from written import put

from benchmarks.pages import code_of
from dipops.course.lessons import lessons, notebook

_DOCS = Path(__file__).parents[1]
_PAGES = ("operator", "start")


def write(folder):
    """A text for each block that prints, named by its number on the page, and a notebook for each lesson."""
    folder.mkdir(exist_ok=True)
    for page in _PAGES:
        for number, text in enumerate(_printed(_DOCS / f"{page}.md"), 1):
            if text:
                put(folder / f"{page}-{number}.txt", text)
    for lesson in lessons():
        put(folder / f"{lesson.stem}.ipynb", notebook(lesson))


def _printed(page):
    """What each block of Python prints, one after the other as a reader would run them; files that they write are dropped."""
    module = sys.modules["page"] = ModuleType("page")  # its classes are found by their names, as in a script
    for code in code_of(page):
        out = io.StringIO()
        with TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(out):
            exec(compile(code, page.name, "exec"), vars(module))
        yield out.getvalue()
