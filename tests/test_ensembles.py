"""Several runs of one image, their mean corrected once, and its fusion with a classical denoiser."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    Gaussian,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Mask,
    Problem,
    TotalVariation,
    classical,
    images,
    masks,
    metrics,
    recipes,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.operators.sensor import ExpectedClip
from dipops.recipes import Recipe, debiased
from dipops.solver import Ensemble
from tests.commands import run

NOISE = ClippedGaussian(50 / 255)
X = 0.2 * images.portrait(32)
TINY = Recipe(DeepImagePrior(Hourglass((8,))), Descent(average=0.9), 12, (), "a test", projects=True, debiases=True)


def dark(noise: Gaussian | float = NOISE) -> Problem:
    """An image in which much noise is clipped, in float64, where rounding does not grow to be seen in a few steps."""
    return Problem.simulate(Identity(X.shape).double(), X.double(), noise)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return TINY.ensemble(dark(), 3, seed=2, progress=False)


def test_the_mean_of_runs_is_taken_first_and_debiased_once(ensemble: Ensemble) -> None:
    uncorrected = replace(TINY, debiases=False)
    outputs = torch.cat([uncorrected.solve(dark(), seed=seed, progress=False).image for seed in (2, 3, 4)])
    torch.testing.assert_close(ensemble.image, NOISE.debias(outputs.mean(0, keepdim=True)), atol=1e-9, rtol=0)
    assert float((ensemble.image - ensemble.runs.mean(1)).abs().max()) > 1e-3, "the order matters"
    assert (ensemble.image.shape, ensemble.debiased.tolist(), ensemble.projected.tolist()) == ((1, 3, 32, 32), [True], [False])


def test_the_runs_of_an_ensemble_are_what_each_seed_gives(ensemble: Ensemble) -> None:
    for k, seed in enumerate((2, 3, 4)):
        alone = TINY.solve(dark(), seed=seed, progress=False)
        torch.testing.assert_close(ensemble.runs[0, k], alone.image[0], atol=1e-9, rtol=0)
    torch.testing.assert_close(ensemble.std, ensemble.runs.std(1))
    assert float(ensemble.std.max()) > 1e-3


def test_an_ensemble_is_the_same_in_one_pass_and_one_by_one(ensemble: Ensemble) -> None:
    one_by_one = TINY.ensemble(dark(), 3, seed=2, progress=False, together=False)
    torch.testing.assert_close(one_by_one.image, ensemble.image, atol=1e-9, rtol=0)
    torch.testing.assert_close(one_by_one.runs, ensemble.runs, atol=1e-9, rtol=0)
    assert (len(ensemble.solves), len(one_by_one.solves)) == (1, 3)
    assert [result.seed for result in one_by_one.solves] == [2, 3, 4]


def test_an_ensemble_without_noise_satisfies_the_data() -> None:
    mask = Mask(masks.random((32, 32), 0.5), 3).double()
    problem = Problem.simulate(mask, X.double(), 0)
    answer = TINY.ensemble(problem, 2, steps=3, progress=False)
    assert (answer.projected.tolist(), answer.debiased.tolist()) == ([True], [False])
    torch.testing.assert_close(mask(answer.image), problem.y)
    torch.testing.assert_close(answer.image, answer.runs.mean(1))


def test_an_ensemble_adapts_to_its_problem() -> None:
    quick = replace(TINY, adapt=lambda recipe, problem: replace(recipe, steps=2, adapt=None, debiases=False))
    answer = quick.ensemble(dark(), 2, progress=False)
    assert (answer.solves[0].steps, answer.debiased.tolist()) == (2, [False])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TINY.ensemble(dark(), 1), r"runs = 1.*write recipe.solve\(problem\)"),
        (lambda: TINY.ensemble(dark().repeat(2), 2), "a batch of 2.*one by one"),
        (lambda: TINY.ensemble(dark(), 2, checkpoint="run.pt", together=False), "a checkpoint for runs one after another"),
    ],
)
def test_ensembles_are_refused(make, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        make()


def test_bias_is_the_mean_of_clipped_noise_and_undoes_debias() -> None:
    values = torch.linspace(0, 1, 101)[None]
    assert NOISE.bias(values).equal(ExpectedClip((101,), NOISE.sigma)(values))
    torch.testing.assert_close(NOISE.debias(NOISE.bias(values)), values, atol=2e-6, rtol=0)
    assert Gaussian(0.1).bias(values).equal(values)


def fake(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What both denoisers then give of every problem."""
    other = 0.1 * torch.rand(1, *X.shape, generator=torch.Generator().manual_seed(1))
    for by in ("nlm", "bm3d"):
        monkeypatch.setitem(classical._DENOISERS, by, lambda problem: other)  # pyright: ignore
    return other


def test_fusion_is_the_mean_debiased_once(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake(monkeypatch).double()
    plain = solve(dark(), TINY.prior, TINY.method, steps=12, callbacks=(), progress=False)
    for answer in (plain, recipes.debiased(dark(), plain), ensemble):
        mean = answer.image if not answer.debiased.all() else NOISE.bias(answer.image)
        expected = NOISE.debias((mean + other) / 2)
        for by in ("nlm", "bm3d"):
            torch.testing.assert_close(classical.fuse(dark(), answer, by), expected, atol=1e-6, rtol=0)
        assert float(((NOISE.debias(mean) + other) / 2 - expected).abs().max()) > 0.02


def test_fusion_without_clipping_is_the_plain_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake(monkeypatch).double()
    problem = dark(Gaussian(50 / 255, clipped=False))
    answer = TINY.solve(problem, steps=2, progress=False)
    for by in ("nlm", "bm3d"):
        torch.testing.assert_close(classical.fuse(problem, answer, by), (answer.image + other) / 2)


def test_fusion_is_better_than_both() -> None:
    pytest.importorskip("skimage")
    x = images.portrait(64)
    problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(25 / 255))
    answer = recipes.debiased(problem, solve(problem, TotalVariation(0.06), progress=False))
    alone = classical.non_local_means(problem)
    scores = [float(metrics.psnr(image.clamp(0, 1), x[None])) for image in (answer.image, alone)]
    assert float(metrics.psnr(classical.fuse(problem, answer, "nlm"), x[None])) > max(scores) + 0.2


def test_fusion_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = solve(dark(), TINY.prior, TINY.method, steps=1, callbacks=(), progress=False)
    small = Problem(LanczosDownsampler((3, 32, 32), 2), torch.rand(3, 16, 16), 0.1)
    other = Problem(Identity((3, 16, 16)), torch.rand(3, 16, 16), 0.1)
    by_channel = Problem(Mask(torch.eye(3)[:, :, None].expand(3, 3, 8)), torch.rand(3, 3, 8), 0)
    holes = replace(dark(), weights=masks.random((32, 32), 0.5).double())
    cases = (
        (lambda: classical.fuse(dark(), answer, "median"), "by = 'median'"),  # pyright: ignore
        (lambda: classical.fuse(small, answer, "nlm"), "LanczosDownsampler.* for a classical denoiser; expected Identity"),
        (lambda: classical.fuse(holes, answer, "nlm"), "weights for a classical denoiser"),
        (lambda: classical.wavelet(holes), "weights for a classical denoiser"),
        (lambda: classical.non_local_means(small), "LanczosDownsampler.* for a classical denoiser"),
        (lambda: classical.fuse(replace(dark(), noise=None), answer, "nlm"), "noise that is not known"),
        (lambda: classical.fuse(dark(0.0), answer, "nlm"), "measurements without noise"),
        (lambda: classical.fuse(dark().repeat(2), answer, "nlm"), "a batch of 2"),
        (lambda: classical.fuse(other, answer, "nlm"), "an answer of shape"),
        (
            lambda: classical.wavelet(Problem(Identity((1, 32, 32)), torch.rand(1, 32, 32) * 255, 25.0)),
            "divide y, and σ, by 255",
        ),
        (lambda: classical.bicubic(small.repeat(2)), "a batch of 2"),
        (lambda: classical.bicubic(dark()), "Identity.* for bicubic"),
        (lambda: classical.biharmonic(by_channel), "channels with other known pixels"),
        (lambda: TINY.pool(dark(), answer.image[0]), "images has shape"),
        (lambda: TINY.pool(dark(), answer.image * torch.nan), "not finite"),
        (lambda: classical.fuse(dark(), answer, "bm3d"), "no package bm3d; expected the extra compare"),
    )
    monkeypatch.setitem(sys.modules, "bm3d", None)
    for make, words in cases:
        with pytest.raises(BadValue, match=words):
            make()
    with pytest.raises(BadType, match="Tensor for the answer; expected a Result"):
        classical.fuse(dark(), answer.image, "nlm")  # pyright: ignore
    with pytest.raises(BadType, match=r"a torch\.Tensor for the result"):
        debiased(dark(), answer.image)  # pyright: ignore


def test_inpainting_fills_what_has_no_weight() -> None:
    x = images.portrait(32)
    mask, weights = Mask(masks.random((32, 32), 0.7), 3), torch.ones(1, 3, 32, 32)
    weights[..., 10:14, :] = 0
    joined = Mask(mask.mask * weights[0, :1], 3)
    filled = classical.biharmonic(Problem(mask, mask(x[None]), 0, weights=weights))
    assert filled.equal(classical.biharmonic(Problem(joined, joined(x[None]), 0)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    x = images.portrait(32)
    images.save(tmp_path / "truth.png", x)
    images.save(tmp_path / "noisy.png", Problem.simulate(Identity(x.shape), x, NOISE).y)
    return tmp_path


def denoise(folder: Path, *extra: object) -> tuple[int, dict]:
    """Exit code and record of a short ``dipops denoise``."""
    given = ("denoise", folder / "noisy.png", folder / "out.png", "--sigma", 50, "--truth", folder / "truth.png", "--steps", 2)
    code, path = run(*given, *extra), folder / "out.png.dipops.json"
    return code, json.loads(path.read_text()) if path.exists() else {}


def test_runs_are_fused_on_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    code, before = denoise(folder, "--runs", 2)
    assert code == 0
    runs = before["psnr_of_runs"]
    assert f"PSNR {before['psnr']:.2f} dB; runs {runs[0]:.2f}, {runs[1]:.2f}\n" in capsys.readouterr().out
    assert (before["runs"], before["debiased"]) == (2, True)
    other = torch.full((1, 3, 32, 32), 0.5)
    monkeypatch.setitem(classical._DENOISERS, "nlm", lambda problem: other)  # pyright: ignore
    unfused = images.load(folder / "out.png")
    code, fused = denoise(folder, "--runs", 2, "--fuse", "nlm")
    assert code == 0
    torch.testing.assert_close(images.load(folder / "out.png"), (unfused + 0.5) / 2, atol=2 / 255, rtol=0)
    assert fused["request"]["fuse"] == "nlm"
    assert fused["psnr_before_fusion"] == before["psnr"]
    assert fused["psnr_of_runs"] == runs
    written, truth = (images.load(folder / name)[None] for name in ("out.png", "truth.png"))
    assert fused["psnr"] == pytest.approx(float(metrics.psnr(written, truth)), abs=0.05)
    assert f"{before['psnr']:.2f} before it was fused" in capsys.readouterr().out


def test_fusion_is_refused_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert denoise(folder, "--fuse", "nlm", "--prior", "tv") == (2, {})
    assert "--fuse with --prior tv; expected --prior dip" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "bm3d", None)
    assert denoise(folder, "--fuse", "bm3d") == (2, {})
    assert "pip install 'dipops[compare]'" in capsys.readouterr().err


def test_a_folder_is_made_again_where_the_fusion_differs(folder: Path) -> None:
    pytest.importorskip("skimage")
    given = ("denoise", folder / "noisy.png", folder / "truth.png", folder / "out", "--sigma", 50, "--steps", 1)
    written = []
    for extra in ((), ("--fuse", "nlm"), ("--fuse", "nlm")):
        assert run(*given, *extra, "--quiet") == 0
        written.append((folder / "out" / "noisy.png").stat().st_mtime_ns)
    assert written[0] < written[1] == written[2]


def test_runs_that_do_not_fit_in_memory_are_solved_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, together = denoise(folder, "--runs", 2, "--quiet")
    monkeypatch.setattr("dipops.cli.solving.fits", lambda size: False)
    code, one_by_one = denoise(folder, "--runs", 2)
    assert code == 0
    assert [result["seed"] for result in one_by_one["runs_one_by_one"]] == [0, 1]
    assert one_by_one["message"] == "solved 2 runs one after another in 4 steps"
    assert (one_by_one["debiased"], len(one_by_one["source"])) == (True, 2)
    assert "runs_one_by_one" not in together
    code, resumable = denoise(folder, "--runs", 2, "--checkpoint", folder / "run.pt", "--quiet")
    assert code == 0
    assert "runs_one_by_one" not in resumable


def test_one_tile_gives_what_no_tile_gives(folder: Path) -> None:
    """Runs of tiles are averaged, and debiased as a whole."""
    written = []
    for tile in ((), ("--tile", 32)):
        code, record = denoise(folder, "--runs", 2, "--quiet", *tile)
        assert code == 0
        assert (record["debiased"], record["runs"], len(record["source"])) == (True, 2, 2)
        written.append([images.load(folder / name) for name in ("out.png", "out-std.png")] + [record["psnr_of_runs"]])
    for whole, tiled in zip(*written, strict=True):
        torch.testing.assert_close(torch.as_tensor(tiled), torch.as_tensor(whole), atol=1.01 / 255, rtol=0)
