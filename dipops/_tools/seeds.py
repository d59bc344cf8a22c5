"""Independent streams of random numbers from one seed."""

import zlib

import numpy as np
import torch

from dipops.errors import require_integer


def stream(seed: int, purpose: str, place: torch.device | None = None) -> torch.Generator:
    """A generator for one purpose: two purposes share no numbers, although they share the seed.

    Without this the noise of a simulated measurement and the noise that a solver adds to its input would be the same
    numbers whenever both run from seed 0.
    """
    require_integer("seed", seed, 0, "choose another")
    (state,) = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1, np.uint64)
    return torch.Generator(place or "cpu").manual_seed(int(state >> np.uint64(1)))
