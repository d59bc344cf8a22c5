"""Inverse problems in imaging: min over θ of ½ ‖A(g(θ)) - y‖² + R(g(θ)), with interchangeable operators and priors."""

from importlib.metadata import PackageNotFoundError, version

from dipops import images, metrics, plot, recipes, stopping, tune
from dipops._tools.precision import Precision
from dipops.comparison import Comparison, compare
from dipops.errors import BadFile, BadType, BadValue, DipopsError, Diverged, LawError, NotLinear
from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.descent import Descent
from dipops.methods.langevin import Langevin
from dipops.methods.primal_dual import PrimalDual
from dipops.methods.projection import consistency, project
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.features import Activation, FeatureMap, Normalise
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.networks.alexnet import AlexNet, AlexNetLayout
from dipops.operators.networks.squeezenet import SqueezeNet
from dipops.operators.resampling import LanczosDownsampler
from dipops.paper import preimages
from dipops.priors.deep_image_prior import DeepImagePrior
from dipops.priors.generators.deep_decoder import DeepDecoder
from dipops.priors.generators.hourglass import EncoderDecoder, Hourglass
from dipops.priors.generators.layers import Downsampling, Padding, Upsampling
from dipops.priors.generators.resnet import ResNet
from dipops.priors.generators.unet import UNet
from dipops.priors.inputs import Distribution, Fourier, Guide, Meshgrid, Noise, Ramp
from dipops.priors.interface import NoPrior, Prior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.solver.cost import Estimate, estimate
from dipops.solver.result import Pooled, Result
from dipops.solver.solve import solve
from dipops.testing.laws import Report, check

try:
    __version__ = version("dipops")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0+source"

__all__ = [
    "Activation", "AlexNet", "AlexNetLayout", "BadFile", "BadType", "BadValue", "Comparison", "ConjugateGradient",
    "DeepDecoder", "DeepImagePrior", "Descent", "DifferentiableOperator", "DipopsError", "Distribution", "Diverged",
    "Downsampling", "EncoderDecoder", "Estimate", "FeatureMap", "FiniteDifferences", "Fourier", "Guide",
    "GuidedInput", "Hourglass", "Identity", "LanczosDownsampler", "Langevin", "LawError", "LinearOperator",
    "LinearOrDifferentiableOperator", "Mask", "Meshgrid", "NoPrior", "Noise", "Normalise", "NotLinear", "Padding",
    "Pooled", "Precision", "PrimalDual", "Prior", "Problem", "Ramp", "Report", "ResNet", "Result", "SqueezeNet",
    "Tikhonov", "TotalVariation", "UNet", "Upsampling", "check", "compare", "consistency", "estimate", "images",
    "metrics", "plot", "preimages", "project", "recipes", "solve", "stack", "stopping", "tune",
]  # fmt: skip
