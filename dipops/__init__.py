"""Inverse problems in imaging: min over θ of D(A(g(θ)), y) + R(g(θ)), with interchangeable operators and priors."""

from importlib.metadata import PackageNotFoundError, version

from dipops import errors, images, interop, masks, metrics, noise, operators, plot, recipes, stopping, testing, tune
from dipops.comparison import compare
from dipops.methods import ConjugateGradient, Descent, Langevin, PrimalDual, project
from dipops.methods.prox import prox
from dipops.noise import ClippedGaussian, Gaussian, Laplace, Poisson
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
from dipops.priors import DeepImagePrior, NoPrior, Prior, Tikhonov, TotalVariation, generators, inputs
from dipops.priors.generators import Hourglass
from dipops.problem import Problem
from dipops.solver import Result, estimate
from dipops.solver.solve import solve
from dipops.testing import check

try:
    __version__ = version("dipops")
except PackageNotFoundError:  # run from the source tree
    __version__ = "0+source"

__all__ = [
    "ClippedGaussian", "ConjugateGradient", "DeepImagePrior", "Descent", "DifferentiableOperator", "FeatureMap",
    "FiniteDifferences", "Gaussian", "GuidedInput", "Hourglass", "Identity", "LanczosDownsampler", "Langevin", "Laplace",
    "LinearOperator", "LinearOrDifferentiableOperator", "Mask", "NoPrior", "Poisson", "PrimalDual", "Prior", "Problem",
    "Result", "Tikhonov", "TotalVariation", "check", "compare", "errors", "estimate", "generators", "images", "inputs",
    "interop", "masks", "metrics", "networks", "noise", "operators", "plot", "project", "prox", "recipes", "solve", "stack",
    "stopping", "testing", "tune",
]  # fmt: skip
