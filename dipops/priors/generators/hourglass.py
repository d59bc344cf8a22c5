"""Encoder-decoders: the hourglass of the paper, and the one without skips of its architecture study."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar, cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dipops.errors import BadValue, require_choice, require_integer
from dipops.priors.generators.interface import padded_blocks, require_widths
from dipops.priors.generators.joining import Join
from dipops.priors.generators.layers import (
    Downsampling,
    Padding,
    ToImage,
    Upsampling,
    convolution,
    leaky,
    normalisation,
    with_fixed_bias,
)

T = TypeVar("T")
PerScale = int | tuple[int, ...]


@dataclass(frozen=True)
class Hourglass:
    """The encoder-decoder with skip branches of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior".

    Kernels, skips and upsampling can be one value for all scales or one for each, from the finest. The defaults are the paper's
    network of 2 217 831 parameters for three channels.

    Attributes:
        channels: width of each scale, on the way down and up; their number is the number of scales.
        skips: channels of the skip branch at each scale, 0 for none.
        kernels: sides of the convolutions on the way down and on the way up, odd.
        upsampling: "nearest" or "bilinear".
        downsampling: "stride" for strided convolutions, "average" for 2 x 2 means after them.
        padding: "reflect" or "zeros".
        pointwise: whether a 1 x 1 convolution ends each scale.
        recompute: compute the maps inside each block again in the backward pass instead of keeping them: the same bits with
            less memory, in more time; ``estimate`` gives both.

    Raises:
        BadValue: a tuple has another length than ``channels``, a number is out of range, or a mode is unknown.
    """

    channels: tuple[int, ...] = (128,) * 5
    skips: PerScale = 4
    kernels: tuple[PerScale, PerScale] = (3, 3)
    upsampling: Upsampling | tuple[Upsampling, ...] = "bilinear"
    downsampling: Downsampling = "stride"
    padding: Padding = "reflect"
    pointwise: bool = True
    recompute: bool = False

    def __post_init__(self) -> None:
        require_widths(self.channels, 1)
        settings = {"skips": self.skips, "down kernels": self.kernels[0], "up kernels": self.kernels[1]}
        for name, setting in {**settings, "upsampling": self.upsampling}.items():
            if len(self.per_scale(setting)) != len(self.channels):
                came = f"{len(self.per_scale(setting))} {name} for {len(self.channels)} scales"
                raise BadValue(came, "one for all or one each", "match channels")
        for skip in self.per_scale(self.skips):
            require_integer("skips", skip, 0, "0 leaves the branch out")
        for kernel in self.per_scale(self.kernels[0]) + self.per_scale(self.kernels[1]):
            if require_integer("kernels", kernel, 1, "use 3 or 5") % 2 == 0:
                raise BadValue(f"kernels = {self.kernels}", "odd sides", "use 3 or 5")
        require_choice("downsampling", self.downsampling, Downsampling)
        require_choice("padding", self.padding, Padding)
        for mode in self.per_scale(self.upsampling):
            require_choice("upsampling", mode, Upsampling)

    def per_scale(self, setting: T | tuple[T, ...]) -> tuple[T, ...]:
        """A setting as one value for each scale."""
        return setting if isinstance(setting, tuple) else (setting,) * len(self.channels)

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """See :class:`Generator`; the network ends in a sigmoid, so values lie in (0, 1)."""
        inner: nn.Module | None = None
        widths = (in_channels, *self.channels)
        for scale, (width, _) in reversed(list(enumerate(pairwise(widths)))):
            inner = _Scale(self, scale, width, inner, copies)
        assert inner is not None
        return nn.Sequential(inner, ToImage(convolution(self.channels[0], out_channels, 1, self.padding, copies)))

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`: the next multiple of 2^scales where every map is larger than its padding and 1 x 1.

        Raises:
            BadValue: a side is under 16 pixels and the network has too many scales for it.
        """
        scales = len(self.channels)
        height, width = padded_blocks(size, scales, self._least_blocks(), lambda fitting: f"a network of {fitting} scales")
        return height * 2**scales, width * 2**scales

    def _least_blocks(self) -> int:
        """The smallest side of the deepest map."""
        scales, needed = len(self.channels), 2
        if self.padding == "zeros":
            return needed
        kernels = zip(*map(self.per_scale, self.kernels), strict=True)
        for scale, (down, up) in enumerate(kernels):
            needed = max(needed, (down // 2) // 2 ** (scales - scale - 1) + 1, (up // 2) // 2 ** (scales - scale) + 1)
        return needed


def encoder_decoder(channels: tuple[int, ...] = (16, 32, 64, 128, 128, 128)) -> Hourglass:
    """The hourglass without skips of the paper's architecture study: 5 x 5 on the way down, 3 x 3 and nearest on the way up.

    The default is its deepest, of 2 996 467 parameters for one channel in and three out; the first four and two of its channels
    make the shallower ones.

    Args:
        channels: width of each scale, from the finest.

    Raises:
        BadValue: there is no scale, or a width is not positive.
    """
    return Hourglass(channels, skips=0, kernels=(5, 3), upsampling="nearest", pointwise=False)


class _Scale(nn.Module):
    """One scale of the hourglass, which holds the coarser ones inside it."""

    def __init__(self, config: Hourglass, scale: int, in_channels: int, inner: nn.Module | None, copies: int) -> None:
        super().__init__()
        width, skip = config.channels[scale], config.per_scale(config.skips)[scale]
        down, up = (config.per_scale(kernels)[scale] for kernels in config.kernels)
        deeper = config.channels[scale + 1] if inner is not None else width

        def block(source: int, target: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            layer = convolution(source, target, kernel, config.padding, copies, stride=stride)
            return [with_fixed_bias(layer), normalisation(target, copies), leaky()]

        def reducing() -> list[nn.Module]:
            if config.downsampling == "stride":
                return block(in_channels, width, down, stride=2)
            first, *rest = block(in_channels, width, down)
            return [first, nn.AvgPool2d(2), *rest]

        self.skip = nn.Sequential(*block(in_channels, skip, 1)) if skip else None
        self.down = nn.Sequential(*reducing(), *block(width, width, down))
        self.inner = inner
        mode = config.per_scale(config.upsampling)[scale]
        self.join = Join(skip, deeper, width, up, cast(Upsampling, mode), config.padding, copies)
        self.last = nn.Sequential(
            *(normalisation(width, copies), leaky()), *(block(width, width, 1) if config.pointwise else [])
        )

        self.recompute = config.recompute

    def forward(self, x: Tensor) -> Tensor:
        deeper = self._run(self.down, x)
        if self.inner is not None:
            deeper = self.inner(deeper)
        skip = None if self.skip is None else self._run(self.skip, x)
        return self._run(self.last, self._run(self.join, deeper, skip))

    def _run(self, block: nn.Module, *maps: Tensor | None) -> Tensor:
        if not self.recompute:
            return block(*maps)
        return checkpoint(block, *maps, use_reentrant=False, preserve_rng_state=False)  # nothing here is drawn at random
