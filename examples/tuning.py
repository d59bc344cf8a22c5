"""
Choose a weight without the ground truth
========================================

How much total variation? Three rules use the measurement alone, and are compared with the oracle.
"""

from dipops import Identity, Problem, TotalVariation, images, plot
from dipops.tune import SURE, Discrepancy, LCurve, Oracle, tune

x = images.portrait(128)
problem = Problem.simulate(Identity(x.shape), x, 25 / 255)

# %%
# Stein's unbiased risk estimate predicts the error of each weight; the discrepancy principle wants a residual as large as
# the noise; the L-curve has a corner.

tuned_by = {
    repr(rule): tune(problem, TotalVariation, rule, progress=False) for rule in (SURE(), Discrepancy(), LCurve(), Oracle())
}
for name, tuned in tuned_by.items():
    score = next(trial.psnr for trial in tuned.trials if trial.weight == tuned.weight)
    print(f"{name:<28} weight {tuned.weight:.4f}  {score:.2f} dB")
plot.compare({name.partition("(")[0]: tuned.result.image for name, tuned in tuned_by.items()}, truth=x)

# %%
# What SURE estimated, and the PSNR, which it does not use.

plot.trials(next(iter(tuned_by.values())))
