"""How the parameters of a prior move."""

from dipops.methods.conjugate_gradient import ConjugateGradient
from dipops.methods.default import default_method
from dipops.methods.descent import ADAM, Descent, MakeOptimizer
from dipops.methods.interface import Iteration, Method, Slowing
from dipops.methods.langevin import Langevin
from dipops.methods.muon import MuonThenAdam
from dipops.methods.primal_dual import PrimalDual
from dipops.methods.projection import project

__all__ = [
    "ADAM", "ConjugateGradient", "Descent", "Iteration", "Langevin", "MakeOptimizer", "Method",
    "MuonThenAdam", "PrimalDual", "Slowing", "default_method", "project",
]  # fmt: skip
