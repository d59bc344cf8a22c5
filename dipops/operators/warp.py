"""Images whose pixels have moved: a warp by a flow, and the rolling shutter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dipops.errors import BadValue
from dipops.operators import checks
from dipops.operators.interface import LinearOperator
from dipops.operators.sparse import Sparse

if TYPE_CHECKING:
    import scipy.sparse


class Warp(LinearOperator):
    """Takes each pixel from where a flow points to: motion, lens distortion, registration.

    y(p) = x(p + flow(p)), by bilinear interpolation between the centres of four pixels; beyond the border the nearest pixel is
    repeated. It equals ``torch.nn.functional.grid_sample(..., padding_mode="border", align_corners=True)`` and
    ``scipy.ndimage.map_coordinates(..., order=1, mode="nearest")``. The flow says where a pixel comes from: with a constant
    flow (down, right) the image moves up and left.

    Args:
        in_shape: (H, W) or (C, H, W); dimensions in front are warped each in the same way.
        flow: (2, H, W), pixels down and to the right. A tensor decides dtype and device.

    Raises:
        BadType: the flow is no tensor or array of real numbers.
        BadValue: the flow has another size or values that are not finite, or ``in_shape`` has one dimension.
    """

    def __init__(self, in_shape: Sequence[int], flow: Any) -> None:
        super().__init__(in_shape)
        flow = _pixels("flow", flow, ((2, *checks.image_sides(self.in_shape)),))
        self._like = flow.new_empty(0)
        self._matrix = Sparse(_bilinear(flow.cpu().double().numpy())).to(flow)

    def forward(self, x: Tensor) -> Tensor:
        return self._matrix(x.reshape(-1, self.in_shape[-2] * self.in_shape[-1])).view(x.shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._matrix.transposed(y.reshape(-1, self.in_shape[-2] * self.in_shape[-1])).view(y.shape)


def rolling_shutter(in_shape: Sequence[int], displacement: Any) -> Warp:
    """The image of a camera that moves while its rows are read one after another: a :class:`Warp` of whole rows.

    Args:
        in_shape: (H, W) or (C, H, W).
        displacement: how far the camera has moved when a row is read, in pixels: (H,) to the right, or (2, H) down and right.
            Row i shows the scene from there, so that what stands still appears shifted to the left.

    Raises:
        BadType: ``displacement`` is no tensor or array of real numbers.
        BadValue: it has another size or values that are not finite.
    """
    height, width = checks.image_sides(in_shape)
    displacement = _pixels("displacement", displacement, ((height,), (2, height)))
    both = displacement if displacement.ndim == 2 else torch.stack([torch.zeros_like(displacement), displacement])
    return Warp(in_shape, both[..., None].expand(2, height, width))


def _pixels(name: str, value: Any, shapes: Sequence[tuple[int, ...]]) -> Tensor:
    """Displacements of one of the shapes, or BadType or BadValue."""
    pixels = checks.real_values(value, name)
    if tuple(pixels.shape) not in shapes:
        expected = f"a tensor {' or '.join(map(str, shapes))}"
        raise BadValue(f"{name} has shape {tuple(pixels.shape)}", expected, "give it in pixels, (down, right), without a batch")
    return pixels


def _bilinear(flow: Any) -> "scipy.sparse.csr_array[Any, tuple[int, int]]":
    """The weights of the four pixels around each p + flow(p), (pixels, pixels)."""
    import scipy.sparse

    height, width = flow.shape[1:]
    size = height * width
    last = np.array([height - 1, width - 1])[:, None, None]
    position = np.clip(np.indices((height, width)) + flow, 0, last)
    before = np.minimum(position.astype(np.int32), np.maximum(last - 1, 0))
    after = np.minimum(before + 1, last)
    share = position - before
    corners = [(i, j) for i in (0, 1) for j in (0, 1)]
    near, weight = (before, after), (1 - share, share)
    columns = np.stack([near[i][0] * width + near[j][1] for i, j in corners], -1)
    weights = np.stack([weight[i][0] * weight[j][1] for i, j in corners], -1)
    starts = np.arange(0, 4 * size + 1, 4)
    matrix = scipy.sparse.csr_array((weights.ravel(), columns.ravel(), starts), shape=(size, size))
    matrix.eliminate_zeros()
    return matrix
