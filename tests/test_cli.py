"""The command line, as a user types it."""

import csv
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import save_file

from dipops import NoPrior, TotalVariation, images, masks, metrics, solve
from dipops.cli import comparing, solving
from dipops.cli.app import app
from dipops.operators import LanczosDownsampler
from dipops.operators.networks import AlexNet, SqueezeNet
from dipops.recipes import Recipe
from dipops.solver.cost import Estimate
from tests.commands import run


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small photograph, noisy, reduced, masked, and its mask."""
    folder, truth = tmp_path_factory.mktemp("photographs"), images.portrait(32)
    images.save(folder / "truth.png", truth)
    images.save(folder / "noisy.png", truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0)))
    images.save(folder / "small.png", LanczosDownsampler((3, 32, 32), 4)(truth[None]))
    mask = masks.random((32, 32), 0.7)
    images.save(folder / "mask.png", mask[None])
    images.save(folder / "holes.png", truth * mask)
    images.save(folder / "black.png", torch.zeros(1, 32, 32))
    return folder


@pytest.fixture
def folder(photographs: Path, tmp_path: Path) -> Path:
    """A folder of one test with a copy of the photographs."""
    return Path(shutil.copytree(photographs, tmp_path, dirs_exist_ok=True))


COMMANDS = {
    "denoise": lambda f: ("denoise", f / "noisy.png", f / "out.png", "--sigma", 25),
    "upscale": lambda f: ("upscale", f / "small.png", f / "out.png", "--factor", 4),
    "inpaint": lambda f: ("inpaint", f / "holes.png", f / "out.png", "--mask", f / "mask.png"),
    "flash": lambda f: ("flash", f / "truth.png", f / "noisy.png", f / "out.png"),
}


def test_the_restoring_commands_share_their_options() -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore
    options = {name: [option for parameter in commands[name].params for option in parameter.opts] for name in COMMANDS}
    shared = options["flash"][3:]
    assert shared[0] == "--prior"
    assert shared[-2:] == ["--quiet", "-q"]
    assert all(names[-len(shared) :] == shared for names in options.values())
    assert {name: names[: -len(shared)] for name, names in options.items()} == {
        "denoise": ["input", "--sigma", "--clipped", "--fuse", "output"],
        "upscale": ["input", "--factor", "output"],
        "inpaint": ["input", "--mask", "--invert-mask", "output"],
        "flash": ["flash", "noflash", "output"],
    }


@pytest.mark.parametrize("prior", ["tv", "tikhonov", "none"])
@pytest.mark.parametrize("command", ["denoise", "upscale", "inpaint"])
def test_each_command_restores(command: str, prior: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By SURE, at a given weight, or in the limit without noise."""
    extra = ("--prior", prior, "--truth", folder / "truth.png", "--figure", folder / "figure.png", "--steps", 50, "--seed", 3)
    weight = ("--weight", 0.05) if (command, prior) == ("denoise", "tv") else ()
    assert run(*COMMANDS[command](folder), *extra, *weight) == 0
    restored = images.load(folder / "out.png")
    record = json.loads((folder / "out.png.dipops.json").read_text())
    assert restored.shape == (3, 32, 32)
    assert record["psnr"] == pytest.approx(float(metrics.psnr(restored, images.load(folder / "truth.png"))), abs=0.05)
    assert (record["command"], record["seed"]) == (command, 3)
    assert 0 < record["steps"] <= 50
    assert record["objective"] > 0
    assert record["environment"]["packages"]["torch"] == str(torch.__version__)
    assert record["files"].keys() == {"input", "truth"} | ({"mask"} if command == "inpaint" else set())
    assert all(len(file["sha256"]) == 64 for file in record["files"].values())
    assert images.load(folder / "figure.png").shape[0] == 3
    assert "PSNR" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_fits_a_deep_image_prior(command: str, folder: Path) -> None:
    assert run(*COMMANDS[command](folder), "--steps", 2, "--quiet") == 0
    assert "DeepImagePrior" in json.loads((folder / "out.png.dipops.json").read_text())["prior"]


def test_tv_is_not_solved_again_after_its_weight_is_chosen_and_quiet_is_silent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Recipe, "solve", None)
    assert run(*COMMANDS["denoise"](folder), "--prior", "tv", "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    record = json.loads((folder / "out.png.dipops.json").read_text())
    assert "SURE" in record["recipe_source"]
    assert record["status"] == "CONVERGED"
    assert record["objective"] > 0


def test_several_runs_give_their_mean_and_standard_deviation(folder: Path) -> None:
    extra = ("--runs", 3, "--steps", 2, "--truth", folder / "truth.png", "--figure", folder / "figure.png", "--quiet")
    assert run(*COMMANDS["denoise"](folder), *extra) == 0
    record = json.loads((folder / "out.png.dipops.json").read_text())
    assert record["runs"] == len(record["source"]) == len(record["psnr_of_runs"]) == 3
    assert record["psnr"] > sum(record["psnr_of_runs"]) / 3
    std = images.load(folder / "out-std.png")
    assert std.shape == (1, 32, 32)
    assert float(std.max()) == 1


def test_a_run_is_resumed_from_its_checkpoint(folder: Path) -> None:
    command = COMMANDS["denoise"](folder)
    assert run(*command, "--steps", 2, "--quiet") == 0
    uninterrupted = (folder / "out.png").read_bytes()
    for steps in (1, 2):
        assert run(*command, "--steps", steps, "--checkpoint", folder / "run.pt", "--quiet") == 0
    assert (folder / "out.png").read_bytes() == uninterrupted


def test_inpainting_keeps_the_known_pixels_and_quiet_is_silent(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*COMMANDS["inpaint"](folder), "--steps", 2, "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    known = images.load(folder / "mask.png")[0] > 0.5
    assert images.load(folder / "out.png")[:, known].equal(images.load(folder / "holes.png")[:, known])
    assert json.loads((folder / "out.png.dipops.json").read_text())["projected"] is True


@pytest.mark.parametrize("recipe", ["light", "paper"])
def test_the_recipe_can_be_chosen(recipe: str, folder: Path) -> None:
    assert run(*COMMANDS["denoise"](folder), "--steps", 2, "--recipe", recipe, "--quiet") == 0
    assert ("(128, 128, 128" in json.loads((folder / "out.png.dipops.json").read_text())["prior"]) is (recipe == "paper")


def test_the_same_seed_writes_the_same_image(folder: Path) -> None:
    command = (*COMMANDS["denoise"](folder), "--steps", 2, "--quiet", "--seed", 1)
    assert run(*command) == 0
    first = (folder / "out.png").read_bytes()
    assert run(*command) == 0
    assert (folder / "out.png").read_bytes() == first


BAD = {
    "missing": (lambda f: ("denoise", f / "absent.png", f / "out.png"), "absent.png.*check the path"),
    "text": (lambda f: ("denoise", f / "text.png", f / "out.png"), "text.png.*convert"),
    "suffix": (lambda f: ("denoise", f / "noisy.png", f / "out.xyz"), "suffix '.xyz'"),
    "folder": (lambda f: ("denoise", f / "noisy.png", f / "no" / "out.png"), "a folder that exists"),
    "truth": (
        lambda f: ("denoise", f / "noisy.png", f / "out.png", "--truth", f / "small.png"),
        "a ground truth of 8 x 8",
    ),
    "factor 0": (lambda f: ("upscale", f / "small.png", f / "out.png", "--factor", 0), "factor = 0"),
    "factor 1": (lambda f: ("upscale", f / "small.png", f / "out.png", "--factor", 1), "factor = 1"),
    "factor 2.5": (lambda f: ("upscale", f / "small.png", f / "out.png", "--factor", 2.5), "factor = 2.5"),
    "mask": (
        lambda f: ("inpaint", f / "holes.png", f / "out.png", "--mask", f / "small.png"),
        "a mask of 8 x 8 .* of 32 x 32",
    ),
    "black": (lambda f: ("inpaint", f / "holes.png", f / "out.png", "--mask", f / "black.png"), "no known pixel"),
    "tiny": (lambda f: ("denoise", f / "small.png", f / "out.png"), "sides from 16 pixels"),
    "guide": (lambda f: ("flash", f / "small.png", f / "noisy.png", f / "out.png"), "a flash photo of 8 x 8 pixels"),
    "weight": (lambda f: ("denoise", f / "noisy.png", f / "out.png", "--prior", "tv", "--weight", -1), "weight = -1"),
    "weight for DIP": (lambda f: ("denoise", f / "noisy.png", f / "out.png", "--weight", 1), "leave --weight out"),
    "runs": (
        lambda f: ("denoise", f / "noisy.png", f / "out.png", "--prior", "tv", "--runs", 2),
        "--runs .* with --prior tv",
    ),
    "recipe": (
        lambda f: ("denoise", f / "noisy.png", f / "o.png", "--prior", "tv", "--recipe", "paper"),
        "--recipe, .* with --prior tv",
    ),
    "checkpoint": (lambda f: ("denoise", f / "noisy.png", f / "o.png", "--checkpoint", f / "text.png"), "is no checkpoint"),
    "figure": (lambda f: ("denoise", f / "noisy.png", f / "out.png", "--figure", f / "f.xyz"), "a figure such as"),
    "figure over output": (
        lambda f: ("denoise", f / "noisy.png", f / "o.png", "--figure", f / "o.png"),
        "would be written twice",
    ),
    "output folder": (lambda f: ("denoise", f / "noisy.png", f / "folder.png"), "is a folder"),
    "demo file": (lambda f: ("demo", "--output", f / "noisy.png"), "is a file"),
    "seed": (lambda f: ("denoise", f / "noisy.png", f / "out.png", "--seed", -1, "--quiet"), "seed = -1"),
    "python": (lambda f: ("check", f"{f / 'broken.py'}:Right"), "broken.py raises SyntaxError"),
    "constructor": (lambda f: ("check", f"{f / 'op.py'}:Late"), r"Late.* before super\(\)\.__init__"),
    "priors": (lambda f: ("compare", f / "truth.png", "--priors", "tv,magic"), "dip, tv, tikhonov, none"),
    "prior twice": (lambda f: ("compare", f / "truth.png", "--priors", "tv,dip,tv"), "the prior tv twice"),
    "prior without noise": (
        lambda f: ("compare", f / "truth.png", "--priors", "dip+tv", "--sigma", 0),
        r"dip\+tv without noise",
    ),
    "seeds": (lambda f: ("compare", f / "truth.png", "--seeds", 0, "--output", f / "folder.png"), "seeds = 0"),
    "channels": (
        lambda f: ("compare", f / "truth.png", f / "black.png", "--priors", "dip", "--output", f / "folder.png"),
        r"truth of shape \(3, 32, 32\) and black of shape \(1, 32, 32\)",
    ),
    "operator twice": (
        lambda f: ("compare", f / "truth.png", "--operator", "identity", "--operator", "identity"),
        "the operator identity twice",
    ),
    "one image size": (
        lambda f: ("compare", f / "truth.png", f / "small.png", "--operator", f"{f / 'op.py'}:OneSize", "--priors", "none"),
        r"OneSize\(\(3, 8, 8\)\) raises ValueError",
    ),
    "operator": (
        lambda f: ("compare", f / "truth.png", "--operator", "maks:0.5", "--output", f / "folder.png"),
        "write mask:0.5",
    ),
    "keep": (lambda f: ("compare", f / "truth.png", "--operator", "mask:x", "--output", f / "folder.png"), "mask = x"),
    "class": (lambda f: ("check", f"{f / 'op.py'}:Absent"), "no class Absent.*Right.*make"),
    "more arguments": (lambda f: ("check", f"{f / 'op.py'}:Scaled"), r"Scaled\(in_shape, factor\).*write def make\(in_shape\)"),
    "no argument": (lambda f: ("check", f"{f / 'op.py'}:nothing"), r"nothing\(\); expected .* in_shape alone"),
    "an operator": (lambda f: ("check", f"{f / 'op.py'}:made"), r"made in .*, an operator;.*: return made"),
    "no operator": (lambda f: ("check", f"{f / 'op.py'}:tuple"), r"tuple\(\(3, 9, 13\)\) is a tuple; .*return one"),
    "nothing returned": (lambda f: ("check", f"{f / 'op.py'}:forgets"), r"forgets\(\(3, 9, 13\)\) is None"),
    "blocks": (lambda f: ("check", f"{f / 'op.py'}:Blocks"), r"Blocks\(\(3, 9, 13\)\) raises ValueError.*--shape 3,16,16"),
    "even": (lambda f: ("check", f"{f / 'op.py'}:Even"), r"Even\(\(3, 9, 13\)\) raises ValueError.*--shape 3,10,14"),
    "one channel": (lambda f: ("check", f"{f / 'op.py'}:OneChannel"), r"OneChannel.forward raises .*--shape 1,16,16"),
    "plane": (lambda f: ("check", f"{f / 'op.py'}:plane"), r"plane\(.* raises .*--shape 16,16"),
    "vector": (lambda f: ("check", f"{f / 'op.py'}:Vector"), r"Vector\(.* raises .*--shape 64"),
    "compared function": (
        lambda f: ("compare", f / "truth.png", "--operator", f"{f / 'op.py'}:Scaled", "--output", f / "folder.png"),
        r"write def make\(in_shape\)",
    ),
    "file": (lambda f: ("check", f"{f / 'absent.py'}:Right"), "no file at"),
    "no colon": (lambda f: ("check", f / "op.py"), "FILE.py:NAME"),
    "shape": (lambda f: ("check", f"{f / 'op.py'}:Right", "--shape", "3,a"), "shape = a"),
}
if not torch.cuda.is_available():
    BAD["cuda"] = (lambda f: ("denoise", f / "noisy.png", f / "out.png", "--device", "cuda"), "use --device auto or cpu")

OPERATOR = """
import torch
from dipops import LinearOperator

class Right(LinearOperator):
    def forward(self, x):
        return 2 * x

class Late(LinearOperator):
    def __init__(self, in_shape):
        self.kernel = 3
        self.missing()

class Fails(Right):
    def forward(self, x):
        return x @ x.new_zeros(7, 7)

class Wrong(Right):
    def adjoint(self, y):
        return 4 * y

class OneSize(Right):
    def __init__(self, in_shape):
        super().__init__(in_shape)
        if in_shape[1] != 32:
            raise ValueError("32 pixels only")

class Scaled(Right):
    def __init__(self, in_shape, factor):
        super().__init__(in_shape)
        self.factor = factor

    def forward(self, x):
        return self.factor * x

def make(in_shape):
    return Scaled(in_shape, 3)

def nothing():
    return made

made = make((3, 9, 13))
tuple = tuple

def forgets(in_shape):
    make(in_shape)

class Blocks(Right):
    SIDE = 8

    def __init__(self, in_shape):
        super().__init__(in_shape)
        if any(side % self.SIDE for side in in_shape[-2:]):
            raise ValueError("sides")

class Even(Blocks):
    SIDE = 2

class OneChannel(Right):
    def forward(self, x):
        return torch.nn.functional.conv2d(x, x.new_ones(1, 1, 3, 3))

def plane(in_shape):
    height, width = in_shape
    return Right(in_shape)

class Vector(Right):
    def __init__(self, in_shape):
        (self.size,) = in_shape
        super().__init__(in_shape)
"""


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "text.png").write_text("no image")
    (folder / "op.py").write_text(OPERATOR)
    (folder / "broken.py").write_text("class")
    (folder / "folder.png").mkdir()
    before = sorted(entry.name for entry in folder.iterdir())
    arguments, words = BAD[case]
    assert run(*arguments(folder)) == 2
    message = capsys.readouterr().err
    assert message.startswith("dipops: ")
    assert len(message.strip().splitlines()) == 1
    assert re.search(words, message)
    assert sorted(entry.name for entry in folder.iterdir() if entry.name != "__pycache__") == before


def test_check_tests_a_users_operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "op.py").write_text(OPERATOR)
    assert run("check", f"{tmp_path / 'op.py'}:Right", "--shape", "3,9,13") == 0
    assert capsys.readouterr().out.count("all 15 laws hold") == 1
    assert run("check", f"{tmp_path / 'op.py'}:Right") == 0
    assert capsys.readouterr().out.count("all 15 laws hold") == 2
    (tmp_path / "copy.py").write_text(OPERATOR)
    assert run("check", f"{tmp_path / 'copy.py'}:Right") == 0
    capsys.readouterr()
    assert run("check", f"{tmp_path / 'op.py'}:make", "--shape", "64") == 0
    assert "Scaled(64)" in capsys.readouterr().out
    assert run("check", f"{tmp_path / 'op.py'}:Fails") == 1
    assert "✗ forward fails on a zero image: RuntimeError" in capsys.readouterr().out
    assert run("check", f"{tmp_path / 'op.py'}:Wrong") == 1
    report = capsys.readouterr().out
    assert "✗ adjoint" in report
    assert "the adjoint looks scaled by 2" in report


def test_check_alone_tests_every_operator(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--shape", "3,4,7") == 0
    assert "LanczosDownsampler" in capsys.readouterr().out


def test_the_demo_writes_images_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a smaller photograph than a user's, and by shorter solves."""
    priors = {"none": NoPrior(), "tv": TotalVariation(0.1)}
    monkeypatch.setattr("dipops.cli.comparing.DEMO_SIZE", 32)
    monkeypatch.setattr(comparing, "solve_convex", lambda problem, name, run: (None, solve(problem, priors[name], steps=2)))
    assert run("demo", "--output", tmp_path / "demo", "--steps", 2) == 0
    names = {"noisy.png", "no-prior.png", "tv.png", "dip.png", "truth.png", "demo.png", "curves.png", "demo.png.dipops.json"}
    assert {entry.name for entry in (tmp_path / "demo").iterdir()} == names
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in ("noisy", "TV", "DIP"))


@pytest.mark.parametrize(
    ("operator", "sigma", "labels"),
    [
        ("identity", 25, ["none", "Tikhonov", "TV", "DIP"]),
        ("mask:0.5", 0, ["TV", "DIP"]),
        pytest.param("lanczos:4", 0, ["none", "Tikhonov", "TV", "DIP"], marks=pytest.mark.slow),
        ("op.py:make", 0, ["DIP", "Tikhonov"]),
        pytest.param("op.py:Right", 10, ["none", "Tikhonov", "TV", "DIP"], marks=pytest.mark.slow),
    ],
)
def test_compare_writes_a_table_a_figure_and_a_record(
    operator: str, sigma: float, labels: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "op.py").write_text(OPERATOR)
    name = operator.replace("op.py", str(folder / "op.py"))
    options = ("--operator", name, "--sigma", sigma, "--steps", 2, "--output", folder / "out")
    names = [label.lower() for label in labels]
    priors = ("--priors", ",".join(names)) if len(names) < 4 else ()
    assert run("compare", folder / "truth.png", *options, *priors) == 0
    table = capsys.readouterr().out.splitlines()[2 : 2 + len(labels)]
    assert [line.split("|")[1].strip() for line in table] == labels
    files = {"comparison.png", "comparison.md", "comparison.png.dipops.json", "runs", *(f"{name}.png" for name in names)}
    assert {entry.name for entry in (folder / "out").iterdir()} == files
    rows = {row["contestant"]: row for row in json.loads((folder / "out" / "comparison.png.dipops.json").read_text())["rows"]}
    if sigma:
        assert rows["TV"]["psnr"] > rows["none"]["psnr"]


@pytest.fixture(scope="module")
def compared(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[object, ...]]:
    """A folder with two images and an operator, and the command that compares four contestants by two operators."""
    folder = tmp_path_factory.mktemp("compared")
    truth = images.load(photographs / "truth.png")
    (folder / "images").mkdir()
    images.save(folder / "images" / "left.png", truth[:, :, :24])
    images.save(folder / "images" / "right_50%.png", truth)
    (folder / "op.py").write_text(OPERATOR)
    operators = ("--operator", "identity", "--operator", f"{folder / 'op.py'}:Right")
    priors = ("--priors", "dip,wavelet", "--steps", 1, "--seeds", 2, "--quiet")
    tables = ("--output", folder / "out", "--csv", folder / "runs.csv", "--latex", folder / "table.tex")
    return folder, ("compare", folder / "images", *operators, *priors, *tables)


def test_no_image_and_no_prior_of_a_comparison_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("x.png", "x.png.png", "x.jpg", os.fsdecode(b"caf\xe9.png")):
        images.save(tmp_path / "in" / name, images.portrait(32))
    tables = ("--output", tmp_path / "out", "--csv", tmp_path / "runs.csv", "--quiet")
    assert run("compare", tmp_path / "in", "--priors", "none", "--priors", "tikhonov", *tables) == 0
    rows = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert len({row["image"] for row in rows}) == 4
    assert {row["contestant"] for row in rows} == {"none", "Tikhonov"}
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "in")
    assert run("compare", tmp_path / "in" / "x.jpg", link / "x.jpg", "--output", tmp_path / "twice") == 2
    assert "twice; expected each once" in capsys.readouterr().err


def test_an_operator_that_changes_from_call_to_call_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import torch\nfrom dipops import Mask\ndef make(s): return Mask((torch.rand(s[1:]) < 0.5).float(), channels=s[0])\n"
    (folder / "drawn.py").write_text(text)
    options = ("--operator", f"{folder / 'drawn.py'}:make", "--priors", "none", "--output", folder / "drawn")
    assert run("compare", folder / "truth.png", *options) == 2
    assert "differs from one call of its function to the next" in capsys.readouterr().err


def test_images_operators_and_seeds_are_compared_and_resumed(compared, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pywt")
    folder, command = compared
    assert run(*command) == 1, "the denoiser fails where A is no identity"
    message = capsys.readouterr().err
    assert message.startswith("dipops: wavelet failed on left (op.py:Right), right_50% (op.py:Right): BadValue")
    table = (folder / "out" / "comparison.md").read_text()
    assert "| identity | DIP |" in table
    assert "| op.py:Right | DIP |" in table
    assert "wavelet (0 of 2 images)" in table
    assert len((folder / "runs.csv").read_text().splitlines()) == 1 + 2 * 2 * 2 * 2
    assert r"op.py:Right & DIP" in (folder / "table.tex").read_text()
    assert {path.name for path in (folder / "out").iterdir()} == {
        "comparison.png", "comparison.md", "comparison.png.dipops.json", "runs",
    }  # fmt: skip
    made = {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "runs").glob("*-*.json")}
    assert len(made) == 2 * 2 * 2 * 2 - 2 * 2
    assert run(*command) == 1
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "runs").glob("*-*.json")} == made


def test_a_changed_operator_file_is_another_study(folder: Path) -> None:
    options = ("--operator", f"{folder / 'op.py'}:Right", "--priors", "none", "--output", folder / "out", "--quiet")
    for count, factor in ((1, 2), (2, 3), (2, 3)):
        (folder / "op.py").write_text(OPERATOR.replace("return 2 * x", f"return {factor} * x"))
        assert run("compare", folder / "truth.png", *options) == 0
        assert len(list((folder / "out" / "runs").glob("op-py-right-*.json"))) == count


def test_tv_next_to_dip_has_half_the_weight_that_sure_chooses(folder: Path) -> None:
    options = ("--priors", "tv,dip+tv", "--steps", 2, "--output", folder / "out", "--quiet")
    assert run("compare", folder / "truth.png", *options) == 0
    assert {"tv.png", "dip+tv.png"} < {path.name for path in (folder / "out").iterdir()}
    records = [json.loads(path.read_text()) for path in sorted((folder / "out" / "runs").glob("*-*.json"))]
    weights = [float(re.findall(r"TotalVariation\(([\d.]+)\)", record["settings"])[0]) for record in records]
    assert weights[0] == pytest.approx(weights[1] / 2)


def test_a_comparison_is_not_written_next_to_its_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next comparison of the folder would take its figure for a ground truth."""
    before = sorted(folder.iterdir())
    for images_of in (folder, folder / "truth.png"):
        assert run("compare", images_of, "--output", folder, "--priors", "none", "--steps", 2) == 2
        assert "the folder of the images; expected another folder" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


@pytest.mark.slow
def test_processes_make_the_runs_of_a_comparison(compared) -> None:
    folder, command = compared
    (folder / "op.py").write_text(OPERATOR)
    command = (*command[:-6], "--output", folder / "shared", "--workers", 2)
    assert run(*command) == 1
    assert len(list((folder / "shared" / "runs").glob("*-*.json"))) == 12


@pytest.mark.slow
def test_a_comparison_that_is_killed_continues(folder: Path) -> None:
    """SIGKILL after the third run; no finished run is touched again."""
    words = ("compare", folder / "truth.png", "--priors", "dip", "--steps", 60, "--seeds", 6, "--output", folder / "out", "-q")
    runs = folder / "out" / "runs"
    process = subprocess.Popen([sys.executable, "-m", "dipops", *map(str, words)], cwd=Path(__file__).parents[1])
    deadline = time.monotonic() + 60
    while len(list(runs.glob("*-*.json"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*-*.json")}
    assert run(*words) == 0
    assert len(list(runs.glob("*-*.json"))) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network, and an untrained classifier."""
    folder = tmp_path_factory.mktemp("weights")
    save_file(dict(AlexNet(complete=False).state_dict()), folder / "alexnet.safetensors")
    classifier = {name.replace(".", "/", name.startswith("fire")): array for name, array in SqueezeNet().state_dict().items()}
    save_file(classifier, folder / "squeezenet.safetensors")
    return folder


def test_a_preimage_is_an_image_a_score_and_a_record(folder: Path, weights: Path, capsys) -> None:
    files = ("--weights", weights / "alexnet.safetensors", "--classifier", weights / "squeezenet.safetensors")
    assert run("preimage", folder / "truth.png", folder / "out.png", *files, "--layer", "conv2", "--steps", 1) == 0
    assert images.load(folder / "out.png").shape == (3, 227, 227)
    (preimage,) = json.loads((folder / "out.png.dipops.json").read_text())["preimages"]
    assert (preimage["layer"], preimage["prior"], preimage["steps"]) == ("conv2", "DIP", 1)
    assert f"{preimage['error']:.3f}" in capsys.readouterr().out


def test_all_layers_are_a_figure_a_table_and_images(folder: Path, weights: Path) -> None:
    options = ("--weights", weights / "alexnet.safetensors", "--layer", "all", "--prior", "none", "--steps", 1, "--quiet")
    assert run("preimage", folder / "truth.png", folder / "all.png", *options) == 0
    layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")
    names = {"all.png", "all.png.dipops.json", "all.md", *(f"all-{layer}-none.png" for layer in layers)}
    assert names == {path.name for path in folder.iterdir() if path.name.startswith("all")}
    assert len((folder / "all.md").read_text().splitlines()) == 2 + len(layers)


def test_a_unit_is_maximised_from_the_command_line(folder: Path, weights: Path, capsys) -> None:
    options = ("--network", "squeezenet", "--weights", weights / "squeezenet.safetensors", "--layer", "conv_final")
    assert run("maximise", folder / "out.png", *options, "--unit", 3, "--prior", "tv", "--steps", 1) == 0
    assert images.load(folder / "out.png").shape == (3, 227, 227)
    assert json.loads((folder / "out.png.dipops.json").read_text())["unit"] == [3]
    assert "% of the target" in capsys.readouterr().out


BAD_NETWORKS = {
    "layer": (("--layer", "conv7"), "the nearest are conv"),
    "layout": (("--network", "torchvision"), "expected --network caffe"),
    "another network": (("--network", "squeezenet"), "conv1.weight of shape|weights of SqueezeNet"),
    "weight": (("--weight", 1, "--prior", "none"), "leave --weight out"),
    "classifier": (("--classifier", "absent.npz"), "absent.npz.*check the path"),
}


@pytest.mark.parametrize("case", BAD_NETWORKS)
def test_bad_networks_are_one_line_and_exit_code_2(case: str, folder: Path, weights: Path, capsys) -> None:
    extra, words = BAD_NETWORKS[case]
    before = sorted(folder.iterdir())
    files = (folder / "truth.png", folder / "out.png", "--weights", weights / "alexnet.safetensors")
    assert run("preimage", *files, *extra) == 2
    assert re.search(words, capsys.readouterr().err)
    assert run("maximise", folder / "out.png", "--unit", 3) == 2
    assert "without weights" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_version_and_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dipops", "version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("dipops", run_name="__main__")
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("denoise", (), "at most 40 min (4000 steps), usually under 13 min; memory about 1 GB"),
        ("denoise", ("--recipe", "paper"), "at most 30 min (3000 steps); memory about 1 GB"),
        ("denoise", ("--steps", 1000), "at most 10 min (1000 steps); memory about 1 GB"),
        ("inpaint", (), "at most 20 min (2000 steps); memory about 1 GB"),
    ],
)
def test_the_cost_of_a_long_run_is_printed(
    name: str,
    options: tuple[object, ...],
    words: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(solving, "estimate", lambda problem, prior, method, steps: Estimate(steps, 0.6 * steps, 10**9))
    monkeypatch.setattr(Recipe, "solve", interrupted)
    command = (*COMMANDS[name](folder), *options)
    assert run(*command) == 130
    assert capsys.readouterr().out.splitlines()[-1] == words
    assert run(*command, "--quiet") == 130
    assert capsys.readouterr().out == ""


def test_the_cost_of_a_comparison_is_that_of_all_its_network_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(solving, "estimate", lambda problem, prior, method, steps: Estimate(steps, 0.6 * steps, 10**9))
    monkeypatch.setattr(comparing, "study", interrupted)
    command = ("compare", folder / "truth.png", "--priors", "tv,dip,dip+tv", "--seeds", 3, "--output", folder / "c.png")
    assert run(*command) == 130
    assert "at most 4.0 h (6 network runs of 4000 steps), usually under 80 min" in capsys.readouterr().out


def test_the_cost_of_a_short_run_is_not_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*COMMANDS["denoise"](folder), "--steps", 2) == 0
    assert "at most" not in capsys.readouterr().out
