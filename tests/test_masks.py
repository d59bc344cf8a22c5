"""Masks: (H, W) of 1 for known and 0 for lost, each against what its description says."""

from collections.abc import Callable
from math import hypot

import numpy as np
import pytest
import skimage.measure
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from dipops import Mask, masks
from dipops.errors import BadType, BadValue

MAKERS: dict[str, Callable[..., Tensor]] = {
    "random": lambda size, seed=0: masks.random(size, 0.5, seed),
    "text": lambda size, seed=0: masks.text(size),
    "discs": lambda size, seed=0: masks.holes(size, seed=seed),
    "squares": lambda size, seed=0: masks.holes(size, 3, 4.5, "square", seed),
    "strokes": lambda size, seed=0: masks.strokes(size, 4, 2, seed),
    "radial": lambda size, seed=0: masks.radial(size, 5),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_mask_is_known_and_lost_in_part_and_the_same_each_time(name: str) -> None:
    make = MAKERS[name]
    mask = make((40, 61))
    assert mask.shape == (40, 61)
    assert mask.dtype == torch.float32
    assert mask.unique().tolist() == [0, 1]
    assert mask.equal(make((40, 61)))
    assert mask.equal(make(torch.Size((40, 61))))
    assert Mask(mask, channels=3).in_shape == (3, 40, 61)
    if name not in ("text", "radial"):
        assert not mask.equal(make((40, 61), seed=1))
    with torch.device("meta"):
        assert make((40, 61)).equal(mask)
    for size in ((40,), (3, 40, 61), 40, (40, 0), (40.0, 61)):
        with pytest.raises((BadValue, BadType), match="size"):
            make(size)


def test_random_keeps_its_share_and_its_bits() -> None:
    assert 0.27 < float(masks.random((100, 100), 0.3, seed=1).mean()) < 0.33
    recorded = [[0, 1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, 0, 0, 1], [1, 1, 1, 0, 0, 1, 1, 0]]
    assert masks.random((3, 8), 0.5, seed=1).tolist() == recorded
    for keep in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(BadValue, match=f"keep = {keep}"):
            masks.random((4, 4), keep)


def test_text_is_the_words_in_dejavu_sans() -> None:
    page = Image.new("L", (120, 24))
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 20)
    ImageDraw.Draw(page).text((0, 0), "Ωhat", fill=255, font=font)
    drawn = torch.from_numpy(np.array(page)) >= 128
    width = int(font.getlength("Ωhat"))
    lost = masks.text((200, 120), "Ωhat", 20)[:24] == 0
    assert int((lost ^ drawn)[:, :width].sum()) < 0.05 * int(drawn.sum())


def test_text_fills_the_image() -> None:
    lost = 1 - masks.text((90, 150), "mm", 9)
    assert all(bool(part.any()) for part in lost.unfold(0, 15, 15).unfold(1, 15, 15).flatten(0, 1))
    assert masks.text((5, 4), font_size=12).shape == (5, 4)
    for words in ("", "  ", "\u200b"):
        with pytest.raises(BadValue, match="letters"):
            masks.text((20, 20), words)
    with pytest.raises(BadType, match="words = 3"):
        masks.text((20, 20), 3)
    for font_size in (0, -1, float("inf")):
        with pytest.raises(BadValue, match="font_size"):
            masks.text((20, 20), font_size=font_size)


def test_a_hole_is_a_disc_or_a_square_of_its_radius() -> None:
    size, radius = (50, 60), 6.5
    for seed in range(20):
        disc, square = (masks.holes(size, 1, radius, shape, seed) == 0 for shape in ("disc", "square"))
        rows, columns = (square.any(axis).nonzero() for axis in (1, 0))
        (top, bottom), (left, right) = ((int(pixels.min()), int(pixels.max())) for pixels in (rows, columns))
        assert square.sum() == (bottom - top + 1) * (right - left + 1)
        if top > 0 and bottom < 49 and left > 0 and right < 59:  # not cut by the border
            assert 13 <= bottom - top + 1 <= 14
            assert 13 <= right - left + 1 <= 14
            assert abs(int(disc.sum()) - np.pi * radius**2) < 0.1 * np.pi * radius**2
        assert not (disc & ~square).any()


def test_more_holes_lose_more() -> None:
    shares = [float(masks.holes((64, 64), count, 4).mean()) for count in (1, 4, 16, 64)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < shares[0]
    with pytest.raises(BadValue, match="no known pixel.*smaller holes"):
        masks.holes((8, 8), 50, 8)
    with pytest.raises(BadValue, match='shape="disc"'):
        masks.holes((8, 8), shape="disk")
    for count, radius in ((0, 2), (1, 0)):
        with pytest.raises(BadValue, match="radius" if count else "count"):
            masks.holes((8, 8), count, radius)


def test_a_stroke_is_one_piece_of_its_width() -> None:
    for seed in range(20):
        thin, thick = (masks.strokes((60, 80), 1, width, seed).numpy() == 0 for width in (1, 7))
        assert skimage.measure.label(thin, connectivity=2).max() == 1
        centres = np.argwhere(thin)
        for pixel in np.argwhere(thick ^ thin)[::17]:
            assert min(hypot(*(pixel - centre)) for centre in centres) <= 3.5
        assert np.asarray(distance_transform_edt(~thick))[thin].max() == 0
        assert np.asarray(distance_transform_edt(np.pad(thick, 9, mode="edge"))).max() >= 3.5
    for count, width, words in ((0, 2, "count"), (1, 0, "width"), (50, 30, "no known pixel.*thinner")):
        with pytest.raises(BadValue, match=words):
            masks.strokes((16, 16), count, width)


@pytest.mark.parametrize("size", [(32, 32), (31, 33), (24, 40), (1, 9)])
def test_radial_sampling_is_symmetric_lines_through_the_zero_frequency(size: tuple[int, int]) -> None:
    one, two, many = (masks.radial(size, spokes) for spokes in (1, 2, 9))
    assert one[0].all()
    assert not one[1:].any()
    assert two[0].all()
    assert two[:, 0].all()
    assert not two[1:, 1:].any()
    for mask in (one, two, many):
        assert mask.equal(mask.flip(0, 1).roll((1, 1), (0, 1)))  # k and -k
    spectrum = torch.fft.fft2(torch.rand(size))
    torch.testing.assert_close(torch.fft.ifft2(spectrum * many).imag, torch.zeros(size), rtol=0, atol=1e-6)


def test_the_spokes_are_at_equal_angles() -> None:
    spokes = 6
    mask = masks.radial((65, 65), spokes)
    down, right = (torch.fft.fftfreq(65)[part] * 65 for part in mask.nonzero().T)
    far = torch.hypot(down, right) > 16
    units = torch.atan2(down, right)[far] / torch.pi * spokes
    off_lines = (units - units.round()).abs() * torch.pi / spokes * torch.hypot(down, right)[far]
    assert float(off_lines.max()) < 0.75  # a pixel's half diagonal
    assert set((units.round() % spokes).int().tolist()) == set(range(spokes))
    with pytest.raises(BadValue, match="spokes = 0"):
        masks.radial((8, 8), 0)
