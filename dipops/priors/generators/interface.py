"""What a generator is, and how several become one network of independent copies."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from dipops._tools.seeds import SeededDraws
from dipops.errors import BadValue, require_integer

SMALLEST_SIDE = 16


class Generator(Protocol):
    """A config that builds a network."""

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        """A network from (1, copies * in_channels, h, w) to (1, copies * out_channels, H, W), its copies independent."""
        ...

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (h, w) of z from which the network makes an image of at least ``size`` = (H, W).

        Raises:
            BadValue: the image is too small for the network.
        """
        ...


def grouped_copies(config: Generator, in_channels: int, out_channels: int, seeds: list[int]) -> nn.Module:
    """One network of len(seeds) independent copies, copy k initialised as a single network is from ``seeds[k]``.

    Built on the CPU; the global random state is neither used nor changed.
    """

    def build(seed: int, copies: int = 1) -> nn.Module:
        with torch.device("cpu"), SeededDraws(seed):
            return config.build(in_channels, out_channels, copies)

    members = [build(seed) for seed in seeds]
    if len(members) == 1:
        return members[0]
    network = build(seeds[0], len(seeds))
    states = [member.state_dict() for member in members]
    network.load_state_dict({name: torch.cat([state[name] for state in states]) for name in states[0]})
    return network


def require_widths(channels: tuple[int, ...], least: int) -> None:
    """Refuse fewer than ``least`` widths, and a width that is no positive integer."""
    if len(channels) < least:
        raise BadValue(f"channels = {channels}", f"at least {least} of them", "write (64,) * 5, say")
    for width in channels:
        require_integer("a width in channels", width, 1, "write (64,) * 5, say")


def padded_blocks(size: tuple[int, int], halvings: int, least: int, smaller: Callable[[int], str]) -> tuple[int, int]:
    """How many blocks of 2^halvings pixels cover each side of an image, ``least`` at least.

    Args:
        size: (H, W) of the image.
        halvings: how often the network halves a map.
        least: blocks that its deepest map has to be wide.
        smaller: names the network with another number of halvings, for the advice.

    Raises:
        BadValue: a side is under 16 pixels and there are too many halvings for it.
    """
    unit = 2**halvings
    smallest, needed = min(size), min(SMALLEST_SIDE, 2 * unit)
    if smallest < needed:
        fitting = max(smallest.bit_length() - 2, 0)
        advice = f"{smaller(fitting)} would fit" if fitting else "enlarge it"
        raise BadValue(f"an image of {size[1]} x {size[0]} pixels", f"sides from {needed} pixels", advice)
    height, width = (max(-(-side // unit), least) for side in size)
    return height, width
