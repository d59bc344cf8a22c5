"""How each experiment makes a problem of an image's name and files. Its y is what a system is given."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dipops import images, masks
from dipops._tools.seeds import stream
from dipops.noise import ClippedGaussian
from dipops.operators import GuidedInput, Identity, LanczosDownsampler, Mask
from dipops.paper.data import MASK, Images
from dipops.problem import Problem

TARGETS = ("image", "image + noise", "shuffled pixels", "white noise")
_UNIT = 32


def noisy(name: str, files: Images) -> Problem:
    """The paper's noisy file, σ = 25."""
    truth = files["truth"]
    return Problem(Identity(truth.shape), files["noisy"], 25 / 255, truth=truth)


def with_noise(name: str, files: Images) -> Problem:
    """The image with noise of σ = 50, cut to [0, 1]."""
    truth = files["truth"]
    return Problem.simulate(Identity(truth.shape), truth, ClippedGaussian(50 / 255))


def reduced_by_pillow(factor: int, name: str, files: Images) -> Problem:
    """The paper's protocol: the small image is Pillow's (Lanczos of three lobes, 8 bits), the operator has two lobes."""
    truth = _divisible(files["truth"])
    height, width = truth.shape[1:]
    small = images.to_pil(truth).resize((width // factor, height // factor), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(small, dtype=np.float32) / 255)
    y = pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0).contiguous()
    return Problem(LanczosDownsampler(truth.shape, factor), y, truth=truth)


def reduced_by_operator(factor: int, name: str, files: Images) -> Problem:
    """The small image is what the operator makes of the image."""
    truth = _divisible(files["truth"])
    return Problem.simulate(LanczosDownsampler(truth.shape, factor), truth, 0)


def masked(name: str, files: Images) -> Problem:
    """The image under the paper's mask."""
    truth = files["truth"]
    return Problem.simulate(Mask((files[MASK][0] > 0.5).float(), len(truth)), truth, 0)


def halved(name: str, files: Images) -> Problem:
    """The grey image under the mask of the paper's file, which is black where a pixel is missing."""
    return Problem.simulate(Mask((files["half"][0] > 0).float(), 1), files["truth"], 0)


def sparse(name: str, files: Images) -> Problem:
    """The image with 2% of its pixels known, at random."""
    truth = files["truth"]
    return Problem.simulate(Mask(masks.random(truth.shape[1:], keep=0.02), len(truth)), truth, 0)


def as_it_is(name: str, files: Images) -> Problem:
    """The image itself, of which nothing more is known."""
    return Problem(Identity(files["image"].shape), files["image"])


def guided(name: str, files: Images) -> Problem:
    """The image without flash, with the one with flash as its guide."""
    return Problem(GuidedInput(files["flash"]), files["noflash"])


def photo(name: str, files: Images) -> Problem:
    """A photo of which a network's features are taken."""
    return Problem(Identity(files["photo"].shape), files["photo"], truth=files["photo"])


def nothing(name: str, files: Images) -> Problem:
    """No image: a size only."""
    return Problem(Identity((3, 227, 227)), torch.zeros(3, 227, 227))


def target(name: str, files: Images) -> Problem:
    """One of the four targets of figure 2, by its name."""
    x, random = files["truth"], stream(0, "target")
    targets = {
        "image": lambda: x,
        "image + noise": lambda: x + 25 / 255 * torch.randn(x.shape, generator=random),
        "shuffled pixels": lambda: x.flatten(1)[:, torch.randperm(x[0].numel(), generator=random)].view(x.shape),
        "white noise": lambda: torch.rand(x.shape, generator=random),
    }
    return Problem(Identity(x.shape), targets[name]())


def _divisible(truth: Tensor) -> Tensor:
    """Cut to multiples of 32, as the paper does before it reduces."""
    return images.centre_crop(truth, [side // _UNIT * _UNIT for side in truth.shape[1:]])
