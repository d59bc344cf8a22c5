"""Maps from images to measurements, their adjoints and derivatives, and the algebra that combines them."""

from dipops.operators import kernels
from dipops.operators.blur import Blur
from dipops.operators.colour import ColourMatrix, Grayscale, Mosaic
from dipops.operators.compression import JPEG
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import GuidedInput, Identity, Mask, is_identity, is_mask, measures_pixels
from dipops.operators.features import Activation, FeatureMap, Normalise
from dipops.operators.fourier import Fourier, Modulus
from dipops.operators.geometry import Crop, Pad, Shift
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.matrices import Diagonal, Matrix, RandomMeasurements
from dipops.operators.resampling import LanczosDownsampler, Resize
from dipops.operators.sensor import ExpectedClip, Gamma, Saturation
from dipops.operators.tomography import Radon
from dipops.operators.warp import Warp, rolling_shutter

__all__ = [
    "JPEG", "Activation", "Blur", "ColourMatrix", "Crop", "Diagonal", "DifferentiableOperator", "ExpectedClip", "FeatureMap",
    "FiniteDifferences", "Fourier", "Gamma", "Grayscale", "GuidedInput", "Identity", "LanczosDownsampler", "LinearOperator",
    "LinearOrDifferentiableOperator", "Mask", "Matrix", "Modulus", "Mosaic", "Normalise", "Pad", "Radon", "RandomMeasurements",
    "Resize", "Saturation", "Shift", "Warp", "is_identity", "is_mask", "kernels", "measures_pixels", "rolling_shutter", "stack",
]  # fmt: skip
