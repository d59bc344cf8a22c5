"""Means, deviations and paired differences over the images and the seeds of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

Draw = tuple[int | None, int | None]
"""The seed of the noise, and that of the contestant; None where nothing was drawn."""
Scores = Mapping[str, Mapping[Any, float]]
"""By image, then by what was drawn: a Draw, or for ``mean`` and ``deviation`` anything that tells the runs apart."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Paired differences between two contestants over the images that both have.

    Attributes:
        images: how many.
        mean: of the differences.
        low, high: the 95% confidence interval of the mean by Student's t; None for one image.
        p: of the Wilcoxon signed-rank test that the differences are symmetric around 0; 1 where all are 0, None for one image.
    """

    images: int
    mean: float
    low: float | None
    high: float | None
    p: float | None


def mean(scores: Scores) -> float:
    """The mean over the draws of each image, then over the images."""
    return fmean(fmean(by_draw.values()) for by_draw in scores.values())


def deviation(scores: Scores) -> float | None:
    """The standard deviation, over the draws that every image has, of the mean over the images; None with fewer than two."""
    common = set.intersection(*(set(by_draw) for by_draw in scores.values()))
    means = [fmean(by_draw[draw] for by_draw in scores.values()) for draw in common]
    return stdev(means) if len(means) > 1 and all(map(isfinite, means)) else None


def difference(ours: Scores, theirs: Scores) -> Difference | None:
    """The differences ours - theirs of the images that both have, each a mean over the noise seeds that both have.

    None where there is no such image, or a difference is not finite.
    """
    per_image = [_difference(ours[image], theirs[image]) for image in ours if image in theirs]
    values = [value for value in per_image if value is not None]
    if not values or not all(map(isfinite, values)):
        return None
    if len(values) == 1:
        return Difference(1, values[0], None, None, None)
    from scipy.stats import t, wilcoxon

    centre = fmean(values)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    p = float(wilcoxon(values)[1]) if any(values) else 1.0  # pyright: ignore[reportArgumentType]
    return Difference(len(values), centre, centre - reach, centre + reach, p)


def least_p(images: int) -> float:
    """The smallest p that a Wilcoxon signed-rank test of so many images can have."""
    return 2.0 ** (1 - images)


def _difference(ours: Mapping[Draw, float], theirs: Mapping[Draw, float]) -> float | None:
    """The mean difference of an image over the noise seeds that both have; None where there is none."""
    first, second = _by_noise(ours), _by_noise(theirs)
    common = [noise for noise in first if noise in second]
    return fmean(first[noise] - second[noise] for noise in common) if common else None


def _by_noise(scores: Mapping[Draw, float]) -> dict[int | None, float]:
    """The means over the contestant's seeds, by the seed of the noise."""
    return {noise: fmean(value for (drawn, _), value in scores.items() if drawn == noise) for noise, _ in scores}
