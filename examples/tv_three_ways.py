"""
One problem, three methods
==========================

TV denoising has one minimum. A method that gets there last has not found another prior, only less of the same one:
comparisons of priors need minima.
"""

import time
from functools import partial

import matplotlib.pyplot as plt
import torch

from dipops import Descent, Identity, PrimalDual, Problem, TotalVariation, images, solve
from dipops.stopping import Tolerance

x = images.portrait(128)
problem = Problem.simulate(Identity(x.shape), x, 25 / 255)
prior = TotalVariation(0.08)

# %%
# The primal-dual method of Chambolle and Pock handles the corners of TV exactly, and knows how far from the minimum it
# is at most. Adam and L-BFGS go down a TV whose corners were rounded off.

methods = {
    "primal-dual": (PrimalDual(every=5), 300),
    "L-BFGS": (Descent(partial(torch.optim.LBFGS, lr=1, line_search_fn="strong_wolfe"), every=1), 20),
    "Adam": (Descent(partial(torch.optim.Adam, lr=0.01), every=10), 400),
}
exact = solve(problem, prior, PrimalDual(), steps=20_000, monitors=[Tolerance(1e-7)], progress=False)
lowest = float(problem.misfit(exact.image) + prior.value(exact.image))
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
for name, (method, steps) in methods.items():
    moments, heights, begun = [], [], time.perf_counter()

    def note(step, moments=moments, heights=heights, begun=begun):
        moments.append(time.perf_counter() - begun)
        heights.append(float(problem.misfit(step.image) + prior.value(step.image)) / lowest - 1)

    solve(problem, prior, method, steps=steps, monitors=[note], progress=False)
    axes.loglog(moments, [max(height, 1e-7) for height in heights], ".-", label=name)
axes.set(xlabel="seconds", ylabel="above the minimum, as a part of it")
axes.grid(alpha=0.3, which="both")
axes.legend(frameon=False)
