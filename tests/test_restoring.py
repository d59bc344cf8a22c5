"""What the restoring commands keep of a file, how they read σ and masks, and how they go through a folder."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

from dipops import ClippedGaussian, Identity, Problem, images
from dipops.cli import masks
from dipops.images import Picture
from dipops.metrics import psnr
from tests.commands import run

NONE = ("--prior", "none", "--quiet")


def noisy(sigma: float, size: int = 64, seed: int = 0) -> Tensor:
    x = images.portrait(size)
    return Problem.simulate(Identity(x.shape), x, ClippedGaussian(sigma / 255), seed=seed).y[0]


def record(path: Path) -> dict:
    return json.loads(path.with_name(f"{path.name}.dipops.json").read_text())


@pytest.fixture
def photo() -> Picture:
    """Deep colours with alpha, a profile, a camera, an orientation, and a resolution."""
    generator = torch.Generator().manual_seed(0)
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "a camera", 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = torch.randint(0, 2**16, (3, 18, 24), generator=generator) / (2**16 - 1)
    alpha = torch.randint(0, 2**16, (1, 18, 24), generator=generator) / (2**16 - 1)
    return Picture(values, alpha, 16, profile, exif.tobytes(), (300.0, 300.0))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_all_that_a_deep_image_holds_is_kept(suffix: str, photo: Picture, tmp_path: Path) -> None:
    """A file that lies on its side comes out upright."""
    path, out = tmp_path / f"photo{suffix}", tmp_path / f"out{suffix}"
    images.save(path, photo.image, like=photo)
    upright = images.read(path)
    assert run("denoise", path, out, "--sigma", 1, *NONE) == 0
    kept = images.read(out)
    assert kept.depth == 16
    assert kept.alpha is not None
    assert upright.alpha is not None
    assert upright.image.shape == (3, 24, 18)
    torch.testing.assert_close(kept.image, upright.image, atol=1 / 65535, rtol=0)
    torch.testing.assert_close(kept.alpha, upright.alpha, atol=0, rtol=0)
    assert kept.icc == photo.icc
    assert kept.dpi == pytest.approx((300, 300), abs=0.01)
    with Image.open(out) as image:
        assert image.getexif()[0x0110] == "a camera"
        assert image.getexif().get(0x0112, 1) == 1
    assert run("denoise", path, tmp_path / "eight.png", "--sigma", 1, "--depth", 8, *NONE) == 0
    assert images.read(tmp_path / "eight.png").depth == 8


def test_what_is_enlarged_has_its_alpha_enlarged_and_grey_stays_grey(tmp_path: Path) -> None:
    alpha = torch.zeros(1, 8, 8)
    alpha[..., 4:] = 1
    images.save(tmp_path / "small.png", images.portrait(32)[:1, :8, :8], like=Picture(alpha, alpha))
    assert run("upscale", tmp_path / "small.png", tmp_path / "large.png", "--factor", 2, *NONE) == 0
    large = images.read(tmp_path / "large.png")
    assert large.image.shape == (1, 16, 16)
    assert large.alpha is not None
    assert float(large.alpha[..., :5].max()) < 0.05
    assert float(large.alpha[..., 11:].min()) > 0.95


def test_sigma_is_estimated_printed_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(tmp_path / "noisy.png", noisy(25, 128))
    command = ("denoise", tmp_path / "noisy.png", tmp_path / "out.png", "--prior", "none")
    assert run(*command) == 0
    assert "the noise is estimated as σ = 24.5" in capsys.readouterr().out
    written = record(tmp_path / "out.png")
    assert written["request"]["sigma"] == "auto"
    assert written["sigma"] == pytest.approx(25, rel=0.05)
    assert written["clipped"] is True
    for sigma, words in ((5, "σ = 5 was given, but the image looks like σ = 24.5"), (80, "σ = 80 was given"), (30, "")):
        assert run(*command, "--sigma", sigma) == 0
        printed = capsys.readouterr().out
        assert (words or "out.png") in printed
        assert bool(words) == ("was given" in printed)
        assert record(tmp_path / "out.png")["sigma"] == pytest.approx(sigma)
    assert run(*command, "--no-clipped", "--quiet") == 0
    assert record(tmp_path / "out.png")["clipped"] is False
    assert record(tmp_path / "out.png")["noise"].endswith("clipped=False)")
    assert run(*command, "--clipped", "--quiet") == 0
    assert record(tmp_path / "out.png")["noise"].startswith("ClippedGaussian")


def test_an_image_without_noise_is_not_denoised_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(tmp_path / "flat.png", torch.full((3, 32, 32), 0.5))
    assert run("denoise", tmp_path / "flat.png", tmp_path / "out.png") == 2
    assert "in which no noise is found" in capsys.readouterr().err
    assert run("denoise", tmp_path / "flat.png", tmp_path / "out.png", "--sigma", 5, *NONE) == 0


def stroke(colour: tuple[float, float, float], background: float = 1.0) -> Tensor:
    """A mask with one stroke."""
    mask = torch.full((3, 32, 32), background)
    mask[:, 10:14] = torch.tensor(colour)[:, None, None]
    return mask


HOLES = torch.zeros(32, 32, dtype=torch.bool)
HOLES[10:14] = True
BLACK, WHITE, CYAN, YELLOW, PINK = (0.0,) * 3, (1.0,) * 3, (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.8, 0.8)
MASKS: Mapping[str, tuple[Tensor, Tensor | None, tuple[str, ...]]] = {
    "black": (stroke(BLACK), None, ()),
    "cyan": (stroke(CYAN), None, ()),
    "yellow": (stroke(YELLOW), None, ()),
    "pink": (stroke(PINK), None, ()),
    "white on black": (stroke(WHITE, 0.0), None, ("--invert-mask",)),
    "red on black": (stroke((1.0, 0.0, 0.0), 0.0), None, ("--invert-mask",)),
    "a layer of paint": (stroke(BLACK, 0.0), HOLES[None].float(), ()),
    "a layer with holes": (torch.ones(3, 32, 32), 1 - HOLES[None].float(), ()),
    "a layer of white": (torch.ones(3, 32, 32), HOLES[None].float(), ("--invert-mask",)),
}


@pytest.mark.parametrize("case", MASKS)
def test_what_a_mask_means(case: str, tmp_path: Path) -> None:
    mask, alpha, options = MASKS[case]
    x = images.portrait(32)
    images.save(tmp_path / "x.png", x)
    images.save(tmp_path / "mask.png", mask, like=Picture(mask, alpha))
    given = ("inpaint", tmp_path / "x.png", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    assert run(*given, *options, "--prior", "tv", "--steps", 5, "--quiet") == 0
    changed = (images.load(tmp_path / "out.png") - images.load(tmp_path / "x.png")).abs().amax(0) > 0
    assert not changed[~HOLES].any()
    assert changed[HOLES].float().mean() > 0.9
    assert record(tmp_path / "out.png")["filled"] == pytest.approx(float(HOLES.float().mean()))


def test_a_jpeg_of_a_mask_has_no_grey_background() -> None:
    mask = stroke(BLACK) - 0.03 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    share = masks.known_share_of(Picture(mask.clamp(0, 1)), inverted=False)
    assert share.unique().tolist() == [0, 1]
    assert share.equal((~HOLES).float())


@pytest.mark.parametrize("by", ["default", "alpha"])
def test_transparent_pixels_are_filled_and_soft_edges_blended(by: str, tmp_path: Path) -> None:
    x = images.portrait(32)
    alpha = 1 - HOLES[None].float()
    alpha[:, 14] = 0.5
    images.save(tmp_path / "x.png", torch.where(HOLES, 0, x), like=Picture(x, alpha))
    options = () if by == "default" else ("--mask", "alpha")
    assert run("inpaint", tmp_path / "x.png", tmp_path / "out.png", *options, "--prior", "tv", "--quiet") == 0
    out, given = images.read(tmp_path / "out.png"), images.read(tmp_path / "x.png").image
    assert out.alpha is None
    assert out.image[:, 15:].equal(given[:, 15:])
    assert float((out.image[:, 10:14]).min()) > 0.02
    hard = tmp_path / "hard.png"
    images.save(tmp_path / "x.png", torch.where(HOLES, 0, x), like=Picture(x, (alpha == 1).float()))
    assert run("inpaint", tmp_path / "x.png", hard, "--prior", "tv", "--quiet") == 0
    half = 0.5 * (images.load(hard)[:, 14] + given[:, 14])
    torch.testing.assert_close(out.image[:, 14], half, atol=2 / 255, rtol=0)


def test_masks_are_refused_or_remarked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(tmp_path / "x.png", images.portrait(32))
    for name, value in (("white", 1.0), ("black", 0.0)):
        images.save(tmp_path / f"{name}.png", torch.full((1, 32, 32), value))
    images.save(tmp_path / "ones.png", stroke(BLACK)[:1] / 255)
    images.save(tmp_path / "inverse.png", 1 - stroke(BLACK)[:1])
    given = ("inpaint", tmp_path / "x.png", tmp_path / "out.png")
    refused = {
        ("--mask", tmp_path / "white.png"): "white.png leaves no hole",
        ("--mask", tmp_path / "white.png", "--invert-mask"): "white.png leaves no known pixel",
        ("--mask", tmp_path / "black.png"): "black.png leaves no known pixel",
        ("--mask", tmp_path / "black.png", "--invert-mask"): "black.png leaves no hole",
        ("--mask", "alpha"): "without transparent pixels",
        ("--mask", "./alpha"): "alpha does not exist",
        ("--mask", tmp_path / "ones.png"): "a mask whose largest value is 1 of 255",
        (): "--mask FILE",
    }
    for options, words in refused.items():
        assert run(*given, *options) == 2
        assert words in capsys.readouterr().err
    images.save(tmp_path / "inverse.png", 1 - stroke(BLACK)[:1].mul(1))
    thin = torch.zeros(1, 32, 32)
    thin[:, 5] = 1
    images.save(tmp_path / "thin.png", thin)
    assert run(*given, "--mask", tmp_path / "thin.png", "--prior", "none") == 0
    assert "97% of the image will be filled; add --invert-mask if white is to be filled" in capsys.readouterr().out
    images.save(tmp_path / "grey.png", torch.linspace(0, 1, 32).expand(1, 32, 32))
    assert run(*given, "--mask", tmp_path / "grey.png", "--prior", "none") == 0
    assert "is neither black nor white: there the result is blended" in capsys.readouterr().out


def ten_images(folder: Path) -> list[str]:
    """Nine images of every kind and one that is none, next to files that are no images."""
    folder.mkdir()
    for k in range(4):
        images.save(folder / f"a{k}.png", noisy(20 + 5 * k, seed=k))
    images.save(folder / "b.jpg", noisy(25))
    images.save(folder / "c.tif", noisy(25), depth=16)
    images.save(folder / "grey.png", noisy(25)[:1])
    images.save(folder / "alpha.png", noisy(25), like=Picture(noisy(25), torch.rand(1, 64, 64)))
    Image.fromarray((255 * noisy(25).movedim(0, -1).numpy()).astype(np.uint8)).save(folder / "d.bmp")
    (folder / "bad.png").write_text("no image")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return ["a0.png", "a1.png", "a2.png", "a3.png", "alpha.png", "b.jpg", "c.tif", "d.png", "grey.png"]


def test_a_folder_is_resumed_by_what_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ten_images(tmp_path / "in")
    out = tmp_path / "out"
    command = ("denoise", tmp_path / "in", out, "--prior", "none")
    assert run(*command) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == f"9 of 10 images are in {out}; {out / 'results.csv'} lists them"
    assert printed.err.count("dipops: ") == 1
    assert "bad.png cannot be read" in printed.err
    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".json"}
    assert sorted(written) == sorted([*names, "results.csv"])
    rows = {Path(row["input"]).name: row for row in csv.DictReader((out / "results.csv").open())}
    assert len(rows) == 10
    assert rows["bad.png"]["status"] == "failed"
    assert float(rows["a3.png"]["sigma"]) == pytest.approx(35, rel=0.1)
    assert images.read(out / "c.tif").depth == 16
    assert images.read(out / "grey.png").image.shape[0] == 1
    assert images.read(out / "alpha.png").alpha is not None
    (out / "a1.png").unlink()
    assert run(*command, "--quiet") == 1
    again = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".json"}
    assert {name for name in names if again[name] != written[name]} == {"a1.png"}
    assert run("denoise", str(tmp_path / "in" / "a*.png"), out, "--prior", "none", "--sigma", 9, "--quiet") == 0
    assert record(out / "a0.png")["sigma"] == 9


def test_the_partners_of_a_folder_have_the_names_of_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
    for k in range(2):
        images.save(tmp_path / "in" / f"{k}.png", images.portrait(32))
    images.save(tmp_path / "masks" / "0.png", stroke(BLACK))
    command = ("inpaint", tmp_path / "in", tmp_path / "out", "--mask", tmp_path / "masks", *NONE)
    assert run(*command) == 1
    assert "0 images named 1 in" in capsys.readouterr().err
    assert (tmp_path / "out" / "0.png").exists()
    images.save(tmp_path / "masks" / "1.tif", stroke(BLACK))
    assert run(*command) == 0
    assert record(tmp_path / "out" / "1.png")["files"]["mask"]["path"].endswith("1.tif")
    assert run("inpaint", tmp_path / "in", tmp_path / "other", "--mask", tmp_path / "masks" / "0.png", *NONE) == 0


REFUSED = {
    "one name twice": (("a.png", "a.bmp"), (), "would both be written to"),
    "an empty folder": ((), (), "no image in"),
    "a figure": (("a.png", "b.png"), ("--figure", "f.png"), "--figure for several images"),
    "a checkpoint": (("a.png", "b.png"), ("--checkpoint", "run.pt"), "--checkpoint for several images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_folders_are_refused_before_the_work(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, options, words = REFUSED[case]
    (tmp_path / "in").mkdir()
    for name in names:
        Image.new("RGB", (32, 32), "red").save(tmp_path / "in" / name)
    assert run("denoise", tmp_path / "in", tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_standard_deviation_replaces_no_other_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a-std.png"):
        images.save(tmp_path / "in" / name, noisy(25))
    assert run("denoise", tmp_path / "in", tmp_path / "out", "--runs", 2, "--steps", 1) == 2
    assert "both be written to" in capsys.readouterr().err


def test_transparent_pixels_do_not_count_as_noise(tmp_path: Path) -> None:
    image, alpha = noisy(25), torch.ones(1, 64, 64)
    image[:, :40], alpha[:, :40] = 0.5, 0
    images.save(tmp_path / "in.png", image, like=Picture(image, alpha))
    assert run("denoise", tmp_path / "in.png", tmp_path / "out.png", *NONE) == 0
    assert record(tmp_path / "out.png")["sigma"] == pytest.approx(25, abs=4)


def test_runs_are_blended_and_jpeg_scored_as_the_answer_is(tmp_path: Path) -> None:
    x = images.portrait(32)
    share = torch.ones(1, 32, 32)
    share[:, 8:12], share[:, 20:28] = 0, 0.5
    for name, image in (("x", x), ("y", noisy(40, 32)), ("mask", share)):
        images.save(tmp_path / f"{name}.png", image)
    given = ("inpaint", tmp_path / "y.png", "--mask", tmp_path / "mask.png", "--truth", tmp_path / "x.png", "--steps", 1, "-q")
    assert run(*given, tmp_path / "both.jpg", "--runs", 2) == 0
    both = record(tmp_path / "both.jpg")
    for seed in (0, 1):
        assert run(*given, tmp_path / "one.png", "--seed", seed, "--force") == 0
        assert both["psnr_of_runs"][seed] == pytest.approx(record(tmp_path / "one.png")["psnr"], abs=0.05)
    assert both["psnr_of_file"] == pytest.approx(
        float(psnr(images.load(tmp_path / "both.jpg"), images.load(tmp_path / "x.png"))), abs=1e-4
    )


def test_outputs_of_a_folder_do_not_replace_files_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    images.save(tmp_path / "in" / "a.png", noisy(25))
    (tmp_path / "out" / "a.png").write_text("mine")
    assert run("denoise", tmp_path / "in", tmp_path / "out", *NONE) == 2
    assert "a.png exists, and dipops did not write it" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    images.save(tmp_path / "in" / "b.png", noisy(25))
    (tmp_path / "out" / "results.csv").write_text("mine")
    assert run("denoise", tmp_path / "in", tmp_path / "out", *NONE) == 1
    assert (tmp_path / "out" / "a.png").read_text() == (tmp_path / "out" / "results.csv").read_text() == "mine"
    assert (tmp_path / "out" / "b.png").exists()
    assert len((tmp_path / "out" / "results-2.csv").read_text().splitlines()) == 3
    assert run("denoise", tmp_path / "in", tmp_path / "in", *NONE) == 2
    assert "is an input and an output" in capsys.readouterr().err


def test_a_folder_is_finished_wherever_its_images_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    images.save(tmp_path / "in" / "a.png", noisy(25))
    assert run("denoise", tmp_path / "in", tmp_path / "out", *NONE) == 0
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    monkeypatch.chdir(tmp_path / "in")
    assert run("denoise", ".", "../out", *NONE) == 0
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before


def test_one_odd_image_does_not_end_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    images.save(tmp_path / "in" / "a.png", torch.rand(3, 1, 1))
    images.save(tmp_path / "in" / "b.png", noisy(25))
    assert run("denoise", tmp_path / "in", tmp_path / "out", *NONE) == 1
    assert "the noise of 1 x 1 pixels; expected at least 2 x 2" in capsys.readouterr().err
    assert (tmp_path / "out" / "b.png").exists()

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of dipops")

    monkeypatch.setattr("dipops.cli.restoring.noise_of", broken)
    assert run("denoise", tmp_path / "in", tmp_path / "other", *NONE) == 1
    assert capsys.readouterr().err.count("RuntimeError: a fault of dipops; restore it alone to see more") == 2


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dipops", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def wait_for(count: int, folder: Path) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*.dipops.json"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_folder_that_is_killed_twice_is_finished_and_each_image_is_made_once(tmp_path: Path) -> None:
    names, out = ten_images(tmp_path / "in"), tmp_path / "out"
    command = ("denoise", tmp_path / "in", out, "--steps", 40)
    made: dict[str, int] = {}
    for count, by, code in ((3, signal.SIGKILL, -9), (6, signal.SIGINT, 130)):
        process = start(*command)
        wait_for(count, out)
        process.send_signal(by)
        _, message = process.communicate(timeout=60)
        assert process.returncode == code
        kept = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name in names}
        assert made.items() <= kept.items()
        made = kept
    assert message.splitlines()[-1].endswith(f"of 10 images are in {out}; give the same command again to go on")
    assert run(*command) == 1
    kept = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name in names}
    assert sorted(kept) == sorted(names)
    assert made.items() <= kept.items()
    assert not [path.name for path in out.iterdir() if path.name.startswith(".dipops-")]


def test_tiles_are_solved_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(tmp_path / "noisy.png", noisy(25))
    images.save(tmp_path / "truth.png", images.portrait(64))
    given = ("denoise", tmp_path / "noisy.png", tmp_path / "out.png", "--truth", tmp_path / "truth.png", "--sigma", 25)
    scores = {}
    for tile in ((), ("--tile", 32)):
        assert run(*given, "--prior", "tv", "--weight", 0.05, *tile) == 0
        scores[bool(tile)] = record(tmp_path / "out.png")["psnr"]
    assert scores[True] == pytest.approx(scores[False], abs=0.02)
    assert len(record(tmp_path / "out.png")["tiles"]) == 9
    assert "solved 9 tiles in" in capsys.readouterr().out
    assert run(*given, "--steps", 1, "--runs", 2, "--tile", 48, "--quiet") == 0
    assert images.load(tmp_path / "out-std.png").shape == (1, 64, 64)
    for size in (8, 0, -5):
        assert run(*given, "--tile", size) == 2
        assert "'--tile'" in capsys.readouterr().err
    assert run(*given, "--tile", 32, "--checkpoint", tmp_path / "run.pt") == 2
    assert "leave --checkpoint out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "shape", "option", "bytes", "size"),
    [
        ("denoise", (1, 600, 800), ("--sigma", 25), 3e8, "800 x 600"),
        ("upscale", (1, 8, 8), ("--factor", 400), 1e9, "3200 x 3200"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(
    command: str,
    shape: tuple[int, ...],
    option: tuple[object, ...],
    bytes: float,
    size: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images.save(tmp_path / "in.png", torch.rand(shape))
    monkeypatch.setattr("dipops.cli.memory._total", lambda: bytes)
    assert run(command, tmp_path / "in.png", tmp_path / "out.png", *option) == 2
    message = capsys.readouterr().err
    assert f"the deep image prior on {size} pixels, which takes" in message
    assert "or --tile 512 or --recompute" in message
    assert not (tmp_path / "out.png").exists()


def test_recomputing_gives_the_same_bits(tmp_path: Path) -> None:
    images.save(tmp_path / "noisy.png", noisy(25))
    given = ("denoise", tmp_path / "noisy.png", tmp_path / "out.png", "--steps", 3, "--quiet")
    assert run(*given) == 0
    before = (tmp_path / "out.png").read_bytes()
    assert run(*given, "--recompute") == 0
    assert "recompute=True" in record(tmp_path / "out.png")["prior"]
    assert (tmp_path / "out.png").read_bytes() == before


def test_the_record_says_what_was_asked_for(tmp_path: Path) -> None:
    images.save(tmp_path / "noisy.png", noisy(25))
    given = ("denoise", tmp_path / "noisy.png", tmp_path / "out.png")
    assert run(*given, "--steps", 3, "--runs", 2, "--recipe", "paper", "--quiet") == 0
    written = record(tmp_path / "out.png")
    request = {"sigma": "auto", "clipped": None, "prior": "dip", "recipe": "paper", "runs": 2, "steps": 3, "seed": 0}
    assert request.items() <= written["request"].items()
    assert written["files"].keys() == {"input"}
    assert run(*given, "--sigma", 25, *NONE) == 0
    assert None not in (record(tmp_path / "out.png")[name] for name in ("objective", "data_psnr_db", "sigma"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("denoise",), "Missing argument 'INPUT'; usage: dipops denoise [OPTIONS] {INPUT}... {OUTPUT}"),
        (("denoise", "a.png", "b.png", "--sgma", 3), "No such option: --sgma"),
        (("denoise", "a.png", "b.png", "--prior", "x"), "'x' is not one of 'dip', 'tv', 'tikhonov', 'none'"),
        (("frob",), "No such command 'frob'; usage: dipops [OPTIONS] COMMAND [ARGS]..."),
        (("denoise", "a.png", "b.png", "--sigma", "much"), "--sigma much; expected auto, or a number from 0.1 to 255"),
        (("denoise", "a.png", "b.png", "--sigma", 300), "--sigma 300; expected auto, or a number from 0.1 to 255"),
        (("denoise", "a.png", "b.png", "--depth", 12), "--depth 12; expected 8 or 16"),
        (("denoise", "a.png", "b.jpg", "--depth", 16), "depth = 16 for b.jpg"),
        (("flash", "a.png", "a.png", "b.png", "--prior", "tv"), "flash with --prior tv; expected --prior dip"),
    ],
)
def test_words_that_a_command_does_not_know_are_one_line(
    words: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images.save("a.png", noisy(25))
    assert run(*words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
