"""Inverse problems in imaging: min over θ of ½ ‖A(g(θ)) - y‖² + R(g(θ)), with interchangeable operators and priors."""

from importlib.metadata import PackageNotFoundError, version

from dipops import errors, images, metrics, operators, plot, recipes, stopping, testing, tune
from dipops.comparison import Comparison, compare
from dipops.errors import DipopsError
from dipops.methods import ConjugateGradient, Descent, Langevin, PrimalDual, project
from dipops.methods.prox import prox
from dipops.operators import (
    DifferentiableOperator,
    FeatureMap,
    FiniteDifferences,
    GuidedInput,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    LinearOrDifferentiableOperator,
    Mask,
    networks,
    stack,
)
from dipops.priors import DeepImagePrior, NoPrior, Prior, ProximalPrior, Tikhonov, TotalVariation, generators, inputs
from dipops.priors.generators import Hourglass
from dipops.problem import Problem
from dipops.recipes import Recipe
from dipops.solver import Result, estimate
from dipops.solver.solve import solve
from dipops.testing import check

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
