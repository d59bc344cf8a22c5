"""Images too large to be solved as a whole: overlapping tiles, solved one after another and blended."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from math import ceil, prod
from typing import NamedTuple

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, require_integer, safe_repr
from dipops.noise import ClippedGaussian, Gaussian
from dipops.operators import GuidedInput, Identity, LanczosDownsampler, LinearOrDifferentiableOperator, Mask
from dipops.problem import Problem

LEAST_SIZE = 32


class Tile(NamedTuple):
    """Rows and columns of a measurement, and the share of each of its pixels in the whole, (height, width)."""

    rows: slice
    columns: slice
    share: Tensor


def solve_tiles(problem: Problem, solve_one: Callable[[Problem], Tensor], size: int, overlap: int | None = None) -> Tensor:
    """Solve a problem in overlapping tiles of y and blend the results; memory is bounded by one tile.

    Two tiles overlap, and their shares of the answer fade into each other there. Each tile has the noise of the whole.

    Args:
        problem: with Identity, GuidedInput, Mask or LanczosDownsampler on (C, H, W).
        solve_one: solves the problem of one tile: (N, C, height, width), such as ``lambda part: solve(part, prior).image``.
        size: sides of a tile in pixels of y, at least 32; sides of y below it are not divided.
        overlap: pixels that two tiles share, at least; by default a quarter of ``size``.

    Returns:
        (N, *in_shape).

    Raises:
        BadType: another operator.
        BadValue: images of another shape, size or overlap that do not fit, or a tile of a mask has no known pixel.
    """
    require_integer("size", size, LEAST_SIZE, "a tile must hold the structures of the image")
    overlap = _usual_overlap(size) if overlap is None else overlap
    require_integer("overlap", overlap, 1, "seams show without one")
    if overlap > size // 2:
        raise BadValue(f"overlap = {overlap} for tiles of {size}", "at most half of a tile", "make the tiles larger")
    if len(problem.operator.in_shape) != 3:
        raise BadValue(f"tiles of images {problem.operator.in_shape}", "(C, H, W)", "add a channel: x[None]")
    scale = problem.operator.factor if isinstance(problem.operator, LanczosDownsampler) else 1
    image = problem.y.new_zeros(len(problem.y), *problem.operator.in_shape)
    shape = problem.operator.out_shape[-2:]
    for tile in tiles(shape, size, overlap):
        part_of(problem, tile)  # one that cannot be solved is refused before the work, and none is kept in memory
    for tile in tiles(shape, size, overlap):
        share = tile.share.to(image).repeat_interleave(scale, 0).repeat_interleave(scale, 1)
        rows, columns = (slice(scale * part.start, scale * part.stop) for part in (tile.rows, tile.columns))
        image[..., rows, columns] += share * solve_one(part_of(problem, tile))
    return image


def tiles(shape: Sequence[int], size: int, overlap: int) -> Iterator[Tile]:
    """The tiles of an image of shape (height, width); their shares add up to 1 in every pixel."""
    starts = [_starts(side, size, overlap) for side in shape]
    shares = [_shares(side, size, begins) for side, begins in zip(shape, starts, strict=True)]
    for (top, down), (left, across) in product(*(zip(*pair, strict=True) for pair in zip(starts, shares, strict=True))):
        yield Tile(slice(top, top + len(down)), slice(left, left + len(across)), down[:, None] * across)


def count_tiles(shape: Sequence[int], size: int) -> int:
    """How many tiles ``solve_tiles`` makes of measurements of shape (height, width)."""
    return prod(len(_starts(side, size, _usual_overlap(size))) for side in shape)


def _usual_overlap(size: int) -> int:
    return size // 4


def can_tile(operator: LinearOrDifferentiableOperator) -> bool:
    """Whether ``solve_tiles`` knows the operator."""
    return type(operator) in (Identity, GuidedInput, Mask, LanczosDownsampler)


def part_of(problem: Problem, tile: Tile) -> Problem:
    """The problem of one tile."""
    crop = (..., tile.rows, tile.columns)
    noise = problem.noise
    if type(noise) is Gaussian and problem.is_noisy and len(set(problem.is_clipped)) == 1:
        noise = ClippedGaussian(noise.sigma) if all(problem.is_clipped) else Gaussian(noise.sigma, clipped=False)
    weights = None if problem.weights is None else problem.weights[crop]
    return Problem(_operator_of(problem.operator, tile), problem.y[crop], noise, weights=weights)


def _operator_of(operator: LinearOrDifferentiableOperator, tile: Tile) -> LinearOrDifferentiableOperator:
    crop = (..., tile.rows, tile.columns)
    shape = (operator.in_shape[0], *tile.share.shape)
    if type(operator) is Mask:
        if not operator.mask[crop].any():
            where = f"rows {tile.rows.start} to {tile.rows.stop}, columns {tile.columns.start} to {tile.columns.stop}"
            raise BadValue(f"a tile with no known pixel, {where}", "some in each tile", "make the tiles larger")
        return Mask(operator.mask[crop], channels=shape[0])
    if type(operator) is GuidedInput:
        assert operator.guide is not None
        return GuidedInput(operator.guide[crop])
    if type(operator) is Identity:
        return Identity(shape).to(operator._like)
    if type(operator) is LanczosDownsampler:
        sides = (operator.factor * side for side in tile.share.shape)
        return LanczosDownsampler((shape[0], *sides), operator.factor, operator.lobes).to(operator._like)
    expected = "Identity, GuidedInput, Mask or LanczosDownsampler"
    raise BadType(f"tiles of {safe_repr(operator)}", expected, "solve the whole, or a smaller image")


def _starts(side: int, size: int, overlap: int) -> list[int]:
    """Where tiles begin along one side, evenly spaced."""
    if side <= size:
        return [0]
    count = ceil((side - overlap) / (size - overlap))
    return [round(k * (side - size) / (count - 1)) for k in range(count)]


def _shares(side: int, size: int, starts: list[int]) -> list[Tensor]:
    """The share of each tile along one side: rising from its ends, straight up to the overlap, and 1 where it is alone."""
    size = min(side, size)
    overlap = max((start + size - following for start, following in pairwise(starts)), default=1)
    inside = torch.arange(size, dtype=torch.float64) + 0.5
    heights = torch.minimum(inside, size - inside).clamp(max=overlap)
    total = torch.zeros(side, dtype=torch.float64)
    for start in starts:
        total[start : start + size] += heights
    return [heights / total[start : start + size] for start in starts]
