"""Buttons that open the pages with code as notebooks in Colab and Binder, once the repository has an address.

The address is that of ``project.urls`` in pyproject.toml, of GitHub. The site is expected on its branch ``gh-pages``, with the
notebooks in ``notebooks/``.
"""

import json
import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)/?")
_BRANCH = "gh-pages"
_FOLDERS = {"gallery": "gallery", "course": "_drawn"}
"""By the folder of pages, the one of their notebooks."""


def repository():
    """The repository on GitHub, as owner/name; empty until pyproject.toml has ``Repository`` in ``project.urls``."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    match = _GITHUB.fullmatch(project.get("urls", {}).get("Repository", ""))
    return match.group(1) if match else ""


def setup(app):
    """Add the buttons and the notebooks, where there is an address."""
    if name := repository():
        app.connect("html-page-context", lambda _, page, __, context, ___: _add_buttons(name, page, context))
        app.connect("build-finished", lambda _, error: None if error else _write_notebooks(name, app.srcdir, app.outdir))


def _notebook(page):
    """The notebook of a page, from the folder of sources, or None."""
    folder, _, stem = page.rpartition("/")
    return Path(_FOLDERS[folder]) / f"{stem}.ipynb" if folder in _FOLDERS and stem != "index" else None


def _add_buttons(name, page, context):
    notebook = _notebook(page)
    if notebook is None or "body" not in context:
        return
    place = f"notebooks/{notebook.name}"
    links = {
        "Open in Colab": f"https://colab.research.google.com/github/{name}/blob/{_BRANCH}/{place}",
        "Open in Binder": f"https://mybinder.org/v2/gh/{name}/{_BRANCH}?urlpath=lab/tree/{place}",
    }
    buttons = "".join(f'<a class="launch" href="{link}">{text}</a>' for text, link in links.items())
    context["body"] = f'<p class="launches">{buttons}</p>{context["body"]}'


def _write_notebooks(name, sources, out):
    """Every notebook with a cell that installs dipops, and what Binder has to install."""
    install = f"dipops @ git+https://github.com/{name}"
    folder = Path(out) / "notebooks"
    folder.mkdir(exist_ok=True)
    for source in _FOLDERS.values():
        for path in (Path(sources) / source).glob("*.ipynb"):
            notebook = json.loads(path.read_text("utf-8"))
            cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
            notebook["cells"].insert(0, {**cell, "id": "install", "source": f'%pip install --quiet "{install}"'})
            (folder / path.name).write_text(json.dumps(notebook, ensure_ascii=False), "utf-8")
    (Path(out) / "requirements.txt").write_text(f"{install}\njupyterlab\nipywidgets\n")
