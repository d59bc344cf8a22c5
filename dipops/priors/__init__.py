"""How an image is parametrised, and what an image costs."""

from dipops.priors.deep_image_prior import DeepImagePrior
from dipops.priors.interface import NoPrior, PixelPrior, Prior
from dipops.priors.proximal import ProximalPrior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation

__all__ = [
    "DeepImagePrior", "NoPrior", "PixelPrior", "Prior", "ProximalPrior", "Tikhonov", "TotalVariation",
]  # fmt: skip
