"""Computed tomography: the projections of an image along parallel rays."""

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dipops.errors import BadType, BadValue, require_integer, safe_repr
from dipops.operators import checks
from dipops.operators.checks import Shape
from dipops.operators.interface import LinearOperator
from dipops.operators.sparse import Sparse

if TYPE_CHECKING:
    import scipy.sparse

Floats = NDArray[np.floating[Any]]
_MOST_BYTES = 4e9
_MOST_MEASUREMENTS = 10**8
_VALUES_AT_ONCE = 2**16
_LEAST_COSINE = 1e-8
_MANY = 8
_LEAST_WEIGHT = 1e-7


class Radon(LinearOperator):
    """Projections of an image along parallel rays at given angles: computed tomography.

    Measurement (k, d) is the integral of the image over a strip of width 1, where each pixel is a square of side 1. With θ the
    angle k, the strip is where |t - (d - D // 2)| < 1/2 for t = i cos θ - j sin θ, i and j the distances to the right and down
    from the centre of pixel (H // 2, W // 2). The weight of a pixel is its area in the strip (Lo, "Strip and line path
    integrals with a square pixel matrix", IEEE TMI 1988). Angles, centre and the order of the detectors are those of
    ``skimage.transform.radon(image, theta, circle=False)``; a measurement is its sinogram transposed, one row per angle.

    The weights are stored as a sparse matrix and its transpose, 2.4 MB together per angle at 256 x 256 pixels.

    Args:
        in_shape: (H, W) or (C, H, W); dimensions in front are projected each by itself.
        angles: K angles in degrees, a sequence or a tensor.
        detectors: D, by default ⌈√2 max(H, W)⌉, scikit-image's number, which holds the whole image at every angle, but for the
            tip of a corner pixel at some angles. Fewer cut both ends of each projection.

    Raises:
        BadType: ``angles`` is no sequence of numbers, or ``detectors`` no integer.
        BadValue: there is no angle, one is not finite, ``in_shape`` has one dimension, or the matrix would be too large.
    """

    def __init__(self, in_shape: Sequence[int], angles: Sequence[float] | Tensor, detectors: int | None = None) -> None:
        super().__init__(in_shape)
        height, width = checks.image_sides(self.in_shape)
        degrees = _degrees(angles)
        if detectors is None:
            detectors = math.ceil(2**0.5 * max(height, width))
        require_integer("detectors", detectors, 1, "leave it out for the whole image")
        radians = torch.deg2rad(degrees)
        cosine, sine = radians.cos().numpy(), radians.sin().numpy()
        _require_space(height, width, cosine, sine, detectors)
        self.angles = tuple(degrees.tolist())
        self._projection = (len(degrees), int(detectors))
        self._matrix = Sparse(_pixel_areas(height, width, cosine, sine, detectors).T)

    @property
    def out_shape(self) -> Shape:
        return (*self.in_shape[:-2], *self._projection)

    def forward(self, x: Tensor) -> Tensor:
        return self._matrix(x.reshape(-1, math.prod(self.in_shape[-2:]))).view(len(x), *self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._matrix.transposed(y.reshape(-1, math.prod(self._projection))).view(len(y), *self.in_shape)

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
        return f"Radon({', '.join(map(str, self.in_shape))}, {_counted(len(self.angles))})"


def _counted(angles: int) -> str:
    return f"{angles} angle{'s' if angles > 1 else ''}"


def _degrees(angles: Sequence[float] | Tensor) -> Tensor:
    """The angles in float64, or BadType or BadValue."""
    expected, advice = "a sequence of angles in degrees", "write a list of numbers, such as [0, 45, 90, 135]"
    try:
        values = angles.detach() if isinstance(angles, Tensor) else angles
        degrees = torch.as_tensor(values, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(f"angles = {safe_repr(angles)}", expected, advice) from error
    if degrees.ndim == 0:
        raise BadType(f"angles = {safe_repr(angles)}", expected, f"write [{degrees.item():g}] for one angle")
    if degrees.ndim > 1 or not len(degrees):
        raise BadValue(f"angles of shape {tuple(degrees.shape)}", expected, advice)
    if not degrees.isfinite().all():
        raise BadValue("an angle that is not finite", expected, "look for NaN and infinity among them")
    if len(degrees) >= _MANY and 0.95 * math.pi * (1 - 1 / len(degrees)) <= float(degrees.abs().max()) <= 2 * math.pi:
        came = f"{len(degrees)} angles up to {float(degrees.abs().max()):.3g}, which look like radians"
        warnings.warn(f"{came}; angles are in degrees: write numpy.rad2deg(angles)", stacklevel=4)
    return degrees


def _require_space(height: int, width: int, cosine: Floats, sine: Floats, detectors: int) -> None:
    """Refuse what would need too much memory: a pixel reaches 1 + |cos θ| + |sin θ| detectors on average."""
    if len(cosine) * detectors > _MOST_MEASUREMENTS:
        came = f"{_counted(len(cosine))} of {detectors} detectors"
        raise BadValue(came, f"at most {_MOST_MEASUREMENTS:,} measurements", "leave detectors out for the whole image")
    bytes_per_weight = 2 * (4 + torch.empty(0).element_size())
    needed = bytes_per_weight * height * width * float((1 + abs(cosine) + abs(sine)).sum())
    if needed > _MOST_BYTES:
        came = f"{needed / 1e9:.1f} GB of weights for {width} x {height} pixels and {_counted(len(cosine))}"
        fewer = int(len(cosine) * _MOST_BYTES / needed)
        advice = f"take at most {_counted(fewer)}, or a smaller image" if fewer else "take a smaller image"
        raise BadValue(came, f"at most {_MOST_BYTES / 1e9:.0f} GB", advice)


def _pixel_areas(
    height: int, width: int, cosine: Floats, sine: Floats, detectors: int
) -> "scipy.sparse.csr_array[Any, tuple[int, int]]":
    """The area of each pixel (rows) in each strip (columns: angles, detectors), for some rows of the image at a time.

    Along the detectors a pixel is a trapezoid, the convolution of boxes of widths |cos θ| and |sin θ|. It is centred within
    half a detector of the nearest one and reaches no further than that one's neighbours, by what lies beyond their edge.
    """
    import scipy.sparse

    larger = np.maximum(abs(cosine), abs(sine))
    smaller = np.maximum(np.minimum(abs(cosine), abs(sine)), _LEAST_COSINE)
    outer, inner, slope = (larger + smaller - 1) / 2, (larger - smaller - 1) / 2, 1 / (2 * larger * smaller)

    def beyond(offset: Floats) -> Floats:
        return (np.square(np.maximum(outer + offset, 0)) - np.square(np.maximum(inner + offset, 0))) * slope

    right = (np.arange(width) - width // 2)[:, None] * cosine
    first = (np.arange(len(cosine)) * detectors).astype(np.int32)
    dtype = torch.empty(0).numpy().dtype
    columns, weights, counts = [], [], []
    for rows in np.array_split(np.arange(height), min(height, 1 + height * right.size // _VALUES_AT_ONCE)):
        position = right - (rows - height // 2)[:, None, None] * sine
        rounded = np.rint(position)
        nearest = rounded.astype(np.int32) + detectors // 2
        before, after = beyond(rounded - position), beyond(position - rounded)
        areas, column = (np.empty((*position.shape, 3), kind) for kind in (dtype, np.int32))
        for k, area in enumerate((before, 1 - before - after, after)):
            detector = nearest + (k - 1)
            areas[..., k] = np.where((detector >= 0) & (detector < detectors), area, 0)
            column[..., k] = detector + first
        used = areas > _LEAST_WEIGHT
        columns.append(column[used])
        weights.append(areas[used])
        counts.append(np.count_nonzero(used, (-2, -1)).ravel())
    starts = np.concatenate([[0], np.concatenate(counts).cumsum()]).astype(np.int32)
    parts = np.concatenate(weights), np.concatenate(columns), starts
    return scipy.sparse.csr_array(parts, shape=(height * width, len(cosine) * detectors))


def _ramp_kernel(length: int) -> Tensor:
    """The ramp filter in space, from distance 0 and periodic: 1/4 at 0, -1 / (π n)² at odd n, else 0."""
    distance = torch.arange(length, dtype=torch.float64)
    distance = torch.minimum(distance, length - distance)
    return torch.where(distance % 2 == 1, -1 / (math.pi * distance).square(), torch.where(distance == 0, 0.25, 0.0))
