"""Tiles: their shares, and their answer against that of the whole."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dipops import (
    GuidedInput,
    Identity,
    LanczosDownsampler,
    Mask,
    PrimalDual,
    Problem,
    TotalVariation,
    images,
    masks,
    metrics,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.tiling import solve_tiles, tiles
from tests.test_interface import MotionBlur

quiet = partial(solve, progress=False)


@settings(max_examples=30)
@given(st.tuples(st.integers(1, 200), st.integers(1, 200)), st.integers(32, 90), st.data())
def test_the_shares_add_up_to_one(shape: tuple[int, int], size: int, data: st.DataObject) -> None:
    total = torch.zeros(shape, dtype=torch.float64)
    for tile in tiles(shape, size, data.draw(st.integers(1, size // 2))):
        assert max(tile.share.shape) <= size
        total[tile.rows, tile.columns] += tile.share
    torch.testing.assert_close(total, torch.ones_like(total))


KNOWN = masks.random((80, 80), keep=0.5)
OPERATORS = {
    "denoising": (Identity((1, 80, 80)), 0.1, 0.08),
    "flash": (GuidedInput(torch.zeros(1, 80, 80)), 0.1, 0.08),
    "missing": (Mask(KNOWN, channels=1), 0.05, 0.03),
    "x2": (LanczosDownsampler((1, 80, 80), 2), 0.02, 0.01),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_tiles_give_the_image_of_the_whole(name: str) -> None:
    """Within 0.1 dB of it, and no nearer to the truth's PSNR by chance: the images themselves are alike."""
    operator, sigma, weight = OPERATORS[name]
    x = images.photograph()[:1, 60:140, 170:250]
    problem, prior = Problem.simulate(operator, x, sigma), TotalVariation(weight)
    near = PrimalDual(tolerance=1e-3)
    whole = quiet(problem, prior, near).image
    tiled = solve_tiles(problem, lambda part: quiet(part, prior, near).image, size=32)
    assert tiled.shape == whole.shape
    assert float(metrics.psnr(tiled, x)) == pytest.approx(float(metrics.psnr(whole, x)), abs=0.1)
    assert float((tiled - whole).abs().mean()) < 0.2 / 255


def test_no_seam_is_seen() -> None:
    """The step of the difference across the borders of tiles is no larger than elsewhere."""
    x = images.photograph()[:1, 60:156, 170:266]
    problem, prior = Problem.simulate(Identity(x.shape), x, 0.1), TotalVariation(0.08)
    error = solve_tiles(problem, lambda part: quiet(part, prior).image, size=32) - quiet(problem, prior).image
    steps = error.diff(dim=-1).abs().mean((0, 1, 2))
    borders = [edge for tile in tiles((96, 96), 32, 8) for edge in (tile.columns.start, tile.columns.stop) if 0 < edge < 96]
    assert float(steps[torch.tensor(borders) - 1].mean()) < 1 / 255


def test_a_small_image_is_one_tile() -> None:
    y = torch.rand(2, 1, 20, 40)
    problem = Problem(Identity((1, 20, 40)), y)
    assert solve_tiles(problem, lambda part: part.y, size=64).equal(y)


@pytest.mark.parametrize(
    ("problem", "options", "error", "message"),
    [
        (Problem(MotionBlur((1, 40, 40)), torch.rand(1, 1, 40, 34)), {"size": 32}, BadType, "tiles of MotionBlur"),
        (Problem(Identity((1, 40, 40)), torch.rand(1, 1, 40, 40)), {"size": 8}, BadValue, "size = 8"),
        (Problem(Identity((1, 40, 40)), torch.rand(1, 1, 40, 40)), {"size": 32, "overlap": 20}, BadValue, "half of a tile"),
        (
            Problem(Mask((torch.arange(64) < 10).expand(1, 64, 64)), torch.rand(1, 1, 64, 64)),
            {"size": 32},
            BadValue,
            "no known pixel, rows 0 to 32",
        ),
    ],
)
def test_what_has_no_tiles_is_refused(problem: Problem, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        solve_tiles(problem, lambda part: part.y, **options)
