"""JPEG against the files that Pillow writes: tables, quantised coefficients and decoded pixels; and its smooth rounding."""

import io
from collections.abc import Callable, Iterator
from math import nan, pi

import numpy as np
import pytest
import scipy.fft
import torch
from PIL import Image
from torch import Tensor

from dipops import check, images
from dipops.errors import BadType, BadValue
from dipops.operators import JPEG
from dipops.operators.compression import smooth_round

QUALITIES = (1, 10, 30, 50, 75, 90, 95, 100)
Codes = dict[tuple[int, int], int]


def photograph(channels: int) -> Tensor:
    """Of 8 bits, with sides that 8 does not divide, and where red is often equal to green."""
    return (255 * images.photograph()[:channels, 200:250, 150:211]).round() / 255


def noise(channels: int) -> Tensor:
    return torch.rand(channels, 37, 29, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255


def file_of(x: Tensor, quality: int) -> bytes:
    file = io.BytesIO()
    images.to_pil(x).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def pixels_of(data: bytes) -> Tensor:
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).float()
    return pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0)


def coefficients_of(data: bytes) -> Tensor:
    """The quantised coefficients in a baseline file without subsampling, (C, blocks, 64): ITU-T T.81, Annexes F and C."""
    segments, scan = read_segments(data)
    height, width = (int.from_bytes(segments[0xC0][0][k : k + 2]) for k in (1, 3))
    tables = dict(table for segment in segments[0xC4] for table in read_codes(segment))
    header = segments[0xDA][0]
    chosen = [header[2 * k + 2] for k in range(header[0])]
    bits = Bits(scan)
    blocks = torch.zeros(len(chosen), -(-height // 8) * -(-width // 8), 8, 8)
    last = [0] * len(chosen)
    for place in range(blocks.shape[1]):
        for channel, tables_of in enumerate(chosen):
            dc, ac = tables[tables_of >> 4], tables[16 + (tables_of & 15)]
            last[channel] += bits.value(bits.symbol(dc))
            blocks[channel, place, 0, 0] = last[channel]
            for position, value in ac_values(bits, ac):
                blocks[channel, place][position] = value
    return blocks.flatten(2)


def ac_values(bits: "Bits", codes: Codes) -> Iterator[tuple[tuple[int, int], int]]:
    """The places and values of a block after the first, which are not 0."""
    k = 1
    while k < 64 and (symbol := bits.symbol(codes)):
        k += symbol >> 4
        if symbol & 15:
            yield ZIGZAG[k], bits.value(symbol & 15)
        k += 1


ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda place: (sum(place), place[sum(place) % 2 == 0]),
)


def read_segments(data: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """The segments of a file by their markers, and what follows them."""
    segments: dict[int, list[bytes]] = {}
    start, marker = 2, 0
    while marker != 0xDA:
        marker, length = data[start + 1], int.from_bytes(data[start + 2 : start + 4])
        segments.setdefault(marker, []).append(data[start + 4 : start + 2 + length])
        start += 2 + length
    return segments, data[start:-2].replace(b"\xff\x00", b"\xff")


def read_codes(segment: bytes) -> Iterator[tuple[int, Codes]]:
    """The Huffman tables of a segment: (length, code) to symbol."""
    while segment:
        codes, code, place = {}, 0, 17
        for length in range(1, 17):
            for symbol in segment[place : place + segment[length]]:
                codes[length, code] = symbol
                code += 1
            place += segment[length]
            code *= 2
        yield segment[0], codes
        segment = segment[place:]


class Bits:
    def __init__(self, scan: bytes) -> None:
        self.bits, self.place = "".join(f"{byte:08b}" for byte in scan), 0

    def read(self, count: int) -> int:
        self.place += count
        return int(self.bits[self.place - count : self.place] or "0", 2)

    def symbol(self, codes: Codes) -> int:
        code = 0
        for length in range(1, 17):
            code = 2 * code + self.read(1)
            if (length, code) in codes:
                return codes[length, code]
        raise ValueError("no such code")

    def value(self, size: int) -> int:
        value = self.read(size)
        return value if size == 0 or value >> (size - 1) else value - 2**size + 1


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [photograph, noise])
def test_compress_is_the_file_that_pillow_writes(quality: int, channels: int, make: Callable[[int], Tensor]) -> None:
    """But for coefficients near a half: libjpeg's transform is in integers, eighths, and errs by less than two of them."""
    x = make(channels)
    data, jpeg = file_of(x, quality), JPEG(x.shape, quality)
    tables = Image.open(io.BytesIO(data)).quantization  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.tensor([tables[min(c, 1)] for c in range(channels)])[:, None].equal(jpeg.steps.long())
    theirs, ours = coefficients_of(data), jpeg._quantised(x[None])[0]
    differs = theirs != ours
    assert float(differs.float().mean()) < 0.02
    unrounded = blocks_of(eight_bits(x)).flatten(2)
    assert float(((theirs * jpeg.steps - unrounded).abs() - jpeg.steps / 2).max()) < 2 / 8
    error = (255 * jpeg.compress(x[None])[0] - pixels_of(data)).abs()
    same = (~differs).all(-1).all(0).view(-(-x.shape[1] // 8), -1)
    pixels = same.repeat_interleave(8, 0).repeat_interleave(8, 1)[: x.shape[1], : x.shape[2]]
    assert float(error[:, pixels].max()) <= (1 if channels == 1 else 3)
    assert float(error[:, pixels].mean()) < 0.1


def eight_bits(x: Tensor) -> np.ndarray:
    """Y - 128, Cb - 128 and Cr - 128, (C, H, W), in the fixed-point arithmetic of libjpeg."""
    values = (255 * x).round().long().numpy()
    if len(values) == 1:
        return values - 128
    factors = np.array([[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]])
    halves = np.array([2**15, 2**15 - 1, 2**15 - 1])[:, None, None]
    return ((np.einsum("kc,chw->khw", factors, values) + halves) >> 16) - np.array([128, 0, 0])[:, None, None]


def blocks_of(planes: np.ndarray) -> Tensor:
    """The cosine transform of each block, (C, blocks, 8, 8), by SciPy."""
    channels, height, width = planes.shape
    padded = np.pad(planes.astype(float), ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = padded.reshape(channels, -(-height // 8), 8, -(-width // 8), 8).swapaxes(2, 3)
    return torch.from_numpy(scipy.fft.dctn(blocks, axes=(3, 4), norm="ortho")).flatten(1, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sharp_jpeg_rounds_the_coefficients_of_scipy(channels: int) -> None:
    x = photograph(channels).double()[:, :48, :56]
    jpeg = JPEG(x.shape, 50, 0.99999).double()
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    planes = x.numpy() if channels == 1 else np.einsum("kc,chw->khw", matrix, x.numpy())
    steps = blocks_of(255 * planes - np.array([128, 0, 0])[:channels, None, None]).flatten(2) / jpeg.steps
    y = jpeg(x[None])[0].numpy()
    decoded = 255 * (y if channels == 1 else np.einsum("kc,chw->khw", matrix, y)) - np.array([128, 0, 0])[:channels, None, None]
    rounded = blocks_of(decoded).flatten(2) / jpeg.steps
    clear = (steps - steps.round()).abs() < 0.45
    assert float(clear.float().mean()) > 0.9
    assert float((rounded - steps.round())[clear].abs().max()) < 1e-3


def test_without_sharpness_nothing_changes() -> None:
    x = torch.rand(2, 3, 9, 13) * 3 - 1
    torch.testing.assert_close(JPEG((3, 9, 13), 1, 0)(x), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("quality", [10, 50])
def test_sharper_is_nearer_to_the_file(quality: int) -> None:
    x = photograph(3)
    file = pixels_of(file_of(x, quality)) / 255
    errors = [float((JPEG(x.shape, quality, b)(x[None])[0] - file).square().mean()) for b in (0, 0.5, 0.8, 0.9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 10


@pytest.mark.parametrize("sharpness", [0, 0.3, 0.9])
def test_smooth_rounding_is_its_fourier_series_and_rises(sharpness: float) -> None:
    t = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    terms = ((-1) ** (k + 1) * sharpness**k * torch.sin(2 * pi * k * t) / (k * pi) for k in range(1, 400))
    torch.testing.assert_close(smooth_round(t, sharpness), t - sum(terms), rtol=0, atol=1e-12)
    slopes = torch.func.vmap(torch.func.grad(lambda value: smooth_round(value, sharpness)))(t)
    steepest = (1 + sharpness) / (1 - sharpness)
    assert float(slopes.min()) == pytest.approx(1 / steepest)
    assert float(slopes.max()) == pytest.approx(steepest)


def test_smooth_rounding_becomes_rounding() -> None:
    t = torch.linspace(-3, 3, 1200, dtype=torch.float64)
    assert float((smooth_round(t, 1 - 1e-6) - t.round()).abs().max()) < 1e-3


def test_compress_gives_8_bits_without_a_derivative() -> None:
    x = torch.linspace(-1, 2, 2 * 3 * 9 * 13).view(2, 3, 9, 13).requires_grad_()
    jpeg = JPEG((3, 9, 13), 75)
    y = jpeg.compress(x)
    assert not y.requires_grad
    assert float((255 * y - (255 * y).round()).abs().max()) < 1e-4
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    assert y.equal(jpeg.compress(x.clamp(0, 1)))
    assert jpeg.double().compress(x.double()).dtype == torch.float64
    with pytest.raises(BadValue, match=r"add a batch dimension"):
        jpeg.compress(x[0].double())


@pytest.mark.parametrize(
    ("shape", "quality", "sharpness"),
    [((3, 9, 13), 50, 0.8), ((1, 9, 5), 10, 0.99), ((3, 2, 11), 95, 0.5), ((3, 8, 8), 1, 0.95)],
)
def test_the_laws_hold_at_any_quality_and_sharpness(shape: tuple[int, ...], quality: int, sharpness: float) -> None:
    report = check(JPEG(shape, quality, sharpness))
    assert report.passed


def test_a_jpeg_shows_what_it_was_made_with() -> None:
    assert repr(JPEG((3, 9, 13), 50)) == "JPEG(3, 9, 13, quality=50)"
    assert repr(JPEG((1, 9, 5), 10, 0.9)) == "JPEG(1, 9, 5, quality=10, sharpness=0.9)"


@pytest.mark.parametrize(
    ("shape", "quality", "sharpness", "kind", "words"),
    [
        ((3, 8, 8), 0, 0.9, BadValue, "quality = 0; expected an integer from 1"),
        ((3, 8, 8), 101, 0.9, BadValue, "quality = 101; expected an integer from 1 to 100"),
        ((3, 8, 8), 50.5, 0.9, BadType, "quality = 50.5"),
        ((3, 8, 8), 50, 1, BadValue, r"sharpness = 1; expected a number of at least 0 and below 1; call compress\(x\)"),
        ((3, 8, 8), 50, -0.1, BadValue, "sharpness = -0.1"),
        ((3, 8, 8), 50, nan, BadValue, "sharpness = nan"),
        ((3, 8, 8), 50, "hard", BadType, "sharpness = 'hard'"),
        ((2, 8, 8), 50, 0.9, BadValue, r"in_shape = \(2, 8, 8\); expected \(3, H, W\) or \(1, H, W\)"),
        ((8, 8), 50, 0.9, BadValue, r"in_shape = \(8, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(shape, quality, sharpness, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as raised:
        JPEG(shape, quality, sharpness)
    assert "\n" not in str(raised.value)
