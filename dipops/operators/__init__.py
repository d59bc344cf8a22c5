"""Maps from images to measurements, their adjoints and derivatives, and the algebra that combines them."""

from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import GuidedInput, Identity, Mask, is_identity, is_mask, measures_pixels
from dipops.operators.features import Activation, FeatureMap, Normalise
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.resampling import LanczosDownsampler
from dipops.operators.sensor import ExpectedClip
from dipops.operators.tomography import Radon
from dipops.operators.warp import Warp, rolling_shutter

__all__ = [
    "Activation", "DifferentiableOperator", "ExpectedClip", "FeatureMap", "FiniteDifferences", "GuidedInput", "Identity",
    "LanczosDownsampler", "LinearOperator", "LinearOrDifferentiableOperator", "Mask", "Normalise", "Radon", "Warp",
    "is_identity", "is_mask", "measures_pixels", "rolling_shutter", "stack",
]  # fmt: skip
