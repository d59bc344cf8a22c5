"""Encoder-decoders: the hourglass of the paper, and the one without skips of its architecture study."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dipops.errors import BadType, BadValue, require_integer
from dipops.priors.generators.interface import in_units, require_widths
from dipops.priors.generators.joining import Join
from dipops.priors.generators.layers import (
    Downsampling,
    Padding,
    ToImage,
    Upsampling,
    convolution,
    leaky,
    normalisation,
)


@dataclass(frozen=True)
class Hourglass:
    """The encoder-decoder with skip branches of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior".

    Kernels, skips and upsampling can be one for all scales or one for each, from the finest. The defaults are the paper's
    network of 2 217 831 parameters for three channels.

    Attributes:
        channels: width of each scale, on the way down and up; their number is the number of scales.
        skips: channels of the skip branch at each scale, 0 for none.
        down_kernels: sides of the convolutions on the way down, odd.
        up_kernels: sides of the convolutions on the way up, odd.
        upsampling: nearest or bilinear.
        downsampling: by stride or by averages.
        padding: reflection or zeros.
        pointwise: whether a 1 x 1 convolution ends each scale.
        recompute: make the maps inside each block anew on the way back instead of keeping them: the same bits from less memory,
            in more time; ``estimate`` tells both.

    Raises:
        BadValue: a tuple has another length than ``channels``, or a number is out of range.
        BadType: a mode is no member of its enum, a number no integer, or a choice neither True nor False.
    """

    channels: tuple[int, ...] = (128,) * 5
    skips: int | tuple[int, ...] = 4
    down_kernels: int | tuple[int, ...] = 3
    up_kernels: int | tuple[int, ...] = 3
    upsampling: Upsampling | tuple[Upsampling, ...] = Upsampling.BILINEAR
    downsampling: Downsampling = Downsampling.STRIDE
    padding: Padding = Padding.REFLECT
    pointwise: bool = True
    recompute: bool = False

    def __post_init__(self) -> None:
        kinds = {"upsampling": Upsampling, "downsampling": Downsampling, "padding": Padding}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not all(isinstance(part, kind) for part in (value if isinstance(value, tuple) else (value,))):
                raise BadType(f"{name} = {value!r}", f"a member of {kind.__name__}", f"write {next(iter(kind))}")
        for name in ("pointwise", "recompute"):
            if not isinstance(getattr(self, name), bool):
                raise BadType(f"{name} = {getattr(self, name)!r}", "True or False", f"write {name}=True")
        require_widths(self.channels, 1)
        for name in ("skips", "down_kernels", "up_kernels", "upsampling"):
            values = self.per_scale(name)
            if len(values) != len(self.channels):
                came = f"{len(values)} {name} for {len(self.channels)} scales"
                raise BadValue(came, "one for all or one each", "match channels")
            for value in values if name != "upsampling" else ():
                require_integer(name, value, 0 if name == "skips" else 1, "give one number for all scales, or a tuple")
        if any(kernel % 2 == 0 for kernel in self.per_scale("down_kernels") + self.per_scale("up_kernels")):
            raise BadValue(f"{self}", "odd kernels", "use 3 or 5")

    def per_scale(self, name: str) -> tuple[Any, ...]:
        """A setting as one value for each scale."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * len(self.channels)

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
        height, width = in_units(size, scales, self._least_units(), lambda fitting: f"a network of {fitting} scales")
        return height * 2**scales, width * 2**scales

    def _least_units(self) -> int:
        """The smallest side of the deepest map."""
        scales, needed = len(self.channels), 2
        if self.padding is Padding.ZEROS:
            return needed
        kernels = zip(self.per_scale("down_kernels"), self.per_scale("up_kernels"), strict=True)
        for scale, (down, up) in enumerate(kernels):
            needed = max(needed, (down // 2) // 2 ** (scales - scale - 1) + 1, (up // 2) // 2 ** (scales - scale) + 1)
        return needed


@dataclass(frozen=True)
class EncoderDecoder:
    """The hourglass without skips of the paper's architecture study: 5 x 5 on the way down, 3 x 3 and nearest on the way up.

    The default is its deepest, of 2 996 467 parameters for one channel in and three out; ``channels[:4]`` and ``[:2]`` of it
    are the shallower ones.

    Attributes:
        channels: width of each scale, from the finest.

    Raises:
        BadType: ``channels`` is no tuple of integers.
        BadValue: there is no scale, or a width is not positive.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 128, 128)

    def __post_init__(self) -> None:
        self._hourglass()

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """See :class:`Generator`; the network ends in a sigmoid."""
        return self._hourglass().build(in_channels, out_channels, copies)

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`."""
        return self._hourglass().input_size(size)

    def _hourglass(self) -> Hourglass:
        return Hourglass(self.channels, 0, down_kernels=5, up_kernels=3, upsampling=Upsampling.NEAREST, pointwise=False)


class _Scale(nn.Module):
    """One scale of the hourglass, which holds the coarser ones inside it."""

    def __init__(self, config: Hourglass, scale: int, in_channels: int, inner: nn.Module | None, copies: int) -> None:
        super().__init__()
        width, skip = config.channels[scale], config.per_scale("skips")[scale]
        down, up = config.per_scale("down_kernels")[scale], config.per_scale("up_kernels")[scale]
        deeper = config.channels[scale + 1] if inner is not None else width

        def block(source: int, target: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            layers: list[nn.Module] = [convolution(source, target, kernel, config.padding, copies, stride=stride)]
            return [*layers, normalisation(target, copies), leaky()]

        def reducing() -> list[nn.Module]:
            if config.downsampling is Downsampling.STRIDE:
                return block(in_channels, width, down, stride=2)
            first, *rest = block(in_channels, width, down)
            return [first, nn.AvgPool2d(2), *rest]

        self.skip = nn.Sequential(*block(in_channels, skip, 1)) if skip else None
        self.down = nn.Sequential(*reducing(), *block(width, width, down))
        self.inner = inner
        mode: Upsampling = config.per_scale("upsampling")[scale]
        self.join = Join(skip, deeper, width, up, mode, config.padding, copies)
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
        return checkpoint(block, *maps, use_reentrant=False) if self.recompute else block(*maps)
