"""How measurements are drawn around A(x), and the data term that follows from it."""

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Literal

import torch
from torch import Tensor

from dipops.errors import BadValue, require_number, require_positive, safe_repr
from dipops.operators.sensor import clipped_noise_moments

__all__ = ["LEAST_SQUARES", "ClippedGaussian", "Gaussian", "Laplace", "Noise", "Poisson"]

_IMAGE_UNITS = "give it in image units: 25 / 255"
_LEAST_SHARE = 1e-3
_NODES = 2049
_PARTS_OF_SIGMA, _LEAST_SIGMA = 256, 1e-3  # of a table in even steps, which has no end for smaller σ
_REACH = 8.0  # of clipping, in σ: farther from 0 and 1 the mean of clipped noise is the value itself
_ROUNDINGS = 100


class Noise:
    """A model of the noise: how y is drawn around A(x), and D(A(x), y), its negative log-likelihood times ``temperature``.

    ``weights`` are None, or broadcast to y and at least 0: 0 for what was not measured.
    """

    def __str__(self) -> str:
        return safe_repr(self)

    @property
    def temperature(self) -> float:
        """What D is divided by to give the negative log-likelihood."""
        raise NotImplementedError

    def distances(self, ax: Tensor, y: Tensor) -> Tensor:
        """The terms of D without weights, of the shape of y: 0 where A(x) = y, finite and with a gradient everywhere."""
        raise NotImplementedError

    def data_term(self, ax: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """D of each image: (N, *out_shape) gives (N,)."""
        distances = self.distances(ax, y)
        return (distances if weights is None else weights * distances).flatten(1).sum(1)

    def expected(self, ax: Tensor) -> Tensor:
        """The expected distance of y from A(x) where A(x) is true, of the shape of ax."""
        raise NotImplementedError

    def prox_conjugate(self, u: Tensor, step: float | Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """argmin over v of ½ ‖v - u‖² + step D*(v), with D* the convex conjugate of D in A(x)."""
        raise NotImplementedError

    def draw(self, ax: Tensor, generator: torch.Generator) -> Tensor:
        """One measurement y around A(x), drawn on the CPU."""
        raise NotImplementedError

    def scaled(self, factor: float) -> "Noise":
        """The noise of factor · y, for a positive factor."""
        raise NotImplementedError

    def debias(self, image: Tensor) -> Tensor:
        """The image whose noisy measurements have the given one as their mean."""
        return image

    def bias(self, image: Tensor) -> Tensor:
        """What ``debias`` takes to the given image: the mean of its noisy measurements."""
        return image


class _LeastSquares(Noise):
    """D = ½ ‖A(x) - y‖², which depends on no σ."""

    def distances(self, ax: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (ax - y).square()

    def data_term(self, ax: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        squares = (ax - y).square()
        summed = (squares if weights is None else weights * squares).flatten(1).sum(1)
        return 0.5 * summed  # halved once, not term by term: a third less time with the gradient

    def prox_conjugate(self, u: Tensor, step: float | Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        moved = u - step * y
        return moved / (1 + step) if weights is None else weights * moved / (weights + step)


LEAST_SQUARES = _LeastSquares()
"""The data term where the noise is not known."""


@dataclass(frozen=True)
class Gaussian(_LeastSquares):
    """y = A(x) + n with n normal of standard deviation σ: least squares, D = ½ ‖A(x) - y‖².

    Where all values of y are in [0, 1], as in 8-bit files, the noise is taken to be clipped, as ClippedGaussian says, unless
    ``clipped`` is False. Where no value comes near 0 or 1, the two do not differ.

    Attributes:
        sigma: σ, at least 0, in image units, such as 25 / 255. 0 is free of noise.
        clipped: False where y in [0, 1] was never clipped; by default the values of y decide.

    Raises:
        BadValue: sigma is negative or not finite, or ``clipped`` is True.
    """

    sigma: float
    clipped: Literal[False] | None = None

    def __post_init__(self) -> None:
        wanted = ("a standard deviation of at least 0", _IMAGE_UNITS)
        sigma = require_number("sigma", self.sigma, lambda sigma: 0 <= sigma < float("inf"), *wanted)
        if self.clipped not in (False, None):
            raise BadValue(
                f"clipped = {self.clipped!r}", "False or None", f"write ClippedGaussian({sigma:g}) for clipped noise"
            )
        object.__setattr__(self, "sigma", sigma)

    def __repr__(self) -> str:
        return f"Gaussian(sigma={self.sigma}{'' if self.clipped is None else ', clipped=False'})"

    def __str__(self) -> str:
        return f"noise of σ = {self.sigma:.4g}"

    @property
    def temperature(self) -> float:
        return self.sigma**2

    def expected(self, ax: Tensor) -> Tensor:
        return torch.full_like(ax, 0.5 * self.sigma**2)

    def variances(self, y: Tensor) -> Tensor:
        """An estimate of the variance of y from y alone, of its shape, whose mean over many draws is right."""
        return torch.full_like(y, self.sigma**2)

    def draw(self, ax: Tensor, generator: torch.Generator) -> Tensor:
        return ax + self.sigma * torch.randn(ax.shape, generator=generator, dtype=torch.float32).to(ax)

    def scaled(self, factor: float) -> "Gaussian":
        return Gaussian(self.sigma * factor, self.clipped if factor == 1 else False)


@dataclass(frozen=True)
class ClippedGaussian(Gaussian):
    """y = clip(A(x) + n, 0, 1) with n normal of standard deviation σ, as in 8-bit files.

    Least squares lead to the mean of y instead of A(x): lighter near black, darker near white. Where y measures the pixels
    themselves, ``debias`` inverts that mean, see :class:`dipops.operators.sensor.ExpectedClip`.

    Attributes:
        sigma: σ before clipping, above 0, in image units.

    Raises:
        BadValue: sigma is not positive.
    """

    clipped: None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        sigma = require_positive("sigma", self.sigma, "a positive standard deviation", _IMAGE_UNITS)
        object.__setattr__(self, "sigma", sigma)

    def __repr__(self) -> str:
        return f"ClippedGaussian(sigma={self.sigma})"

    def expected(self, ax: Tensor) -> Tensor:
        """Half the variance of clipped measurements whose mean is ax. Where ax is no such mean, that of black or white."""
        if self.sigma < _LEAST_SIGMA:
            _, means, variances = _clipped_table_like(self.sigma, ax.dtype, ax.device)
            return 0.5 * _interpolated(ax, means, variances)
        first, step, variances = _variances_like(self.sigma, ax.dtype, ax.device)
        place = ((ax - first) / step).clamp(0, len(variances) - 2)
        below = place.nan_to_num().long()  # NaN, as in a solve that diverges, stays NaN by the weight
        return 0.5 * torch.lerp(variances[below], variances[below + 1], place - below)

    def variances(self, y: Tensor) -> Tensor:
        """One value for y in (0, 1) and another for 0 and 1: on average right to 5% of σ² for every A(x) in [0, 1]."""
        inside, at_ends = _clipped_variances(self.sigma)
        return torch.where((y > 0) & (y < 1), inside, at_ends).to(y)

    def draw(self, ax: Tensor, generator: torch.Generator) -> Tensor:
        return super().draw(ax, generator).clamp(0, 1)

    def scaled(self, factor: float) -> "Gaussian":
        if factor != 1:
            raise BadValue(f"{self!r} times {factor:g}", "a factor of 1", "clipped noise has no other unit: use Gaussian")
        return self

    def debias(self, image: Tensor) -> Tensor:
        """The values in [0, 1] whose clipped noise has the given means."""
        values, means, _ = _clipped_table_like(self.sigma, image.dtype, image.device)
        return _interpolated(image, means, values)

    def bias(self, image: Tensor) -> Tensor:
        """The means of clipped noise around the values."""
        return clipped_noise_moments(image, self.sigma)[0]


@dataclass(frozen=True)
class Poisson(Noise):
    """peak · y is Poisson around peak · (A(x) + background): photons. D = Σ z - y + y log(y / z), z = A(x) + background.

    D is the Kullback-Leibler divergence in image units. Below y / 1000 its tangent replaces it, and for y = 0 its mirror image
    below 0, so that it is finite for every A(x).

    Attributes:
        peak: expected number of photons for a value of 1.
        background: what is measured besides A(x), at least 0, in image units.

    Raises:
        BadValue: the peak is not positive, or the background negative.
    """

    peak: float
    background: float = 0.0

    def __post_init__(self) -> None:
        peak = require_positive("peak", self.peak, "a positive number of photons", "it is the count for a value of 1")
        wanted = ("a number of at least 0", "give it in image units")
        background = require_number("background", self.background, lambda value: 0 <= value < float("inf"), *wanted)
        object.__setattr__(self, "peak", peak)
        object.__setattr__(self, "background", background)

    def __str__(self) -> str:
        return f"Poisson noise of {self.peak:.4g} photons at 1"

    @property
    def temperature(self) -> float:
        return 1 / self.peak

    def distances(self, ax: Tensor, y: Tensor) -> Tensor:
        z, least = ax + self.background, _LEAST_SHARE * y
        inner = torch.maximum(z, least).clamp(min=torch.finfo(y.dtype).tiny)
        return inner - y + torch.xlogy(y, y) - torch.xlogy(y, inner) + self._steepest(y) * (least - z).clamp(min=0)

    def expected(self, ax: Tensor) -> Tensor:
        """The mean over y, from a table of the exact sums."""
        rates, _ = _poisson_table()
        log_rates, means = _poisson_table_like(ax.dtype, ax.device)
        scaled = (self.peak * (ax + self.background)).clamp(min=float(rates[0]))
        return _interpolated(scaled.log(), log_rates, means) / self.peak

    def prox_conjugate(self, u: Tensor, step: float | Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        w = torch.ones_like(y) if weights is None else weights
        v = u + step * self.background
        v = 0.5 * (v + w - ((v - w).square() + 4 * step * w * y).sqrt())
        return torch.where(w > 0, torch.maximum(v, -w * self._steepest(y)), 0)

    def draw(self, ax: Tensor, generator: torch.Generator) -> Tensor:
        """Raises BadValue where A(x) + background is negative by more than rounding, which a transform leaves near 0."""
        rate = self.peak * (ax.cpu().double() + self.background)
        rounding = _ROUNDINGS * torch.finfo(ax.dtype).eps * float(rate.abs().max())
        if bool((rate < -rounding).any()):
            raise BadValue(f"Poisson noise around {float(rate.min()) / self.peak:.3g}", "A(x) of at least 0", "shift or clip x")
        return (torch.poisson(rate.clamp(min=0), generator) / self.peak).to(ax)

    def scaled(self, factor: float) -> "Poisson":
        return Poisson(self.peak / factor, self.background * factor)

    @staticmethod
    def _steepest(y: Tensor) -> Tensor:
        """How fast the distance falls at the left, where it is straight."""
        return torch.where(y > 0, 1 / _LEAST_SHARE - 1, 1.0).to(y)


@dataclass(frozen=True)
class Laplace(Noise):
    """y = A(x) + n with n of the density exp(-|n| / scale) / (2 scale): outliers. D = ‖A(x) - y‖₁.

    Attributes:
        scale: the mean of |n|, above 0, in image units.

    Raises:
        BadValue: the scale is not positive.
    """

    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", require_positive("scale", self.scale, "a positive number", _IMAGE_UNITS))

    def __str__(self) -> str:
        return f"Laplace noise of scale {self.scale:.4g}"

    @property
    def temperature(self) -> float:
        return self.scale

    def distances(self, ax: Tensor, y: Tensor) -> Tensor:
        return (ax - y).abs()

    def expected(self, ax: Tensor) -> Tensor:
        return torch.full_like(ax, self.scale)

    def prox_conjugate(self, u: Tensor, step: float | Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        moved = u - step * y
        return moved.clamp(-1, 1) if weights is None else torch.maximum(torch.minimum(moved, weights), -weights)

    def draw(self, ax: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(ax.shape, generator=generator, dtype=torch.float64) - 0.5
        drawn = -uniform.sign() * torch.log1p(-2 * uniform.abs().clamp(max=0.5 - 1e-16))
        return ax + (self.scale * drawn).to(ax)

    def scaled(self, factor: float) -> "Laplace":
        return Laplace(self.scale * factor)


def is_least_squares(noise: Noise | None) -> bool:
    """Whether the data term is ½ ‖A(x) - y‖²: of normal noise, clipped or not, and of unknown noise."""
    return noise is None or isinstance(noise, _LeastSquares)


def require_noise(noise: Noise | None, user: str) -> Noise:
    """The noise, if it is known and not zero; else BadValue."""
    if noise is None or noise.temperature == 0:
        came = "noise that is not known" if noise is None else "measurements without noise"
        raise BadValue(f"{user} on {came}", "the noise", "write Problem(A, y, 25 / 255), or another noise model")
    return noise


def require_least_squares(noise: Noise | None, user: str, instead: str) -> None:
    """Refuse a noise whose data term is no sum of squares, with BadValue."""
    if not is_least_squares(noise):
        raise BadValue(f"{user} for {safe_repr(noise)}", "Gaussian noise, whose data term is least squares", instead)


def require_sigma(noise: Noise | None, user: str, instead: str) -> float:
    """The σ of Gaussian noise that is known and not zero; else BadValue."""
    require_least_squares(noise, user, instead)
    return require_noise(noise, user).temperature ** 0.5


def _interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation of a table of rising ``places``, constant beyond its ends."""
    above = torch.searchsorted(places, x.contiguous()).clamp(1, len(places) - 1)
    low, high = places[above - 1], places[above]
    part = ((x - low) / (high - low)).clamp(0, 1)
    return torch.lerp(values[above - 1], values[above], part)


@lru_cache(16)
def _clipped_table(sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Values in [0, 1], dense where noise is clipped, and mean and variance of clipped noise around them."""
    dark = torch.linspace(0, min(_REACH * sigma, 0.5), _NODES, dtype=torch.float64)
    values = torch.cat([dark, 1 - dark[:-1].flip(0)])
    return values, *clipped_noise_moments(values, sigma)


@lru_cache(16)
@torch.inference_mode(False)
def _clipped_table_like(sigma: float, kind: torch.dtype, place: torch.device) -> list[Tensor]:
    """The same on a device, which a copy in each step would wait for."""
    return [column.to(kind).to(place) for column in _clipped_table(sigma)]


@lru_cache(16)
@torch.inference_mode(False)
def _variances_like(sigma: float, kind: torch.dtype, place: torch.device) -> tuple[float, float, Tensor]:
    """The variances at means in even steps, with the first mean and the step: found without a search, on a device."""
    _, means, variances = _clipped_table(sigma)
    parts = max(2 * _NODES, round(_PARTS_OF_SIGMA / sigma))
    first, step = float(means[0]), float(means[-1] - means[0]) / parts
    even = first + step * torch.arange(parts + 2, dtype=torch.float64)
    return first, step, _interpolated(even, means, variances).to(kind).to(place)


@lru_cache(16)
def _clipped_variances(sigma: float) -> tuple[float, float]:
    """Two values for y inside (0, 1) and at its ends, whose expectation comes nearest to the variance of y over all values."""
    values, _, variances = _clipped_table(sigma)
    at_ends = torch.special.ndtr(-values / sigma) + torch.special.ndtr((values - 1) / sigma)
    inside, end = torch.linalg.lstsq(torch.stack([1 - at_ends, at_ends], 1), variances[:, None]).solution.flatten().tolist()
    return inside, end


@cache
def _poisson_table() -> tuple[Tensor, Tensor]:
    """Rates λ, and E of λ - k + k log(k / λ) for k of the Poisson distribution of rate λ, which tends to ½."""
    rates = torch.cat([torch.logspace(-8, 4, 1201, dtype=torch.float64), torch.tensor([1e12], dtype=torch.float64)])
    return rates, torch.tensor([*map(_mean_distance, rates[:-1].tolist()), 0.5], dtype=torch.float64)


@lru_cache(16)
@torch.inference_mode(False)
def _poisson_table_like(kind: torch.dtype, place: torch.device) -> list[Tensor]:
    """The logarithms of the rates, and the expectations, on a device."""
    rates, means = _poisson_table()
    return [column.to(kind).to(place) for column in (rates.log(), means)]


def _mean_distance(rate: float) -> float:
    """E of λ - k + k log(k / λ), summed over all k that matter."""
    spread = int(12 * rate**0.5 + 30)
    k = torch.arange(max(0, int(rate) - spread), int(rate) + spread, dtype=torch.float64)
    probability = (torch.xlogy(k, rate * torch.ones_like(k)) - rate - torch.lgamma(k + 1)).exp()
    return float((probability * (rate - k + torch.xlogy(k, k / rate))).sum())
