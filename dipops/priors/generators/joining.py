"""Where two branches of an hourglass meet: the coarser one is doubled in size and laid beside the skip branch."""

import torch.nn.functional as F
from torch import Tensor, nn

from dipops.priors.generators.layers import Padding, Upsampling, convolution, doubling, normalisation


class Join(nn.Module):
    """Doubles the coarser map, lays the skip branch beside it, normalises both, and convolves.

    Each branch meets its own part of the weights and the results are added: no map is copied to lie beside another, and wide
    branches keep widths at which convolutions are fast. Where the doubling repeats pixels it is never carried out: each pixel
    meets sums of the weights instead, as a transposed convolution of stride 2, and normalisation sees the same mean and
    variance before it. Both leave the function as it was. Only wide kernels that reflect at the border cannot be folded so.

    Args:
        skip, deeper: channels of the two branches; skip may be 0.
        target: channels of the result.
        kernel: side of the convolution.
        mode: of the doubling.
        padding: of the convolution.
        copies: how many independent networks lie side by side.
    """

    def __init__(
        self, skip: int, deeper: int, target: int, kernel: int, mode: Upsampling, padding: Padding, copies: int
    ) -> None:
        super().__init__()
        self.skip, self.copies, self.padding = skip, copies, padding
        self.norm = normalisation(skip + deeper, copies)
        self.conv = convolution(skip + deeper, target, kernel, padding, copies)
        self.doubling = doubling(mode)
        self.folds = mode is Upsampling.NEAREST and (kernel <= 3 or padding is Padding.ZEROS)

    def forward(self, deeper: Tensor, skip: Tensor | None) -> Tensor:
        """Maps (1, copies * deeper, h, w) and (1, copies * skip, 2h, 2w) to (1, copies * target, 2h, 2w)."""
        below = slice(self.skip, None)
        if self.folds:
            joined = self._doubled_and_convolved(deeper, below)
        else:
            joined = self._convolved(self.doubling(deeper), below, self.conv.bias)
        return joined if skip is None else joined.add_(self._convolved(skip, slice(self.skip)))

    def _convolved(self, x: Tensor, channels: slice, bias: Tensor | None = None) -> Tensor:
        border = self.conv.kernel_size[0] // 2
        x = self._normalised(x, channels)
        if self.padding is Padding.REFLECT and border:
            x, border = F.pad(x, (border,) * 4, mode="reflect"), 0
        return F.conv2d(x, self.conv.weight[:, channels], bias, padding=border, groups=self.copies)

    def _doubled_and_convolved(self, deeper: Tensor, channels: slice) -> Tensor:
        border = self.conv.kernel_size[0] // 2
        deeper = self._normalised(deeper, channels)
        if self.padding is Padding.REFLECT and border:  # what lies next to the border after doubling is the border pixel
            deeper, border = F.pad(deeper, (1,) * 4, mode="replicate"), border + 2
        weight = _summed_for_doubling(self.conv.weight[:, channels])
        weight = weight.unflatten(0, (self.copies, -1)).transpose(1, 2).flatten(0, 1)
        return F.conv_transpose2d(deeper, weight, self.conv.bias, stride=2, padding=border, groups=self.copies)

    def _normalised(self, x: Tensor, channels: slice) -> Tensor:
        weight, bias = (
            part.unflatten(0, (self.copies, -1))[:, channels].flatten() for part in (self.norm.weight, self.norm.bias)
        )
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=self.norm.eps)


def _summed_for_doubling(weight: Tensor) -> Tensor:
    """Weights (..., k, k) of a correlation as those (..., k + 1, k + 1) with which a pixel is spread that stood for 2 x 2."""
    wide = F.pad(weight.flip(-2, -1), (1,) * 4)
    wide = wide[..., 1:, :] + wide[..., :-1, :]
    return wide[..., 1:] + wide[..., :-1]
