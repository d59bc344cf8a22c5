"""Every block of Python in the documentation runs as written, and every command in it exists."""

import importlib
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import typer

from benchmarks.pages import code_of
from benchmarks.peers import PEERS, blocks, solve_all
from dipops.cli.app import app

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in (*DOCS.glob("*.md"), DOCS / "course" / "index.md"))
_SMALLER = [
    ("portrait(128)", "portrait(32)"),
    ("steps=600", "steps=2"),
    ("restore().solve(problem)", "restore().solve(problem, steps=2)"),
    ("steps=100", "steps=3"),
    ("steps=60,", "steps=3,"),
]


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page, "python")], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(block for block in code_of(page, "python") if not block.startswith(tuple(PEERS.values())))
    for large, small in _SMALLER:
        code = code.replace(large, small)
    exec(compile(code, page.name, "exec"), {"__name__": "page"})


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_solves_the_same_task(peer: str) -> None:
    """Where it is installed; it is no dependency."""
    pytest.importorskip(peer.lower())
    code = blocks()
    scores = solve_all({"blocks": {name: code[name] for name in ("dipops", peer)}, "rounds": 1})
    assert abs(scores[peer]["psnr"] - scores["dipops"]["psnr"]) < 0.5


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page, "console")], ids=lambda page: page.stem)
def test_every_command_exists_with_its_options(page: Path) -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore
    lines = [line[2:] for block in code_of(page, "console") for line in block.splitlines() if line.startswith("$ dipops ")]
    for line in lines:
        name, *rest = shlex.split(line, comments=True)[1:]
        command = commands[name].commands[rest[0]] if name == "paper" else commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


def test_every_link_leads_somewhere() -> None:
    for page in [*PAGES, *DOCS.glob("course/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            is_generated = target.startswith(("gallery/", "api/", "commands."))
            assert is_generated or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_example_has_a_place_in_the_gallery() -> None:
    order = (DOCS / "_ext" / "gallery_order.py").read_text()
    for script in (DOCS.parent / "examples").glob("*.py"):
        assert f'"{script.stem}"' in order
        assert script.read_text().startswith('"""\n')


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The extension that adds the buttons, for a project in another folder."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    extension = importlib.import_module("launch")
    monkeypatch.setattr(extension, "_ROOT", tmp_path)
    return extension


def test_pages_with_code_open_in_colab_and_binder_once_there_is_an_address(tmp_path: Path, launch: Any) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/owner/name"\n[project]\nname = "x"\n'
    )
    assert launch.repository() == "owner/name"
    for page, notebook in {"gallery/deblur": "deblur", "course/1-adjoints": "1-adjoints"}.items():
        context = {"body": "<h1>A page</h1>"}
        launch._add_buttons("owner/name", page, context)
        assert (
            f"https://colab.research.google.com/github/owner/name/blob/gh-pages/notebooks/{notebook}.ipynb" in context["body"]
        )
        assert f"https://mybinder.org/v2/gh/owner/name/gh-pages?urlpath=lab/tree/notebooks/{notebook}.ipynb" in context["body"]
        assert context["body"].endswith("<h1>A page</h1>")
    for page in ("start", "gallery/index", "course/index"):
        context = {"body": "<h1>A page</h1>"}
        launch._add_buttons("owner/name", page, context)
        assert context["body"] == "<h1>A page</h1>"

    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "deblur.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "1"}], "nbformat": 4}')
    launch._write_notebooks("owner/name", tmp_path, tmp_path)
    install, own = json.loads((tmp_path / "notebooks" / "deblur.ipynb").read_text())["cells"]
    assert install["source"] == '%pip install --quiet "dipops @ git+https://github.com/owner/name"'
    assert own["source"] == "1"
    assert "git+https://github.com/owner/name" in (tmp_path / "requirements.txt").read_text()


def test_without_an_address_there_are_no_buttons(tmp_path: Path, launch: Any) -> None:
    for urls in ("", '[project.urls]\nRepository = "https://example.org/owner/name"\n'):
        (tmp_path / "pyproject.toml").write_text(f'{urls}[project]\nname = "x"\n')
        assert launch.repository() == ""


def test_the_image_for_teaching_installs_extras_and_runs_commands_that_exist() -> None:
    lines = (DOCS.parent / "Dockerfile").read_text()
    extras = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (installed,) = re.findall(r'pip install [^"]*"/opt/dipops\[([\w,]+)\]"', lines)
    assert {"course", "lab"} <= set(installed.split(",")) <= extras.keys()
    commands = typer.main.get_command(app).commands  # pyright: ignore
    for command in re.findall(r"RUN dipops (.+)", lines):
        name, verb, *_ = shlex.split(command)
        assert verb in commands[name].commands
