"""How the site is built: ``make docs``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import api  # noqa: E402
import charts  # noqa: E402
import commands  # noqa: E402
import drawings  # noqa: E402
import measured  # noqa: E402
import outputs  # noqa: E402
import thumbnails  # noqa: E402

import dipops  # noqa: E402

project = "dipops"
author = "The dipops authors"
copyright = f"2026, {author}"
release = version = dipops.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
    "launch",
]
exclude_patterns = [
    "_build",
    "_measured/*",
    "_drawn/*",
    "course/solutions",
    "gallery/*.ipynb",
    "gallery/*.py",
    "**/GALLERY*",
]
nb_execution_mode = "cache"  # lessons run with their blanks; make course runs them with their solutions
os.environ["DIPOPS_SLIDERS"] = "0"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes_action = "qe"  # two hyphens begin an option
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
add_module_names = False
python_use_unqualified_type_names = True
copybutton_exclude = ".linenos, .gp"
suppress_warnings = ["config.cache"]

sphinx_gallery_conf = {
    "examples_dirs": [str(HERE.parent / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_order.sort_key",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "plot_gallery": "True",
    "image_scrapers": ("thumbnails",),
    "parallel": 2,
    "abort_on_example_error": True,
    "image_srcset": [],
    "thumbnail_size": (480, 440),
    "matplotlib_animations": False,
    "reset_modules": ("matplotlib",),
    "capture_repr": (),
}

html_theme = "furo"
html_title = "dipops"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["tables.js"]
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}


def _plain(app, what, name, thing, options, lines):
    lines[:] = map(api.plain, lines)


def _module_of_alias(app, module, name):
    """The module itself for a name that stands for a builtin, such as Record for a dict, which has no source."""
    thing = getattr(sys.modules.get(module), name.partition(".")[0], None)
    return module if getattr(thing, "__module__", None) in ("builtins", "types") else None


def setup(app):
    """Write what is made from the code before anything is read."""
    app.connect("autodoc-process-docstring", _plain, priority=400)
    app.connect("viewcode-follow-imported", _module_of_alias)
    app.connect("env-get-outdated", lambda *_: outputs.PAGES)
    app.connect("source-read", outputs.add)
    app.connect("builder-inited", lambda _: thumbnails.write(HERE / "gallery"), priority=900)  # after the gallery is made
    api.write(HERE / "api")
    charts.write(HERE / "_drawn")
    commands.write(HERE / "commands.rst")
    drawings.write(HERE / "_drawn")
    outputs.write(HERE / "_drawn")
    measured.write(HERE / "_measured")
