"""A solve that is interrupted and resumed ends with the same bits; a file of anything else is refused."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from dipops import (
    ConjugateGradient,
    DeepImagePrior,
    Descent,
    DifferentiableOperator,
    Gaussian,
    Hourglass,
    Identity,
    Langevin,
    Mask,
    NoPrior,
    PrimalDual,
    Problem,
    Tikhonov,
    TotalVariation,
    images,
    solve,
)
from dipops.errors import BadFile, BadType, BadValue
from dipops.priors.inputs import Ramp
from dipops.stopping import Discrepancy, ExponentialVariance, HeldOut, WindowedVariance
from tests.kill_and_resume import solve_to

TINY = Hourglass((8,), skips=2)
LBFGS = partial(torch.optim.LBFGS, lr=0.5, max_iter=2)
COSINE = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=40)


def noisy() -> Problem:
    return Problem.simulate(Identity((3, 16, 16)), images.portrait(32)[:, 8:24, 8:24], 0.1)


def interrupt(step) -> str | None:
    return "interrupted" if step.index >= 25 else None


RUNS = {
    "deep image prior": (DeepImagePrior(TINY), Descent(average=0.9), ()),
    "learned input, ramp, schedule": (
        DeepImagePrior(TINY, perturbation=Ramp(0.1, 0, 35), learn_input=True),
        Descent(schedule=COSINE),
        (),
    ),
    "variances": (DeepImagePrior(TINY), None, (ExponentialVariance(0.2, patience=9), WindowedVariance(20, patience=400))),
    "held out": (DeepImagePrior(TINY), None, (HeldOut(0.2, 400), Discrepancy())),
    "Langevin": (DeepImagePrior(TINY), Langevin(burn_in=20), ()),
    "L-BFGS": (TotalVariation(0.1), Descent(LBFGS), ()),
    "PrimalDual": (TotalVariation(0.1), PrimalDual(), (ExponentialVariance(patience=400),)),
    "ConjugateGradient": (Tikhonov(0.1), ConjugateGradient(every=5), (ExponentialVariance(patience=400),)),
    "deep image prior + TV": (DeepImagePrior(TINY) + TotalVariation(0.01), None, ()),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_solve_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """The first half is left behind as a killed run would leave it: without the reason for which it stopped."""
    prior, method, callbacks = RUNS[name]
    problem, file = noisy(), tmp_path / "run.pt"
    whole = solve(problem, prior, method, steps=40, callbacks=callbacks, progress=False)
    solve(problem, prior, method, steps=30, callbacks=callbacks, checkpoint=file, progress=False)
    resumed = solve(problem, prior, method, steps=40, callbacks=callbacks, checkpoint=file, progress=False)
    for attribute in ("image", "last", "average", "std", "image_steps", "objective", "data_psnr"):
        ours, theirs = getattr(resumed, attribute), getattr(whole, attribute)
        assert ours is theirs is None or torch.equal(ours, theirs), attribute
    assert resumed.trace.keys() == whole.trace.keys()
    for curve in whole.trace:
        assert torch.equal(resumed.trace[curve].nan_to_num(-1), whole.trace[curve].nan_to_num(-1))
    assert (resumed.message, resumed.source, resumed.steps) == (whole.message, whole.source, whole.steps)
    again = solve(problem, prior, method, steps=40, callbacks=callbacks, checkpoint=file, progress=False)
    assert again.image.equal(whole.image)
    assert again.message == whole.message


def test_a_finished_solve_is_hardly_repeated_and_goes_on_with_more_steps(tmp_path: Path) -> None:
    file, calls = tmp_path / "run.pt", []

    def count(step) -> None:
        calls.append(step.index)

    for steps in (50, 50, 75):
        solve(noisy(), DeepImagePrior(TINY), steps=steps, callbacks=[count], checkpoint=file, progress=False)
    assert calls == [25, 50, 50, 50, 75]
    with pytest.raises(BadValue, match="50 steps for a solve of 30"):
        solve(noisy(), DeepImagePrior(TINY), steps=30, callbacks=[count], checkpoint=file, progress=False)


def test_a_checkpoint_leaves_one_file(tmp_path: Path) -> None:
    solve(noisy(), DeepImagePrior(TINY), steps=50, checkpoint=tmp_path / "run.pt", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("solved") / "run.pt"
    solve(noisy(), DeepImagePrior(TINY), steps=25, checkpoint=file, progress=False)
    return file


@pytest.fixture
def saved(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of one checkpoint."""
    return Path(shutil.copy(checkpoint, tmp_path))


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE = {
    "empty": (lambda data: b"", "no checkpoint"),
    "an image": (lambda data: b"\x89PNG\r\n\x1a\n" + data, "no checkpoint"),
    "cut off": (lambda data: data[: len(data) // 2], "cut off or was changed"),
    "a flipped bit": (lambda data: _flip(data, len(data) - 5000), "cut off or was changed"),
    "a changed fingerprint": (lambda data: data.replace(b'"seed": "0"', b'"seed": "1"'), "cut off or was changed"),
    "a deep header": (lambda data: b'{"fingerprint":' + b"[" * 100_000 + data, "no checkpoint"),
    "no header": (lambda data: data.partition(b"\n")[2], "no checkpoint"),
    "another format": (lambda data: data.replace(b'checkpoint": 1', b'checkpoint": 9'), "format 9"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_and_left_as_it_was(damage: str, saved: Path) -> None:
    change, words = DAMAGE[damage]
    saved.write_bytes(change(saved.read_bytes()))
    before = saved.read_bytes()
    with pytest.raises(BadFile, match=words):
        solve(noisy(), DeepImagePrior(TINY), steps=50, checkpoint=saved, progress=False)
    assert saved.read_bytes() == before


OTHERS = {
    "operator": lambda file: solve(
        Problem(Mask(torch.ones(3, 16, 16)), noisy().y, 0.1, truth=noisy().truth), DeepImagePrior(TINY), checkpoint=file
    ),
    "measurement": lambda file: solve(
        Problem(Identity((3, 16, 16)), noisy().y + 1e-6, 0.1, truth=noisy().truth), DeepImagePrior(TINY), checkpoint=file
    ),
    "prior": lambda file: solve(noisy(), DeepImagePrior(TINY, perturbation=0.1), checkpoint=file),
    "method": lambda file: solve(noisy(), DeepImagePrior(TINY), Descent(LBFGS), checkpoint=file),
    "callbacks": lambda file: solve(noisy(), DeepImagePrior(TINY), callbacks=[ExponentialVariance()], checkpoint=file),
    "method, by its weights": lambda file: solve(noisy(), DeepImagePrior(TINY), seed=1, checkpoint=file),
}


class Gamma(DifferentiableOperator):
    """Its exponent is neither a tensor nor in its repr."""

    def __init__(self, exponent: float) -> None:
        super().__init__((3, 16, 16))
        self.exponent = exponent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(min=1e-3) ** self.exponent


def _solved(file: Path, exponent: float = 1.0, perturbation=0.1, rate: float = 0.01) -> None:
    problem = Problem(Gamma(exponent), noisy().y, 0.1)
    method = Descent(lambda parameters: torch.optim.SGD(parameters, lr=rate))
    solve(problem, DeepImagePrior(TINY, perturbation=perturbation), method, steps=25, checkpoint=file, progress=False)


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("operator", {"exponent": 2.0}),
        ("prior", {"perturbation": 0.1000001}),
        ("method", {"rate": 0.02}),
    ],
)
def test_settings_outside_the_repr_are_compared(part: str, settings: dict, tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    _solved(file)
    _solved(file)
    with pytest.raises(BadFile, match=f"has {part} "):
        _solved(file, **settings)


def test_a_discrepancy_reached_before_an_interruption_keeps_the_same_image(tmp_path: Path) -> None:
    """The average that centres on its moment comes about 19 steps later, and the interruption lies between."""
    problem = noisy()
    curve = solve(problem, NoPrior(), steps=60, progress=False).trace["objective"][:, 0]
    sigma = float((2 * curve[40] / problem.y.numel()).sqrt())
    problem = replace(problem, noise=Gaussian(sigma))
    method, rules = Descent(average=0.95, warm_up=False), [Discrepancy()]
    whole = solve(problem, NoPrior(), method, steps=90, callbacks=rules, progress=False)
    assert 50 < int(whole.image_steps) < 70
    for steps in (50, 90):
        result = solve(problem, NoPrior(), method, steps=steps, callbacks=rules, checkpoint=tmp_path / "run.pt", progress=False)
    assert result.source == whole.source == ("stopped",)
    assert result.image.equal(whole.image)


@pytest.mark.parametrize("part", OTHERS)
def test_a_file_of_another_solve_is_refused_with_the_difference(part: str, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(BadFile, match=rf"has {part.split(',')[0]} .*; name another checkpoint"):
        OTHERS[part](saved)
    assert saved.read_bytes() == before


def test_a_file_of_another_version_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "9.0")
    with pytest.raises(BadFile, match=r"has versions .*expected versions .*torch 9\.0"):
        solve(noisy(), DeepImagePrior(TINY), steps=50, checkpoint=saved, progress=False)


def test_nothing_in_a_forged_file_is_executed(saved: Path, tmp_path: Path) -> None:
    """A file with a right digest whose payload is a pickle that would make a folder."""
    import io

    from dipops.solver.checkpoint import _digest

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    buffer = io.BytesIO()
    torch.save({"index": Evil()}, buffer)
    header = json.loads(saved.read_bytes().partition(b"\n")[0])
    header["digest"] = _digest(header["fingerprint"], buffer.getvalue())
    saved.write_bytes(json.dumps(header).encode() + b"\n" + buffer.getvalue())
    with pytest.raises(BadFile, match="no plain tensors"):
        solve(noisy(), DeepImagePrior(TINY), steps=50, checkpoint=saved, progress=False)
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_step(tmp_path: Path) -> None:
    for place in (tmp_path / "missing" / "run.pt", tmp_path):
        with pytest.raises(BadFile, match="a file in a folder that exists"):
            solve(noisy(), DeepImagePrior(TINY), checkpoint=place, progress=False)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here that root cannot write to")
def test_a_checkpoint_in_a_folder_that_takes_no_file_is_refused_at_once() -> None:
    with pytest.raises(BadFile, match="no file can be written in /proc"):
        solve(noisy(), DeepImagePrior(TINY), checkpoint="/proc/run.pt", progress=False)


def test_a_state_that_could_not_be_read_back_is_refused(tmp_path: Path) -> None:
    class Odd(torch.optim.SGD):
        def state_dict(self):
            return super().state_dict() | {"path": tmp_path}

    with pytest.raises(BadType, match="tensors and plain values"):
        solve(noisy(), NoPrior(), Descent(partial(Odd, lr=0.1)), steps=25, checkpoint=tmp_path / "run.pt", progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_twenty_kills_and_resumes_end_with_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL at 20 random moments, among them some in the middle of a write; see the script beside this file."""
    script = Path(__file__).parent / "kill_and_resume.py"
    completed = subprocess.run([sys.executable, script, str(tmp_path), "20"], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "20 kills" in completed.stdout


@pytest.mark.slow
def test_one_kill_and_resume_ends_with_the_same_bits(tmp_path: Path) -> None:
    process = get_context("spawn").Process(target=solve_to, args=(tmp_path / "killed.pt", tmp_path / "killed.out", 80))
    process.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.join()
    assert not (tmp_path / "killed.out").exists()
    for name in ("killed", "whole"):
        solve_to(tmp_path / f"{name}.pt", tmp_path / f"{name}.out", 80)
    assert (tmp_path / "killed.out").read_bytes() == (tmp_path / "whole.out").read_bytes()


def test_restoring_callbacks_does_not_hide_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    first = solve(noisy(), DeepImagePrior(TINY), steps=60, callbacks=[interrupt], checkpoint=file, progress=False)
    second = solve(noisy(), DeepImagePrior(TINY), steps=60, callbacks=[interrupt], checkpoint=file, progress=False)
    assert first.message == second.message == "interrupted"
    assert second.image.equal(first.image)


def test_a_posterior_needs_steps_after_its_burn_in() -> None:
    with pytest.raises(BadValue, match="burn_in = 40 in a solve of 30 steps"):
        solve(noisy(), DeepImagePrior(TINY), Langevin(burn_in=40), steps=30, progress=False)
