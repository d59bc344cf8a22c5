"""What the blocks of a page print, below each of them, and the lessons as notebooks to download."""

import contextlib
import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from written import put

from benchmarks.pages import code_of
from dipops.course.lessons import lessons, notebook

PAGES = ("operator", "start")
_DOCS = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```python\n.*?^```\n", re.S | re.M)


def write(folder):
    """A notebook for each lesson."""
    folder.mkdir(exist_ok=True)
    for lesson in lessons():
        put(folder / f"{lesson.stem}.ipynb", notebook(lesson))


def add(app, page, source):
    """Put what each block prints below it, before the page is read."""
    if page in PAGES:
        texts = _printed(_DOCS / f"{page}.md")
        source[0] = _BLOCK.sub(lambda block: block[0] + _block_of(next(texts)), source[0])


def _block_of(text):
    return f"\n```text\n{text}```\n" if text else ""


def _printed(page):
    """What each block of Python prints, one after the other as a reader would run them; files that they write are dropped."""
    module = sys.modules["page"] = ModuleType("page")  # its classes are found by their names, as in a script
    for code in code_of(page):
        out = io.StringIO()
        with TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(out):
            exec(compile(code, page.name, "exec"), vars(module))
        yield out.getvalue()
