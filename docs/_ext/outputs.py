"""What the blocks of a page print, below each of them, and the lessons as notebooks to download."""

import contextlib
import io
import sys
from tempfile import TemporaryDirectory
from types import ModuleType

from written import put

from benchmarks.pages import block_of
from dipops.course.lessons import lessons, notebook

PAGES = ("operator", "start")


def write(folder):
    """A notebook for each lesson."""
    folder.mkdir(exist_ok=True)
    for lesson in lessons():
        put(folder / f"{lesson.stem}.ipynb", notebook(lesson))


def add(app, page, source):
    """Put what each block prints below it, before the page is read."""
    if page in PAGES:
        module = sys.modules["page"] = ModuleType("page")  # its classes are found by their names, as in a script
        source[0] = block_of("python").sub(lambda block: block[0] + _shown(_printed(block[1], module)), source[0])


def _shown(text):
    return f"\n```text\n{text}```\n" if text else ""


def _printed(code, module):
    """What a block prints, in the module of the blocks before it; files that it writes are dropped."""
    out = io.StringIO()
    with TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(out):
        exec(compile(code, module.__name__, "exec"), vars(module))
    return out.getvalue()
