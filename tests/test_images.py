"""Every file format is read as float32 in [0, 1]; broken files are refused; saving is complete or leaves nothing."""

import os
from itertools import groupby, pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from dipops import Identity, Problem, images, metrics
from dipops.errors import BadFile, BadType, BadValue
from dipops.images.phantoms import PhantomName


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_save_and_load_without_loss(tmp_path: Path, suffix: str, channels: int) -> None:
    x = torch.randint(0, 256, (channels, 6, 9)) / 255
    images.save(tmp_path / f"x{suffix}", x[None])
    loaded = images.load(tmp_path / f"x{suffix}")
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded if suffix != ".webp" else loaded[:channels], x)


def test_a_saved_jpeg_is_close_to_the_image(tmp_path: Path) -> None:
    x = images.portrait(64)
    images.save(tmp_path / "x.jpg", x)
    assert float((images.load(tmp_path / "x.jpg") - x).abs().mean()) < 0.01


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"),
    [
        *[("L", s, 1) for s in ("png", "tif", "jpg")],
        *[("RGB", s, 3) for s in ("png", "tif", "jpg", "webp")],
        *[("LA", s, 1) for s in ("png", "tif")],
        *[("RGBA", s, 3) for s in ("png", "tif", "webp")],
        *[("P", s, 3) for s in ("png", "tif")],
        *[("CMYK", s, 3) for s in ("tif", "jpg")],
        *[("1", s, 1) for s in ("png", "tif")],
        *[("I;16", s, 1) for s in ("png", "tif")],
        *[("F", s, 1) for s in ("tif",)],
    ],
)
def test_every_mode_is_read_as_float32(tmp_path: Path, rgb: np.ndarray, mode: str, suffix: str, channels: int) -> None:
    image = Image.fromarray(rgb)
    if mode == "I;16":
        image = Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(rgb[..., 0].astype(np.float32) / 255)
    else:
        image = image.convert(mode)
    path = tmp_path / f"x.{suffix}"
    image.save(path)
    x = images.load(path)
    assert x.shape == (channels, 6, 9)
    assert x.dtype == torch.float32
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    if mode in ("RGB", "RGBA") and suffix in ("png", "tif"):
        np.testing.assert_allclose(x.movedim(0, -1).numpy() * 255, rgb, atol=1e-3)
    if mode in ("I;16", "F"):
        np.testing.assert_allclose(x[0].numpy() * 255, rgb[..., 0], atol=1e-3)


def test_sixteen_bits_keep_their_precision(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.uint16).reshape(6, 10) + 30000
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_allclose(images.load(tmp_path / "x.png")[0].numpy(), values / 65535, atol=1e-7)


def test_transparent_pixels_are_composited_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 3), (255, 0, 0, 0)).save(tmp_path / "x.png")
    assert images.load(tmp_path / "x.png").eq(1).all()
    Image.new("LA", (4, 3), (0, 128)).save(tmp_path / "y.png")
    assert float(images.load(tmp_path / "y.png").mean()) == pytest.approx(0.5, abs=0.01)


def test_exif_rotation_is_applied(tmp_path: Path, rgb: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_allclose(images.load(tmp_path / "x.png").movedim(0, -1).numpy() * 255, np.rot90(rgb, -1), atol=1e-3)


def test_bad_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    images.save(tmp_path / "good.png", images.portrait(64))
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    Image.fromarray(np.full((3, 3), 7, np.float32)).save(tmp_path / "hdr.tif")
    cases = {
        "absent.png": "does not exist; expected an image file; check the path",
        "empty.png": "cannot be read: its format is not known",
        "text.png": "cannot be read: its format is not known",
        "cut.png": "cannot be read: image file is truncated",
        "folder": "is a folder",
    }
    (tmp_path / "folder").mkdir()
    for name, reason in cases.items():
        with pytest.raises(BadFile, match=f"{name} {reason}"):
            images.load(tmp_path / name)
    os.mkfifo(tmp_path / "fifo.png")
    with pytest.raises(BadFile, match="is a FIFO"):
        images.load(tmp_path / "fifo.png")
    with pytest.raises(BadFile, match=r"hdr.tif has floating-point values from 7 to 7, outside \[0, 1\]; expected"):
        images.load(tmp_path / "hdr.tif")
    monkeypatch.setattr(images.reading, "MAX_PIXELS", 64 * 63)
    with pytest.raises(BadFile, match="too large: 64 x 64 pixels; expected at most"):
        images.load(tmp_path / "good.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadFile, match="too large: Image size"):
        images.load(tmp_path / "good.png")


def test_a_failed_save_does_not_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    images.save(path, torch.zeros(3, 4, 4))
    before = path.read_bytes()
    for bad, words in (
        (torch.full((3, 4, 4), float("nan")), "NaN or infinity"),
        (torch.zeros(2, 4, 4), "one image"),
        (torch.zeros(2, 3, 4, 4), "take the images of a batch one by one"),
        (torch.zeros(4, 4), r"image\[None\]"),
    ):
        with pytest.raises(BadValue, match=words):
            images.save(path, bad)
    with pytest.raises(BadType, match="divide 8-bit values by 255"):
        images.save(path, torch.zeros(3, 4, 4, dtype=torch.uint8))
    with pytest.raises(BadValue, match="suffix '.gif'"):
        images.save(tmp_path / "x.gif", torch.zeros(3, 4, 4))
    with pytest.raises(BadFile, match="a folder that exists"):
        images.save(tmp_path / "nowhere" / "x.png", torch.zeros(3, 4, 4))
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.png"]


def test_the_bundled_photograph() -> None:
    assert images.photograph().shape == (3, 512, 512)
    assert images.portrait(128).shape == (3, 128, 128)
    with pytest.raises(BadValue, match="32, 64, 128 or 256"):
        images.portrait(100)


def test_crops_and_resizing() -> None:
    x = torch.arange(30.0).view(1, 5, 6)
    assert images.centre_crop(x, (3, 2)).equal(x[:, 1:4, 2:4])
    with pytest.raises(BadValue, match="at least 2 x 6"):
        images.centre_crop(x, (6, 2))
    assert images.resize(torch.rand(3, 8, 6), (4, 3)).shape == (3, 4, 3)


def test_arrays_with_the_channels_last_are_asked_about(tmp_path: Path) -> None:
    x = torch.rand(32, 40, 3)
    for use in (
        lambda: images.save(tmp_path / "x.png", x),
        lambda: images.to_pil(x),
        lambda: images.noise_level(x),
        lambda: images.resize(x, (8, 8)),
        lambda: metrics.ssim(x, x),
        lambda: Problem(Identity((3, 32, 40)), x),
        lambda: Problem(Identity((3, 32, 40)), x[None]),
    ):
        with pytest.raises(BadValue, match="movedim"):
            use()
    with pytest.warns(UserWarning, match=r"\(32, 40, 3\) look like \(H, W, C\)"):
        Problem(Identity(x.shape), x)
    for array in (x.numpy(), x.movedim(-1, 0).numpy()):
        with pytest.raises(BadType, match="use torch.as_tensor"):
            images.save(tmp_path / "x.png", array)
    assert not list(tmp_path.iterdir())


PHANTOMS: tuple[PhantomName, ...] = get_args(PhantomName)


@pytest.mark.parametrize("name", PHANTOMS)
def test_a_phantom_has_values_in_0_1_at_any_size(name: PhantomName) -> None:
    for size in (8, 9, 40, 65):
        x = images.phantom(name, size)
        assert x.shape == (1, size, size)
        assert x.dtype == torch.float32
        assert 0 <= float(x.min()) < float(x.max()) <= 1
    with torch.device("meta"):
        assert images.phantom(name, 40).equal(images.phantom(name, 40).cpu())
    for size in (7, 0, -8):
        with pytest.raises(BadValue, match=f"size = {size}; expected an integer from 8"):
            images.phantom(name, size)
    with pytest.raises(BadType, match="size = 9.5"):
        images.phantom(name, 9.5)


def test_an_unknown_phantom_is_told_the_nearest() -> None:
    with pytest.raises(BadValue, match='write name="shepp-logan"'):
        images.phantom("shepp", 64)


@pytest.mark.parametrize("name", PHANTOMS)
def test_a_phantom_is_a_mean_over_its_pixels(name: PhantomName) -> None:
    """So it is nearer to a large one that is reduced by means than the values at the centres of the pixels are."""
    small, large = images.phantom(name, 24), images.phantom(name, 24 * 3)
    if name == "zone-plate":  # its rings depend on the size
        large = (1 + torch.cos(torch.pi * _squares(24 * 3)[None] / 24 / 9)) / 2
    means, centres = torch.nn.functional.avg_pool2d(large, 3), large[:, 1::3, 1::3]
    assert float((means - small).abs().mean()) < float((means - centres).abs().mean()) / 4


def test_shepp_logan_is_that_of_scikit_image() -> None:
    """To 8 bits, away from edges, which have stairs in that of scikit-image."""
    theirs = torch.from_numpy(skimage.data.shepp_logan_phantom()).float()[None]
    highest, lowest = (sign * torch.nn.functional.max_pool2d(sign * theirs, 3, 1, 1) for sign in (1, -1))
    inside = highest == lowest
    assert float(inside.float().mean()) > 0.95
    assert float((images.phantom("shepp-logan", 400) - theirs)[inside].abs().max()) < 1 / 255


def test_the_bars_narrow_by_the_fourth_root_of_2() -> None:
    x = images.phantom("bars", 500)[0]
    for column, first in ((10, 20.0), (260, 20 * 2**-0.25)):  # widths in pixels, from the left edge of either half
        heights = _runs(x[:, column + 1] > 0.5)[:5]
        for height, following in pairwise(heights):
            assert abs(height / following - 2**0.5) < 0.1
        assert abs(heights[0] - 5 * first) <= 1
        across = _runs(x[12, column : column + 240] > 0.5)
        assert len(across) == 4  # three upright bars, and the first of the level ones
        assert abs(across[3] - 5 * first) <= 1
        assert all(abs(width - first) <= 1 for width in across[:3])


def test_the_star_has_36_waves_around_its_centre() -> None:
    x = images.phantom("siemens", 400)[0]
    angles = torch.arange(4096) * 2 * torch.pi / 4096
    down, right = (200 - 0.5 + 150 * part(angles) for part in (torch.sin, torch.cos))
    spectrum = torch.fft.rfft(x[down.round().long(), right.round().long()]).abs()
    assert int(spectrum[1:].argmax()) + 1 == 36


def test_the_zone_plate_is_its_formula_where_the_rings_are_wide() -> None:
    x, squares = images.phantom("zone-plate", 200)[0], _squares(200)
    expected = (1 + torch.cos(torch.pi * squares / 200)) / 2
    wide = squares < 20**2  # a tenth of a cycle per pixel: the mean over a pixel takes 1 - sinc(0.1)² of it
    assert float((x - expected)[wide].abs().max()) < 0.5 * (1 - np.sinc(0.1) ** 2) + 0.001


def _squares(size: int) -> Tensor:
    """The squared distance of each pixel from the centre."""
    from_centre = torch.arange(size) - (size - 1) / 2
    return from_centre.square()[:, None] + from_centre.square()


def _runs(line: Tensor) -> list[int]:
    """The lengths of the runs of True."""
    return [len(list(run)) for value, run in groupby(line.tolist()) if value]
