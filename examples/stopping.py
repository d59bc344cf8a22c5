"""
When to stop
============

The average of the outputs becomes better, and then worse. Three rules find the moment without the truth; the oracle
shows what could have been had by looking.
"""

import matplotlib.pyplot as plt

from dipops import DeepImagePrior, Hourglass, Identity, Problem, images, solve
from dipops.stopping import Average, ExponentialVariance, Observed, Oracle, Residual, WindowedVariance

x = images.portrait(64)
problem = Problem.simulate(Identity(x.shape), x, 25 / 255, clip=True)

# %%
# ``Observed`` lets a rule look on at a solve without ending it.

rules = {
    "discrepancy": Observed(Residual(25 / 255)),
    "exponential variance": Observed(ExponentialVariance(0.03, patience=100)),
    "windowed variance": Observed(WindowedVariance(150, patience=100)),
    "oracle": Oracle(),
}
prior = DeepImagePrior(Hourglass((32, 64, 64, 64), skips=8))
result = solve(problem, prior, steps=800, monitors=[Average(0.98), *rules.values()], progress=False)

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
steps = range(1, result.steps + 1)
axes.plot(steps, result.trace["psnr"][:, 0], color="0.75", linewidth=0.7, label="output")
axes.plot(steps, result.trace["psnr_average"][:, 0], color="k", label="average")
for number, (name, rule) in enumerate(rules.items()):
    if step := int(rule.at[0]):
        height = float(result.trace["psnr_average"][step - 1, 0])
        axes.plot(step, height, "osv*"[number], markersize=9, label=f"{name}: {height:.2f} dB")
axes.set(xlabel="step", ylabel="PSNR (dB)", ylim=(float(result.trace["psnr_average"].max()) - 9, None))
axes.grid(alpha=0.3)
axes.legend(frameon=False, loc="lower right")
