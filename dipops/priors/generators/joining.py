"""Where two branches of an hourglass meet: the coarser one is doubled in size and laid beside the skip branch."""

import torch.nn.functional as F
from torch import Tensor, nn

from dipops.priors.generators.layers import Padding, Upsampling, beside, convolution, doubling, normalisation


class Join(nn.Module):
    """Doubles the coarser map, lays the skip branch beside it, normalises both, and convolves.

    Where the doubling repeats pixels it is never carried out: each pixel meets sums of the weights instead, as a transposed
    convolution of stride 2, and normalisation sees the same mean and variance before it. That is the same function at less than
    half the cost. Only wide kernels that reflect at the border cannot be had so.

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
        if not self.folds:
            deeper = self.doubling(deeper)
            return self.conv(self.norm(deeper if skip is None else beside(skip, deeper, self.copies)))
        joined = self._doubled_and_convolved(deeper)
        return joined if skip is None else joined + self._convolved(skip)

    def _convolved(self, skip: Tensor) -> Tensor:
        channels = slice(None, self.skip)
        border = self.conv.kernel_size[0] // 2
        skip = self._normalised(skip, channels)
        if self.padding is Padding.REFLECT:
            skip, border = F.pad(skip, (border,) * 4, mode="reflect"), 0
        return F.conv2d(skip, self.conv.weight[:, channels], padding=border, groups=self.copies)

    def _doubled_and_convolved(self, deeper: Tensor) -> Tensor:
        channels = slice(self.skip, None)
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
