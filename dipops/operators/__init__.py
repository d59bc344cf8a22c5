"""Maps from images to measurements, their adjoints and derivatives, and the algebra that combines them."""

from dipops.operators.colour import ColourMatrix, Grayscale, Mosaic
from dipops.operators.compression import JPEG
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import GuidedInput, Identity, Mask, is_identity, is_mask, measures_pixels
from dipops.operators.features import Activation, FeatureMap, Normalise
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.resampling import LanczosDownsampler
from dipops.operators.sensor import ExpectedClip, Gamma, Saturation

__all__ = [
    "JPEG", "Activation", "ColourMatrix", "DifferentiableOperator", "ExpectedClip", "FeatureMap", "FiniteDifferences", "Gamma",
    "Grayscale", "GuidedInput", "Identity", "LanczosDownsampler", "LinearOperator", "LinearOrDifferentiableOperator", "Mask",
    "Mosaic", "Normalise", "Saturation", "is_identity", "is_mask", "measures_pixels", "stack",
]  # fmt: skip
