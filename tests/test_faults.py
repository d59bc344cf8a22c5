"""What a user can do wrong, or what can go wrong, on the command line: one line, and every file is as it was."""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dipops import DeepImagePrior, NoPrior, Problem, TotalVariation, compare, images, solve
from dipops.cli import outputs
from dipops.cli.memory import memory_error
from dipops.errors import BadFile, BadType, BadValue
from dipops.operators import Identity
from dipops.operators.networks.weights import read_weights
from dipops.study import Store
from tests.commands import run

NOBODY = 65534
OPERATOR = """
from abc import ABC, abstractmethod
from dipops import LinearOperator

class Nothing(LinearOperator):
    def forward(self, x):
        return None

class Empty(LinearOperator):
    def forward(self, x):
        return x[:, :0]

class Integers(LinearOperator):
    def forward(self, x):
        return x.int()

class InPlace(LinearOperator):
    def forward(self, x):
        x *= 2
        return x

class Recursive(LinearOperator):
    def forward(self, x):
        return self.forward(x)

class Abstract(LinearOperator, ABC):
    @abstractmethod
    def other(self): ...

class WithoutForward(LinearOperator):
    pass

class Huge(LinearOperator):
    def forward(self, x):
        return 1e30 * x

class ManyLines(LinearOperator):
    def forward(self, x):
        raise ValueError("a\\nb")

class Leaves(LinearOperator):
    def forward(self, x):
        raise SystemExit(7)
"""
CLASSES = ("Nothing", "Empty", "Integers", "InPlace", "Recursive", "Abstract", "WithoutForward", "Huge", "ManyLines", "Leaves")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small images, notes, a user's operators, a FIFO, and links that lead nowhere."""
    truth = images.portrait(32)
    images.save(tmp_path / "photo.png", truth)
    images.save(tmp_path / "foreign.png", 1 - truth)
    (tmp_path / "record.png.dipops.json").write_text('{"mine": 1}')
    (tmp_path / "empty.png.dipops.json").write_text("{}")
    (tmp_path / "list.png.dipops.json").write_text("[]")
    images.save(tmp_path / "small.png", truth[:, :8, :8])
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "op.py").write_text(OPERATOR)
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(7)\n")
    os.mkfifo(tmp_path / "fifo.png")
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def content(folder: Path) -> dict[str, bytes | str]:
    """The bytes of every file, and where links lead to."""
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {
        str(path): path.readlink().name if path.is_symlink() else path.read_bytes() if path.is_file() else "" for path in paths
    }


def denoise(output: str, *options: object) -> Callable[[Path], tuple[object, ...]]:
    """The command that writes ``output``; options that begin with / are paths in the folder."""

    def arguments(folder: Path) -> tuple[object, ...]:
        given = [folder / word[1:] if isinstance(word, str) and word.startswith("/") else word for word in options]
        return ("denoise", folder / "photo.png", folder / output, "--prior", "none", "--steps", 2, "--quiet", *given)

    return arguments


def dip(*options: object) -> Callable[[Path], tuple[object, ...]]:
    return lambda f: ("denoise", f / "photo.png", f / "new.png", "--quiet", *options)


def comparison(*options: object) -> Callable[[Path], tuple[object, ...]]:
    return lambda f: ("compare", f / "photo.png", "--priors", "tv", "--quiet", "--output", f / "folder.png", *options)


BAD = {
    "the input as output": (denoise("photo.png"), "photo.png is an input and an output"),
    "a file of others as output": (denoise("foreign.png"), "foreign.png exists"),
    "a text as figure": (denoise("new.png", "--figure", "/foreign.png"), "foreign.png exists"),
    "the truth as figure": (
        denoise("new.png", "--truth", "/foreign.png", "--figure", "/foreign.png"),
        "an input and an output",
    ),
    "the truth as checkpoint": (denoise("new.png", "--truth", "/foreign.png", "--checkpoint", "/foreign.png"), "an input and"),
    "a text as checkpoint": (denoise("new.png", "--checkpoint", "/notes.txt"), "is no checkpoint"),
    "a record of others": (denoise("record.png"), "record.png.dipops.json is no record"),
    "a record of others by force": (denoise("record.png", "--force"), "record.png.dipops.json is no record"),
    "a FIFO as output": (denoise("fifo.png"), "is a FIFO"),
    "a FIFO by force": (denoise("fifo.png", "--force"), "is a FIFO"),
    "a FIFO as checkpoint": (denoise("new.png", "--checkpoint", "/fifo.png"), "is a FIFO"),
    "a FIFO as truth": (denoise("new.png", "--truth", "/fifo.png"), "is a FIFO"),
    "a FIFO as input": (lambda f: ("denoise", f / "fifo.png", f / "new.png"), "is a FIFO"),
    "a FIFO as lesson": (lambda f: ("grade", f / "fifo.md"), "is a FIFO"),
    "a link to nothing": (denoise("dangling.png"), "a link to a missing file"),
    "a link to itself": (denoise("loop.png"), "remove the link"),
    "a long name": (denoise("n" * 260 + ".png"), "at most 255 bytes"),
    "a file for a folder": (denoise("photo.png/new.png"), "expected a file in a folder"),
    "a folder": (denoise("folder.png"), "is a folder"),
    "demo under a file": (lambda f: ("demo", "--output", f / "notes.txt" / "demo"), "expected a folder"),
    "page under a file": (lambda f: ("paper", "report", "--data", f, "--output", f / "notes.txt" / "a.html"), "in a folder"),
    "figure over a file": (lambda f: ("paper", "figure", "x4-set5", "--data", f, "--output", f / "foreign.png"), "exists"),
    "scores over a text": (
        lambda f: ("paper", "score", "x4-set5", "--data", f, "--images", f, "--csv", f / "notes.txt"),
        "notes.txt exists",
    ),
    "a crop of 0": (lambda f: ("paper", "inputs", "x4-set5", "--data", f, "--crop", 0, "--output", f / "new"), "a crop of 0"),
    "a long name as input": (lambda f: ("denoise", f / ("n" * 260 + ".png"), f / "new.png"), "File name too long"),
    "a long name as truth": (denoise("new.png", "--truth", "/" + "n" * 260), "File name too long"),
    "a long name as mask": (lambda f: ("inpaint", f / "photo.png", f / "new.png", "--mask", f / ("n" * 260)), "File name too"),
    "a loop as input": (lambda f: ("denoise", f / "loop.png", f / "new.png"), "cannot use"),
    "a loop as mask": (lambda f: ("inpaint", f / "photo.png", f / "new.png", "--mask", f / "loop.png"), "cannot use"),
    "an empty record of others": (denoise("empty.png"), "empty.png.dipops.json is no record"),
    "a list as record": (denoise("list.png"), "list.png.dipops.json is no record"),
    "a text as checkpoint of TV": (
        lambda f: ("denoise", f / "photo.png", f / "new.png", "--prior", "tv", "--checkpoint", f / "notes.txt"),
        "is no checkpoint",
    ),
    "a JPEG of 16 bits": (lambda f: ("denoise", f / "photo.png", f / "new.jpg", "--depth", 16), "depth = 16"),
    "demo on no GPU": (lambda f: ("demo", "--output", f / "new", "--device", "cuda"), "use --device auto or cpu"),
    "compare of a small image": (
        lambda f: ("compare", f / "small.png", "--output", f / "new" / "er", "--priors", "dip", "--quiet"),
        "sides from 16 pixels",
    ),
    "steps over 2**31": (dip("--steps", 2**31), "at most 2147483647"),
    "steps of 10**30": (dip("--steps", 10**30), "at most 2147483647"),
    "a million runs": (dip("--steps", 1, "--runs", 10**6), "make fewer runs"),
    "a factor of a million": (
        lambda f: ("upscale", f / "photo.png", f / "new.png", "--factor", 10**6),
        "choose a smaller factor",
    ),
    "a huge shape": (lambda f: ("check", "--shape", "1000000,1000000,1000000"), "choose a smaller shape"),
    "a σ near 0": (comparison("--sigma", 1e-300), "write 0"),
    "a file that exits": (lambda f: ("check", f"{f / 'leaves.py'}:C"), "raises SystemExit: 7"),
    **{
        name: (
            lambda f, name=name: comparison("--operator", f"{f / 'op.py'}:{name}")(f),
            name if name != "Huge" else "overflows",
        )
        for name in CLASSES
    },
}


@pytest.mark.parametrize("case", BAD)
def test_one_line_exit_code_2_and_every_file_as_it_was(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    arguments, words = BAD[case]
    assert run(*arguments(folder)) == 2
    message = capsys.readouterr().err
    assert message.startswith("dipops: ")
    assert len(message.splitlines()) == 1
    assert words in message
    assert content(folder) == before


def test_a_command_may_replace_what_it_wrote_and_more_by_force(folder: Path) -> None:
    figure = ("--figure", "/figure.png")
    assert run(*denoise("out.png", *figure)(folder)) == 0
    assert run(*denoise("out.png")(folder)) == 0
    assert run(*denoise("out.png", *figure)(folder)) == 0
    assert json.loads((folder / "out.png.dipops.json").read_text())["written"].keys() == {"figure.png", "out.png"}
    assert run(*denoise("out.png")(folder)) == 0
    (folder / "out.png").write_bytes(b"retouched by hand")
    assert run(*denoise("out.png")(folder)) == 2
    assert (folder / "out.png").read_bytes() == b"retouched by hand"
    assert run(*denoise("foreign.png", "--force")(folder)) == 0
    assert run(*denoise("foreign.png")(folder)) == 0


def test_a_link_as_output_has_its_target_written(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "foreign.png")
    before = (folder / "foreign.png").read_bytes()
    assert run(*denoise("link.png", "--force")(folder)) == 0
    assert (folder / "link.png").is_symlink()
    assert (folder / "foreign.png").read_bytes() != before


def test_an_image_that_cannot_be_written_at_the_end_is_rescued(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full when the command has done its work."""

    def full(path: Path, *_: object) -> None:
        raise BadFile(f"cannot write {path}: No space left on device", "room on the disk", "make room")

    monkeypatch.setattr(outputs, "write_whole", full)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run(*denoise("new.png")(folder)) == 2
    message = capsys.readouterr().err
    rescued = Path(message.rpartition("the result is in ")[2].strip())
    assert rescued.parent == folder
    assert images.load(rescued / "new.png").shape == (3, 32, 32)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_what_another_user_may_not_use_is_refused_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret = folder / "secret"
        secret.mkdir()
        for path in (folder, secret):
            images.save(path / "photo.png", images.portrait(32))
        (secret / "op.py").write_text(OPERATOR)
        folder.chmod(0o755)
        secret.chmod(0o700)
        before = content(folder)
        photo, hidden, new = folder / "photo.png", secret / "photo.png", folder / "new.png"
        os.seteuid(NOBODY)
        try:
            for words in (
                denoise("new.png")(folder),
                ("denoise", hidden, new),
                ("denoise", photo, new, "--truth", hidden),
                ("denoise", secret, folder / "out"),
                ("denoise", f"{folder}/*.png", secret / "out"),
                ("inpaint", photo, new, "--mask", secret),
                ("compare", photo, "--output", secret / "out"),
                ("check", f"{secret}/op.py:Nothing"),
                ("grade", secret / "lesson.md"),
            ):
                assert run(*words) == 2, words
                message = capsys.readouterr().err
                assert "Permission denied" in message
                assert len(message.splitlines()) == 1
        finally:
            os.seteuid(0)
        assert content(folder) == before


def test_a_name_that_is_no_utf8_is_written_too(folder: Path) -> None:
    name = os.fsdecode(b"b\xff.png")
    images.save(folder / name, images.portrait(32))
    assert run("denoise", folder / name, folder / "new.png", "--prior", "none") == 0
    assert json.loads((folder / "new.png.dipops.json").read_text())["files"]["input"]["path"] == str(folder / name)


def start(folder: Path, *options: object) -> subprocess.Popen[str]:
    """A long run with a checkpoint in a process of its own; no rule stops it."""
    words = ("upscale", folder / "photo.png", folder / "out.png", "--quiet", "--checkpoint", folder / "run.pt", *options)
    command = [sys.executable, "-m", "dipops", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_one_process_has_a_checkpoint_and_says_on_ctrl_c_how_to_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = start(folder, "--steps", 10**6)
    try:
        wait_for(folder / ".run.pt.lock")
        for _ in range(2):
            assert run(*denoise("new.png", "--checkpoint", "/run.pt")(folder)) == 2
            assert "run.pt is in use" in capsys.readouterr().err
        wait_for(folder / "run.pt")
    finally:
        first.send_signal(signal.SIGINT)
    _, message = first.communicate(timeout=60)
    assert first.returncode == 130
    assert message == f"dipops: interrupted: the run is saved in {folder / 'run.pt'}; give the same command again to go on\n"
    assert not (folder / ".run.pt.lock").exists()


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("Terminated", 143)])
def test_an_interruption_without_a_checkpoint_saves_nothing(
    error: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dipops.cli import interruption, restoration

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt if error == "KeyboardInterrupt" else interruption.Terminated

    monkeypatch.setattr(restoration, "solve_recipe", interrupted)
    assert run(*dip()(folder)) == code
    assert capsys.readouterr().err == "dipops: interrupted: nothing was saved; --checkpoint FILE saves a run\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.6 TiB for an array"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes."),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    ],
)
def test_memory_that_runs_out_is_one_line_with_the_need(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_memory(*_: object) -> None:
        raise error

    monkeypatch.setattr("dipops.cli.restoration.solve_recipe", without_memory)
    assert run(*dip()(folder)) == 2
    message = capsys.readouterr().err
    assert message.startswith("dipops: not enough memory for ")
    assert "use a smaller image" in message
    assert memory_error(RuntimeError("another")) is None


def test_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize("record", [{}, {"scores": 1}, {"scores": {}, "device": "cpu", "environment": {}}])
def test_a_record_of_wrong_fields_is_named(record: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    store.save("mine", record, torch.zeros(1, 3, 3))
    assert run("paper", "table", "x4-set5", "--out", tmp_path) == 2
    assert "mine.json has missing or wrong fields" in capsys.readouterr().err


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


WEIGHTS = {
    "integer keys": lambda: {1: torch.ones(2)},
    "quantised": lambda: {"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)},
    "sparse": lambda: {"a": torch.eye(2).to_sparse()},
    "malicious": lambda: {"a": Evil()},
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_are_no_plain_tensors_are_refused_without_bad_advice(case: str, tmp_path: Path) -> None:
    torch.save(WEIGHTS[case](), tmp_path / "weights.pt", pickle_module=pickle)
    with pytest.raises(BadFile) as caught:
        read_weights(tmp_path / "weights.pt")
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_and_tensors_of_the_wrong_kind() -> None:
    problem = Problem(Identity((3, 16, 16)), torch.full((3, 16, 16), 0.5), 0.1)
    assert type(solve(problem, NoPrior(), steps=2, seed=np.int64(3), progress=False).seed) is int
    with pytest.raises(BadType, match="seed = True"):
        solve(problem, NoPrior(), steps=2, seed=True, progress=False)
    with pytest.raises(BadValue, match="at most 2147483647"):
        solve(problem, DeepImagePrior(), steps=2**31, progress=False)
    with pytest.raises(BadType, match="a sparse tensor"):
        Problem(Identity((4, 4)), torch.eye(4).to_sparse())
    with pytest.raises(BadType, match="numpy.ndarray for the initial image"):
        NoPrior(np.zeros((3, 16, 16)))
    with pytest.raises(BadValue, match="NaN or infinity"):
        TotalVariation(0.1, initial=torch.full((3, 16, 16), torch.nan))
    for name in ("a|b", "a\nb", ""):
        with pytest.raises(BadValue, match="one line without"):
            compare(problem, {name: NoPrior()}, progress=False)
