"""Every block of Python in the documentation runs as written, and every command in it exists."""

import re
import shlex
from pathlib import Path

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
