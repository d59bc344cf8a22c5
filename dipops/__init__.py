"""Inverse problems in imaging: min over θ of ½ ‖A(g(θ)) - y‖² + R(g(θ)), with interchangeable operators and priors."""

from importlib.metadata import PackageNotFoundError, version

from dipops import errors, images, metrics, operators, plot, recipes, stopping, testing, tune
from dipops.comparison import Comparison, compare
from dipops.errors import DipopsError
from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.descent import Descent
from dipops.methods.langevin import Langevin
from dipops.methods.primal_dual import PrimalDual
from dipops.methods.projection import project
from dipops.methods.prox import prox
from dipops.operators import networks
from dipops.operators.differences import FiniteDifferences
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.features import FeatureMap
from dipops.operators.interface import DifferentiableOperator, LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.resampling import LanczosDownsampler
from dipops.priors import generators, inputs
from dipops.priors.deep_image_prior import DeepImagePrior
from dipops.priors.generators.hourglass import Hourglass
from dipops.priors.interface import NoPrior, Prior
from dipops.priors.proximal import ProximalPrior
from dipops.priors.tikhonov import Tikhonov
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver.cost import estimate
from dipops.solver.result import Result
from dipops.solver.solve import solve
from dipops.testing.laws import check

try:
    __version__ = version("dipops")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0+source"

__all__ = [
    "Comparison", "ConjugateGradient", "DeepImagePrior", "Descent", "DifferentiableOperator", "DipopsError", "FeatureMap",
    "FiniteDifferences", "GuidedInput", "Hourglass", "Identity", "LanczosDownsampler", "Langevin", "LinearOperator",
    "LinearOrDifferentiableOperator", "Mask", "NoPrior", "PrimalDual", "Prior", "Problem", "ProximalPrior", "Recipe", "Result",
    "Tikhonov", "TotalVariation", "check", "compare", "errors", "estimate", "generators", "images", "inputs", "metrics",
    "networks", "operators", "plot", "project", "prox", "recipes", "solve", "stack", "stopping", "testing", "tune",
]  # fmt: skip
