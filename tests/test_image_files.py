"""Every kind of image file is read right or refused, file by file, and what was read is written back."""

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from dipops import images
from dipops.errors import BadFile, BadValue

HEIGHT, WIDTH = 37, 53
CHANNELS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4, "cielab": 3}
LAYOUTS = list(itertools.product(["contig", "separate"], [None, (16, 16)], [None, "lzw", "deflate"]))


def drawn(bits: int, channels: int) -> np.ndarray:
    """Integers (H, W, C) of so many bits; the first two pixels are black and white."""
    kind = np.dtype(f"u{max(1, 2 ** int(np.ceil(np.log2(bits / 8))))}" if bits > 8 else "u1")
    values = np.random.default_rng(0).integers(0, 2**bits, (HEIGHT, WIDTH, channels), dtype=kind)
    values[0, :2] = [[0], [2**bits - 1]]
    return values


def loaded(path: Path) -> np.ndarray:
    """What the file holds, which is what its content holds without the file."""
    image = images.load(path)
    assert torch.equal(images.from_bytes(path.read_bytes()), image)
    return image.movedim(0, -1).numpy()


def colours(values: np.ndarray, photometric: str) -> np.ndarray:
    """What values in [0, 1] mean: grey or RGB."""
    if photometric == "separated":
        return (1 - values[..., :3]) * (1 - values[..., 3:])
    return 1 - values if photometric == "miniswhite" else values


def write_tiff(path: Path, values: np.ndarray, photometric: str, planar: str = "contig", **options: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    several = values.shape[-1] > 1
    planes = np.moveaxis(values, -1, 0) if planar == "separate" else values
    extra = ["unassalpha"] if values.shape[-1] > CHANNELS[photometric] else None
    options = {"extrasamples": extra} | options
    if several:
        options["planarconfig"] = planar
    tifffile.imwrite(path, planes if several else values[..., 0], photometric=photometric, **options)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb", "separated"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f2", "f4", "f8"])
def test_every_layout_of_a_tiff_is_read_right(tmp_path: Path, kind: str, photometric: str) -> None:
    channels = CHANNELS[photometric]
    bits = 8 * int(kind[1])
    values = drawn(bits, channels) if kind[0] == "u" else (drawn(8, channels) / 255).astype(kind)
    expected = colours(values / (2.0**bits - 1) if kind[0] == "u" else values.astype(float), photometric)
    for (planar, tile, compression), order in itertools.product(LAYOUTS, "<>"):
        options: dict[str, Any] = {"tile": tile, "compression": compression, "byteorder": order}
        write_tiff(tmp_path / "x.tif", values, photometric, planar, **options)
        atol = 1.1 / 255 if photometric == "separated" else 1e-6  # Pillow computes RGB from 8-bit CMYK in integers
        np.testing.assert_allclose(loaded(tmp_path / "x.tif"), expected, atol=atol, err_msg=f"{planar} {options}")
        picture = images.read(tmp_path / "x.tif")
        assert picture.depth == (8 if kind == "u1" else 16)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
def test_packed_bits_are_read_right(tmp_path: Path, bits: int, photometric: str) -> None:
    values = drawn(bits, CHANNELS[photometric])
    write_tiff(tmp_path / "x.tif", values, photometric, bitspersample=bits)
    np.testing.assert_allclose(loaded(tmp_path / "x.tif"), colours(values / (2**bits - 1), photometric), atol=1e-6)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("multiplied", [False, True])
def test_alpha_is_read_right(tmp_path: Path, kind: str, photometric: str, multiplied: bool) -> None:
    channels = CHANNELS[photometric] + 1
    bits = 8 * int(kind[1])
    values = drawn(bits, channels) if kind[0] == "u" else (drawn(8, channels) / 255).astype(kind)
    white = 2**bits - 1 if kind[0] == "u" else 1
    if multiplied:
        values[..., :-1] = np.minimum(values[..., :-1], values[..., -1:])
    for planar, tile, compression in LAYOUTS:
        extra = ["assocalpha" if multiplied else "unassalpha"]
        write_tiff(tmp_path / "x.tif", values, photometric, planar, tile=tile, compression=compression, extrasamples=extra)
        picture = images.read(tmp_path / "x.tif")
        assert picture.alpha is not None
        alpha = values[..., -1:] / float(white)
        straight = values[..., :-1] / float(white)
        if multiplied:
            straight = np.divide(straight, alpha, out=np.zeros_like(straight), where=alpha > 0)
        expected = colours(straight, photometric)
        assert picture.image.shape == (channels - 1, HEIGHT, WIDTH)
        np.testing.assert_allclose(picture.alpha.movedim(0, -1).numpy(), alpha, atol=1e-6)
        atol = 1.1 / 255 if multiplied and kind == "u1" else 1e-6  # Pillow divides by alpha in integers
        seen = expected * alpha + 1 - alpha
        np.testing.assert_allclose(loaded(tmp_path / "x.tif"), seen, atol=atol, err_msg=f"{planar} {tile} {compression}")


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_png_is_read_right(tmp_path: Path, kind: str, channels: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = drawn(8 * int(kind[1]), channels)
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(values if channels > 1 else values[..., 0]))
    picture = images.read(tmp_path / "x.png")
    parts = [picture.image] if picture.alpha is None else [picture.image, picture.alpha]
    white = 2 ** (8 * int(kind[1])) - 1
    np.testing.assert_allclose(torch.cat(parts).movedim(0, -1).numpy(), values / white, atol=1e-6)
    assert len(picture.image) == (1 if channels < 3 else 3)
    assert picture.depth == 8 * int(kind[1])


@pytest.mark.parametrize("bits", [4, 8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("container", ["jp2", "j2k"])
def test_every_jpeg_2000_is_read_right(tmp_path: Path, bits: int, channels: int, container: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = drawn(bits, channels)
    written = values if channels > 1 else values[..., 0]
    path = tmp_path / f"x.{container}"
    path.write_bytes(imagecodecs.jpeg2k_encode(written, level=0, bitspersample=bits, codecformat=container))
    picture = images.read(path)
    parts = [picture.image] if picture.alpha is None else [picture.image, picture.alpha]
    np.testing.assert_allclose(torch.cat(parts).movedim(0, -1).numpy(), values / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_every_avif_is_read_right(tmp_path: Path, bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    grey = np.linspace(0, 2**bits - 1, HEIGHT * WIDTH).round().astype(np.uint8 if bits == 8 else np.uint16)
    values = np.repeat(grey.reshape(HEIGHT, WIDTH, 1), 3, -1)
    (tmp_path / "x.avif").write_bytes(imagecodecs.avif_encode(values, level=100, bitspersample=bits, pixelformat="444"))
    np.testing.assert_allclose(loaded(tmp_path / "x.avif"), values / (2**bits - 1), atol=1.1 / (2**bits - 1))


@pytest.mark.parametrize("suffix", ["png", "tif", "gif", "bmp"])
def test_palettes_are_read_right(tmp_path: Path, suffix: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 3), dtype=np.uint8)
    index = drawn(4, 1)[..., 0]
    image = Image.fromarray(index)
    image.putpalette(rgb.tobytes())
    image.save(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(loaded(tmp_path / f"x.{suffix}"), rgb[index] / 255, atol=1e-6)


BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1, 0.8249])  # the white of ICC profiles


def rgb_of_lab(lab: np.ndarray) -> np.ndarray:
    """sRGB of CIE Lab under D50, adapted to sRGB's white by Bradford's matrix, as ICC profiles are."""
    colorconv = pytest.importorskip("skimage.color.colorconv")
    to_xyz = colorconv.xyz_from_rgb
    white = to_xyz.sum(1)
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ white) / (BRADFORD @ D50)) @ BRADFORD
    y = (lab[..., 0] + 16) / 116
    ratios = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(ratios > 6 / 29, ratios**3, 3 * (6 / 29) ** 2 * (ratios - 4 / 29)) * D50
    linear = (xyz @ (np.linalg.inv(to_xyz) @ adapt).T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_lab_is_read_right(tmp_path: Path) -> None:
    lab = drawn(8, 3)
    write_tiff(tmp_path / "x.tif", lab, "cielab")
    expected = rgb_of_lab(np.concatenate([lab[..., :1] / 2.55, lab[..., 1:].view(np.int8)], -1))
    np.testing.assert_allclose(loaded(tmp_path / "x.tif"), expected, atol=1 / 255)


def test_a_transparent_grey_or_colour_of_16_bits_counts(tmp_path: Path) -> None:
    values = drawn(16, 1)[..., 0]
    values[1, 0], values[1, 1] = 30000, 30001  # the same in 8 bits
    Image.fromarray(values).save(tmp_path / "x.png", transparency=30000)
    picture = images.read(tmp_path / "x.png")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha[0].numpy(), values != 30000)
    assert loaded(tmp_path / "x.png")[1, 0] == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_every_orientation_is_applied_to_image_and_alpha(tmp_path: Path, orientation: int, deep: bool, suffix: str) -> None:
    rgba = drawn(8, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(rgba)
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned)) / 255
    if not deep:
        Image.fromarray(rgba).save(tmp_path / f"x.{suffix}", exif=exif, dpi=(100, 50))
    elif suffix == "tif":
        tag = (274, "H", 1, orientation, True)
        options: dict[str, Any] = {"extratags": [tag], "resolution": (100, 50), "resolutionunit": 2}
        write_tiff(tmp_path / "x.tif", rgba.astype(np.uint16) * 257, "rgb", **options)
    else:
        pytest.importorskip("imagecodecs")
        values = torch.from_numpy(rgba / 255).movedim(-1, 0)
        like = images.Picture(values[:3], values[3:], 16, exif=exif.tobytes(), dpi=(100, 50))
        images.save(tmp_path / "x.png", values[:3], like=like)
    picture = images.read(tmp_path / f"x.{suffix}")
    assert picture.alpha is not None
    assert picture.depth == (16 if deep else 8)
    np.testing.assert_allclose(torch.cat([picture.image, picture.alpha]).movedim(0, -1).numpy(), expected, atol=1e-6)
    assert picture.dpi == pytest.approx((50, 100) if orientation > 4 else (100, 50), abs=0.02)


def test_what_cannot_be_read_right_is_refused_in_one_line(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    imagecodecs = pytest.importorskip("imagecodecs")
    signed = drawn(16, 1)[..., 0].view(np.int16)
    tifffile.imwrite(tmp_path / "signed.tif", signed)
    tifffile.imwrite(tmp_path / "lab.tif", drawn(16, 3), photometric="cielab")
    volume = np.zeros((16, 32, 32), np.uint16)
    tifffile.imwrite(tmp_path / "volume.tif", volume, photometric="minisblack", volumetric=True, tile=(16, 16, 16))
    tifffile.imwrite(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float64))
    tifffile.imwrite(tmp_path / "cut.tif", drawn(16, 3), photometric="rgb")
    content = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) * 2 // 3])
    content = imagecodecs.png_encode(drawn(16, 3))
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "deep.ppm").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    header = bytearray(128)
    header[:8], header[76], header[80], header[84:88] = b"DDS \x7c\0\0\0", 32, 4, b"XXXX"
    (tmp_path / "foreign.dds").write_bytes(bytes(header))
    for name, words in {
        "signed.tif": "16-bit signed grey",
        "lab.tif": "16-bit Lab",
        "volume.tif": "a volume of 16 slices",
        "nan.tif": "NaN or infinity",
        "cut.tif": "truncated",
        "cut.png": "cannot be read",
        "deep.ppm": "more than 8 bits",
        "foreign.dds": "cannot be read",
    }.items():
        with pytest.raises(BadFile, match=words) as refused:
            images.load(tmp_path / name)
        assert "\n" not in str(refused.value), name
    for value in (-0.5, 1.5):
        tifffile.imwrite(tmp_path / "x.tif", np.full((4, 4, 3), value), photometric="rgb")
        with pytest.raises(BadFile, match=rf"from {value} to {value}, outside \[0, 1\]"):
            images.load(tmp_path / "x.tif")


def test_without_the_extra_deep_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.rand(3, 5, 4)
    for suffix in ("png", "tif"):
        images.save(tmp_path / f"x.{suffix}", values, depth=16)
    images.save(tmp_path / "grey.tif", values[:1], depth=16)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for suffix in ("png", "tif"):
        with pytest.raises(BadFile, match=r"16.bit.*; expected the extra images.*; pip install 'dipops\[images\]'"):
            images.load(tmp_path / f"x.{suffix}")
    torch.testing.assert_close(images.load(tmp_path / "grey.tif"), values[:1], atol=1 / 65535, rtol=0)


@pytest.fixture
def picture() -> images.Picture:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "camera", 1
    exif[0x8769] = {0x8827: 400}
    x = torch.rand(4, 6, 9, generator=torch.Generator().manual_seed(0))
    return images.Picture(x[:3], x[3:], 16, profile, exif.tobytes(), (300.0, 150.0))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_what_was_read_is_written(tmp_path: Path, picture: images.Picture, suffix: str, depth: Any) -> None:
    if depth == 16:
        pytest.importorskip("imagecodecs")
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    images.save(first, picture.image, depth=depth, like=picture)
    read = images.read(first)
    images.save(second, read.image, like=read)
    again = images.read(second)
    for kept in (read, again):
        assert kept.depth == depth
        assert kept.alpha is not None
        torch.testing.assert_close(kept.image, picture.image, atol=1 / (2**depth - 1), rtol=0)
        torch.testing.assert_close(kept.alpha, picture.alpha, atol=1 / (2**depth - 1), rtol=0)
        assert kept.icc == picture.icc
        assert kept.dpi == pytest.approx(picture.dpi, abs=0.02)
        exif = Image.Exif()
        exif.load(kept.exif or b"")
        assert (exif[0x010F], exif[0x0112], exif.get_ifd(0x8769)[0x8827]) == ("camera", 1, 400)
    assert again.image.equal(read.image)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_written_as_others_read_them(tmp_path: Path, suffix: str, channels: int) -> None:
    imagecodecs, tifffile = pytest.importorskip("imagecodecs"), pytest.importorskip("tifffile")
    values = drawn(16, channels)
    planes = torch.from_numpy(values / 65535).movedim(-1, 0)
    colour = 1 if channels < 3 else 3
    like = images.Picture(planes[:colour], planes[colour:] if channels > colour else None)
    images.save(tmp_path / f"x.{suffix}", planes[:colour], depth=16, like=like)
    decoded = imagecodecs.png_decode((tmp_path / "x.png").read_bytes()) if suffix == "png" else None
    decoded = tifffile.imread(tmp_path / "x.tif") if decoded is None else decoded
    np.testing.assert_array_equal(decoded.reshape(values.shape), values)


def test_jpeg_and_webp_have_8_bits(tmp_path: Path, picture: images.Picture) -> None:
    for name in ("x.jpg", "x.webp"):
        with pytest.raises(BadValue, match=f"depth = 16 for .*{name}; expected 8 bits"):
            images.save(tmp_path / name, picture.image, depth=16)
        images.save(tmp_path / name, picture.image, like=picture)
        again = images.read(tmp_path / name)
        assert (again.depth, again.icc) == (8, picture.icc)
        assert (again.alpha is None) == (name == "x.jpg")
    with pytest.raises(BadValue, match="depth = 12; expected 8 or 16"):
        images.save(tmp_path / "x.png", picture.image, depth=12)


def test_alpha_must_fit_and_a_profile_of_other_colours_is_left_out(tmp_path: Path, picture: images.Picture) -> None:
    with pytest.raises(BadValue, match="18 x 12 pixels like one with alpha of 9 x 6; expected the same size"):
        images.save(tmp_path / "x.png", torch.rand(3, 12, 18), like=picture)
    opaque = dataclasses.replace(picture, alpha=None, depth=8)
    images.save(tmp_path / "x.png", torch.rand(1, 12, 18), like=opaque)
    again = images.read(tmp_path / "x.png")
    assert again.icc is None
    assert again.image.shape == (1, 12, 18)


def test_broken_exif_data_are_no_reason_to_refuse_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x8769] = "camera", {0x8827: 400}
    pointer = b"\x87\x69\x00\x04\x00\x00\x00\x01"  # the tag of the EXIF directory, one 32-bit offset
    content = exif.tobytes()
    start = content.index(pointer) + len(pointer)
    broken = content[:start] + b"\x00\xff\xff\xff" + content[start + 4 :]
    values = drawn(8, 3)
    Image.fromarray(values).save(tmp_path / "x.png", exif=broken)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        np.testing.assert_allclose(loaded(tmp_path / "x.png"), values / 255, atol=1e-6)


def test_content_is_refused_under_the_name_that_it_is_given(tmp_path: Path) -> None:
    images.save(tmp_path / "x.png", torch.rand(3, 20, 30))
    content = (tmp_path / "x.png").read_bytes()
    assert images.from_bytes(content, max_pixels=600).shape == (3, 20, 30)
    with pytest.raises(BadFile, match=r"^a photo is too large: 30 x 20 pixels"):
        images.from_bytes(content, "a photo", max_pixels=599)
    for broken in (b"", b"only text", content[:-40]):
        with pytest.raises(BadFile, match="^a photo cannot be read"):
            images.from_bytes(broken, "a photo")
