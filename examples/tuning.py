"""
Choose a weight without the truth
=================================

How much total variation? Three rules from the measurement alone, and the oracle they are held against.
"""

from dipops import Identity, Problem, TotalVariation, images, plot
from dipops.tune import SURE, Discrepancy, LCurve, Oracle, tune

x = images.portrait(128)
sigma = 25 / 255
problem = Problem.simulate(Identity(x.shape), x, sigma)

# %%
# Stein's unbiased risk estimate foretells the error of each weight; the discrepancy principle wants a residual as large
# as the noise; the L-curve looks for a corner.

found = {
    repr(rule): tune(problem, TotalVariation, rule, progress=False)
    for rule in (SURE(sigma), Discrepancy(sigma), LCurve(), Oracle())
}
for name, tuned in found.items():
    score = next(point.psnr for point in tuned.path if point.weight == tuned.weight)
    print(f"{name:<28} weight {tuned.weight:.4f}  {score:.2f} dB")
plot.compare({name.partition("(")[0]: tuned.result.image for name, tuned in found.items()}, truth=x)

# %%
# What SURE saw, and what it could not see.

plot.path(next(iter(found.values())))
