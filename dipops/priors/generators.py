"""Untrained networks that generate pictures, each from one frozen config."""

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dipops.errors import BadType, BadValue

_SLOPE = 0.2
_SMALLEST_SIDE = 16


class Generator(Protocol):
    """A config that builds a network."""

    def build(self, in_channels: int, out_channels: int, copies: int) -> nn.Module:
        """A network from (1, copies * in_channels, H, W) to (1, copies * out_channels, H, W), its copies independent."""
        ...

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size, not smaller than ``size``, that the network can take."""
        ...


class Upsampling(Enum):
    """How a map is doubled in size."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


class Downsampling(Enum):
    """How a map is halved: by the stride of a convolution, or by a 2 x 2 mean after one."""

    STRIDE = "stride"
    AVERAGE = "average"


class Padding(Enum):
    """What lies beyond the border of a map."""

    REFLECT = "reflect"
    ZEROS = "zeros"


@dataclass(frozen=True)
class Hourglass:
    """The encoder-decoder with skip branches of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior".

    Every value but the last three can be one for all scales or one for each, from the finest. The defaults are the paper's
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

    Raises:
        BadValue: a tuple has another length than ``channels``, or a number is out of range.
        BadType: a mode is no member of its enum.
    """

    channels: tuple[int, ...] = (128,) * 5
    skips: int | tuple[int, ...] = 4
    down_kernels: int | tuple[int, ...] = 3
    up_kernels: int | tuple[int, ...] = 3
    upsampling: Upsampling | tuple[Upsampling, ...] = Upsampling.BILINEAR
    downsampling: Downsampling = Downsampling.STRIDE
    padding: Padding = Padding.REFLECT
    pointwise: bool = True

    def __post_init__(self) -> None:
        kinds = {"upsampling": Upsampling, "downsampling": Downsampling, "padding": Padding}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not all(isinstance(part, kind) for part in (value if isinstance(value, tuple) else (value,))):
                raise BadType(f"{name} = {value!r}", f"a member of {kind.__name__}", f"write {next(iter(kind))}")
        for name in ("skips", "down_kernels", "up_kernels", "upsampling"):
            value = self.per_scale(name)
            if len(value) != len(self.channels):
                raise BadValue(
                    f"{len(value)} {name} for {len(self.channels)} scales", "one for all or one each", "match channels"
                )
        if not self.channels or min(self.channels) < 1 or min(self.per_scale("skips")) < 0:
            raise BadValue(f"{self}", "positive channels and skips from 0", "correct them")
        if any(k < 1 or k % 2 == 0 for k in self.per_scale("down_kernels") + self.per_scale("up_kernels")):
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
        return nn.Sequential(inner, _convolution(self.channels[0], out_channels, 1, 1, self.padding, copies), nn.Sigmoid())

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """See :class:`Generator`: the next multiple of 2^scales where every map is larger than its padding and 1 x 1.

        Raises:
            BadValue: a side is under 16 pixels and the network has too many scales for it.
        """
        unit = 2 ** len(self.channels)
        smallest = min(size)
        if smallest < min(_SMALLEST_SIDE, 2 * unit):
            fitting = max(smallest.bit_length() - 2, 0)
            advice = f"a Hourglass of {fitting} scales would fit" if fitting else "enlarge it"
            raise BadValue(f"a picture of {size[0]} x {size[1]}", f"sides from {min(_SMALLEST_SIDE, 2 * unit)} pixels", advice)
        height, width = (max(-(-side // unit), self._least_units()) * unit for side in size)
        return height, width

    def _least_units(self) -> int:
        """The smallest side of the deepest map."""
        scales, needed = len(self.channels), 2
        if self.padding is Padding.ZEROS:
            return needed
        kernels = zip(self.per_scale("down_kernels"), self.per_scale("up_kernels"), strict=True)
        for scale, (down, up) in enumerate(kernels):
            needed = max(needed, (down // 2) // 2 ** (scales - scale - 1) + 1, (up // 2) // 2 ** (scales - scale) + 1)
        return needed


class _Scale(nn.Module):
    """One scale of the hourglass, which holds the coarser ones inside it."""

    def __init__(self, config: Hourglass, scale: int, in_channels: int, inner: nn.Module | None, copies: int) -> None:
        super().__init__()
        width, skip = config.channels[scale], config.per_scale("skips")[scale]
        down, up = config.per_scale("down_kernels")[scale], config.per_scale("up_kernels")[scale]
        deeper = config.channels[scale + 1] if inner is not None else width

        def block(source: int, target: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            layers: list[nn.Module] = [_convolution(source, target, kernel, stride, config.padding, copies)]
            return [*layers, _normalisation(target, copies), nn.LeakyReLU(_SLOPE, inplace=True)]

        def reducing() -> list[nn.Module]:
            if config.downsampling is Downsampling.STRIDE:
                return block(in_channels, width, down, stride=2)
            convolution, *rest = block(in_channels, width, down)
            return [convolution, nn.AvgPool2d(2), *rest]

        self.copies = copies
        self.skip = nn.Sequential(*block(in_channels, skip, 1)) if skip else None
        mode: Upsampling = config.per_scale("upsampling")[scale]
        self.deeper = nn.Sequential(
            *reducing(), *block(width, width, down), *([inner] if inner is not None else []), _doubling(mode)
        )
        self.joined = nn.Sequential(
            _normalisation(skip + deeper, copies),
            *block(skip + deeper, width, up),
            *(block(width, width, 1) if config.pointwise else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        deeper = self.deeper(x)
        if self.skip is None:
            return self.joined(deeper)
        return self.joined(_beside(self.skip(x), deeper, self.copies))


def _convolution(source: int, target: int, kernel: int, stride: int, padding: Padding, copies: int) -> nn.Conv2d:
    return nn.Conv2d(copies * source, copies * target, kernel, stride, kernel // 2, groups=copies, padding_mode=padding.value)


def _normalisation(channels: int, copies: int) -> nn.BatchNorm2d:
    """Batch statistics always: with one image a copy, each channel is normalised over its own pixels."""
    return nn.BatchNorm2d(copies * channels, track_running_stats=False)


def _doubling(mode: Upsampling) -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode=mode.value, align_corners=False if mode is Upsampling.BILINEAR else None)


def _beside(a: Tensor, b: Tensor, copies: int) -> Tensor:
    """Channels of a and b side by side within each copy."""
    if copies == 1:
        return torch.cat([a, b], dim=1)
    return torch.cat([a.unflatten(1, (copies, -1)), b.unflatten(1, (copies, -1))], dim=2).flatten(1, 2)


def side_by_side(config: Generator, in_channels: int, out_channels: int, seeds: list[int]) -> nn.Module:
    """One network of len(seeds) independent copies, copy k initialised as a single network is from ``seeds[k]``.

    Built on the CPU; the global random state is left as it was.
    """
    members = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed CUDA too
            members.append(config.build(in_channels, out_channels, 1))
        if len(members) == 1:
            return members[0]
        network = config.build(in_channels, out_channels, len(members))
    states = [member.state_dict() for member in members]
    network.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
    return network
