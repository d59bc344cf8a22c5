"""What the README shows works as written."""

import re
import shlex
from pathlib import Path

import matplotlib as mpl
import pytest
import typer

from benchmarks.pages import code_of
from dipops.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(code_of(ROOT / "README.md", "python"))
    small = code.replace("portrait(128)", "portrait(32)")
    small = small.replace("restore().solve(problem)", "restore().solve(problem, steps=2)")
    small = small.replace("recipes.denoise()", "TotalVariation(0.1)")
    assert [small.count(text) for text in ("portrait(32)", "steps=2", "TotalVariation(0.1)")] == [1, 1, 1]
    exec(compile(small, "README.md", "exec"), {"__name__": "readme"})
    assert "all 15 laws hold" in capsys.readouterr().out
    assert (tmp_path / "restored.png").stat().st_size > 0


def test_every_command_exists_with_its_options() -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore
    lines = [line for block in code_of(ROOT / "README.md", "bash") for line in block.splitlines() if line.startswith("dipops ")]
    assert len(lines) >= 5
    for line in lines:
        name, *rest = shlex.split(line, comments=True)[1:]
        command = commands[name].commands[rest[0]] if name == "paper" else commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options
    assert len(README.splitlines()) < 120
    for option in re.findall(r"`(--\w+)", README):
        assert option in {opt for parameter in commands["denoise"].params for opt in parameter.opts}


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_table_of_measured_figures_is_what_was_measured() -> None:
    summary = (ROOT / "benchmarks" / "results" / "paper-summary.md").read_text()
    assert "\n".join(line for line in summary.splitlines() if line.startswith("|")) in README
