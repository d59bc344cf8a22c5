"""Computed tomography: the projections of an image along parallel rays."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dipops.errors import BadType, BadValue, require_integer, safe_repr
from dipops.operators import checks
from dipops.operators.checks import Shape
from dipops.operators.interface import LinearOperator
from dipops.operators.sparse import Sparse

if TYPE_CHECKING:
    import scipy.sparse

_MOST_BYTES = 4e9
_VALUES_AT_ONCE = 2**18
_LEAST_COSINE = 1e-8
_LEAST_WEIGHT = 1e-7


class Radon(LinearOperator):
    """Projections of an image along parallel rays at given angles: computed tomography.

    Measurement (k, d) is the integral of the image over a strip of width 1, where each pixel is a square of side 1. With θ the
    angle k, the strip is where |t - (d - D // 2)| < 1/2 for t = i cos θ - j sin θ, i and j the distances to the right and down
    from the centre of pixel (H // 2, W // 2). The weight of a pixel is its area in the strip (Lo, "Strip and line path
    integrals with a square pixel matrix", IEEE TMI 1988). Angles, centre and the order of the detectors are those of
    ``skimage.transform.radon(image, theta, circle=False)``; a measurement is its sinogram transposed, one row per angle.

    The weights are stored as a sparse matrix and its transpose, 3.3 MB together per angle at 256 x 256 pixels.

    Args:
        in_shape: (H, W) or (C, H, W); dimensions in front are projected each by itself.
        angles: K angles in degrees, a sequence or a tensor.
        detectors: D, by default ⌈√2 max(H, W)⌉, scikit-image's number, enough for the whole image at every angle. A smaller
            number cuts both ends of each projection, a larger one lengthens them.

    Raises:
        BadType: ``angles`` is no sequence of numbers, or ``detectors`` no integer.
        BadValue: there is no angle, one is not finite, ``in_shape`` has one dimension, or the matrix would be too large.
    """

    def __init__(self, in_shape: Sequence[int], angles: Sequence[float] | Tensor, detectors: int | None = None) -> None:
        super().__init__(in_shape)
        if len(self.in_shape) < 2:
            raise BadValue(f"in_shape = {self.in_shape}", "(H, W) or (C, H, W)", "a projection needs an image")
        height, width = self.in_shape[-2:]
        degrees = _degrees(angles)
        if detectors is None:
            detectors = math.ceil(2**0.5 * max(height, width))
        require_integer("detectors", detectors, 1, "leave it out for the whole image")
        _require_space(height, width, degrees)
        self.angles = tuple(degrees.tolist())
        self._projection = (len(degrees), int(detectors))
        self._matrix = Sparse(_pixel_areas(height, width, degrees, detectors).T)

    @property
    def out_shape(self) -> Shape:
        return (*self.in_shape[:-2], *self._projection)

    def forward(self, x: Tensor) -> Tensor:
        return self._matrix(x.reshape(-1, math.prod(self.in_shape[-2:]))).view(-1, *self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._matrix.transposed(y.reshape(-1, math.prod(self._projection))).view(-1, *self.in_shape)

    def fbp(self, y: Tensor) -> Tensor:
        """Filtered back-projection: (N, *out_shape) to (N, *in_shape), for angles equally spaced over 180 degrees.

        π / K times the adjoint of the projections, each filtered by the ramp |f| up to half a cycle per detector (Kak and
        Slaney, "Principles of Computerized Tomographic Imaging", section 3.3, equation 61).
        """
        checks.require_batch(y, self.out_shape, self._like, "y", self)
        count, detectors = self._projection
        length = 2 ** math.ceil(math.log2(2 * detectors))
        response = torch.fft.rfft(_ramp_kernel(length).to(y))
        filtered = torch.fft.irfft(torch.fft.rfft(y, length) * response, length)[..., :detectors]
        return math.pi / count * self.adjoint(filtered)

    def __repr__(self) -> str:
        return f"Radon({', '.join(map(str, self.in_shape))}, {len(self.angles)} angles)"


def _degrees(angles: Sequence[float] | Tensor) -> Tensor:
    """The angles in float64, or BadType or BadValue."""
    expected, advice = "a sequence of angles in degrees", "write a list of numbers, such as [0, 45, 90, 135]"
    try:
        degrees = torch.as_tensor(angles, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(f"angles = {safe_repr(angles)}", expected, advice) from error
    if degrees.ndim == 0:
        raise BadType(f"angles = {safe_repr(angles)}", expected, f"write [{degrees.item():g}] for one angle")
    if degrees.ndim > 1 or not len(degrees):
        raise BadValue(f"angles of shape {tuple(degrees.shape)}", expected, advice)
    if not degrees.isfinite().all():
        raise BadValue("an angle that is not finite", expected, "look for NaN and infinity among them")
    return degrees


def _cosines(degrees: Tensor) -> tuple[Tensor, Tensor]:
    return torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()


def _require_space(height: int, width: int, degrees: Tensor) -> None:
    """Refuse what would need too much memory: a pixel reaches 1 + |cos θ| + |sin θ| detectors on average."""
    per_weight = 2 * (4 + torch.empty(0).element_size())
    per_pixel = float(sum(part.abs().sum() for part in _cosines(degrees))) + len(degrees)
    needed = per_weight * height * width * per_pixel
    if needed > _MOST_BYTES:
        came = f"{needed / 1e9:.1f} GB of weights for {width} x {height} pixels and {len(degrees)} angles"
        fewer = int(len(degrees) * _MOST_BYTES / needed)
        advice = f"take {fewer} angles or a smaller image" if fewer else "take a smaller image"
        raise BadValue(came, f"at most {_MOST_BYTES / 1e9:.0f} GB", advice)


def _pixel_areas(height: int, width: int, degrees: Tensor, detectors: int) -> "scipy.sparse.csr_array":
    """The area of each pixel (rows) in each strip (columns), some rows of the image at a time.

    Along the detectors a pixel is a trapezoid, the convolution of boxes of widths |cos θ| and |sin θ|. It is centred within
    half a detector of the one that it is nearest to, reaches no further than the two next to that, and overlaps these by what
    lies beyond the edge between them.
    """
    import scipy.sparse

    cosine, sine = _cosines(degrees)
    larger, smaller = torch.maximum(cosine.abs(), sine.abs()), torch.minimum(cosine.abs(), sine.abs()).clamp(min=_LEAST_COSINE)
    slope = 1 / (2 * larger * smaller)
    outer, inner = (larger + smaller - 1) / 2, (larger - smaller - 1) / 2

    def beyond(offset: Tensor) -> Tensor:
        return ((outer + offset).clamp(min=0).square() - (inner + offset).clamp(min=0).square()) * slope

    across = (torch.arange(width) - width // 2)[:, None] * cosine
    first = torch.arange(len(degrees), dtype=torch.int32)[:, None] * detectors
    neighbours = torch.arange(-1, 2, dtype=torch.int32)
    columns, weights, counts = [], [], []
    for rows in torch.arange(height).split(max(1, _VALUES_AT_ONCE // (width * len(degrees)))):
        position = across - (rows - height // 2)[:, None, None] * sine
        nearest = position.round()
        before, after = beyond(nearest - position), beyond(position - nearest)
        areas = torch.stack([before, 1 - before - after, after], -1)
        detector = (nearest.int() + detectors // 2)[..., None] + neighbours
        used = (areas > _LEAST_WEIGHT) & (detector >= 0) & (detector < detectors)
        columns.append((detector + first)[used])
        weights.append(areas[used].to(torch.get_default_dtype()))
        counts.append(used.sum((-2, -1)).flatten())
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cumsum(0)])
    parts = torch.cat(weights).numpy(), torch.cat(columns).numpy(), starts.int().numpy()
    return scipy.sparse.csr_array(parts, shape=(height * width, len(degrees) * detectors))


def _ramp_kernel(length: int) -> Tensor:
    """The ramp filter in space, from distance 0 and periodic: 1/4 at 0, -1 / (π n)² at odd n, else 0."""
    distance = torch.arange(length, dtype=torch.float64)
    distance = torch.minimum(distance, length - distance)
    return torch.where(distance % 2 == 1, -1 / (math.pi * distance).square(), torch.where(distance == 0, 0.25, 0.0))
