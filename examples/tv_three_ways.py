"""
One problem, three methods
==========================

TV denoising has one minimum, and every method that converges finds it. Priors can only be compared at their minima:
anything else compares methods.
"""

import time
from functools import partial

import matplotlib.pyplot as plt
import torch

from dipops import Descent, Identity, PrimalDual, Problem, TotalVariation, images, solve

x = images.portrait(128)
problem = Problem.simulate(Identity(x.shape), x, 25 / 255)
prior = TotalVariation(0.08)

# %%
# The primal-dual method of Chambolle and Pock handles the corners of TV exactly, and computes a bound on its distance
# to the minimum. Adam and L-BFGS minimise a TV whose corners are rounded.

methods = {
    "primal-dual": (PrimalDual(every=5), 300),
    "L-BFGS": (Descent(partial(torch.optim.LBFGS, lr=1, line_search_fn="strong_wolfe"), every=1), 20),
    "Adam": (Descent(partial(torch.optim.Adam, lr=0.01), every=10), 400),
}
exact = solve(problem, prior, PrimalDual(tolerance=1e-7), steps=20_000, progress=False)
lowest = float(problem.data_term(exact.image) + prior.value(exact.image))
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
for name, (method, steps) in methods.items():
    seconds, excess, start = [], [], time.perf_counter()

    def record(step, seconds=seconds, excess=excess, start=start):
        seconds.append(time.perf_counter() - start)
        excess.append(float(problem.data_term(step.image) + prior.value(step.image)) / lowest - 1)

    solve(problem, prior, method, steps=steps, callbacks=[record], progress=False)
    axes.loglog(seconds, [max(value, 1e-7) for value in excess], ".-", label=name)
axes.set(xlabel="seconds", ylabel="relative excess over the minimum")
axes.grid(alpha=0.3, which="both")
axes.legend(frameon=False)
