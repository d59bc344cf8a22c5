"""Where two branches of an hourglass meet: the coarser one is doubled in size and joined with the skip branch."""

import torch.nn.functional as F
from torch import Tensor, nn

from dipops.priors.generators.layers import Padding, Upsampling, convolution, doubling, normalisation, pad, with_fixed_bias


class Join(nn.Module):
    """Doubles the coarser map, joins it with the skip branch, normalises both, and convolves; a normalisation must follow.

    Each branch is convolved with its own part of the weights and the results are added: no map is copied for a concatenation,
    and wide branches keep widths at which convolutions are fast. Where the doubling repeats pixels it is never carried out:
    each pixel is multiplied by sums of the weights instead, as a transposed convolution of stride 2, and normalisation has the
    same mean and variance before it. Both compute the same function. Only wide kernels with reflection cannot be folded so.

    Args:
        skip, deeper: channels of the two branches; skip may be 0.
        target: channels of the result.
        kernel: side of the convolution.
        mode: of the doubling.
        padding: of the convolution.
        copies: number of independent networks.
    """

    def __init__(
        self, skip: int, deeper: int, target: int, kernel: int, mode: Upsampling, padding: Padding, copies: int
    ) -> None:
        super().__init__()
        self.skip, self.copies, self.padding = skip, copies, padding
        self.norm = normalisation(skip + deeper, copies)
        self.conv = with_fixed_bias(convolution(skip + deeper, target, kernel, padding, copies))
        self.doubling = doubling(mode)
        self.folds = mode == "nearest" and (kernel <= 3 or padding == "zeros")

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
        if self.padding == "reflect" and border:
            x, border = pad(x, border, "reflect"), 0
        return F.conv2d(x, self.conv.weight[:, channels], bias, padding=border, groups=self.copies)

    def _doubled_and_convolved(self, deeper: Tensor, channels: slice) -> Tensor:
        border = self.conv.kernel_size[0] // 2
        deeper = self._normalised(deeper, channels)
        if self.padding == "reflect" and border:  # what lies next to the border after doubling is the border pixel
            deeper, border = pad(deeper, 1, "replicate"), border + 2
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
