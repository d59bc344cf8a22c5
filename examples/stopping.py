"""
When to stop
============

The average of the outputs becomes better, and then worse. Three rules find the best step without the ground truth; the
oracle uses it, and shows what is possible.
"""

import matplotlib.pyplot as plt

from dipops import ClippedGaussian, DeepImagePrior, Descent, Hourglass, Identity, Problem, images, solve
from dipops.stopping import Discrepancy, ExponentialVariance, Observe, Oracle, WindowedVariance

x = images.portrait(64)
problem = Problem.simulate(Identity(x.shape), x, ClippedGaussian(25 / 255))

# %%
# ``Observe`` lets a rule watch a solve without ending it.

rules = {
    "discrepancy": Observe(Discrepancy()),
    "exponential variance": Observe(ExponentialVariance(0.03, patience=100)),
    "windowed variance": Observe(WindowedVariance(150, patience=100)),
    "oracle": Oracle(),
}
prior = DeepImagePrior(Hourglass((32, 64, 64, 64), skips=8))
result = solve(problem, prior, Descent(average=0.98), steps=800, callbacks=list(rules.values()), progress=False)

figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
steps = range(1, result.steps + 1)
axes.plot(steps, result.trace["psnr"][:, 0], color="0.75", linewidth=0.7, label="output")
axes.plot(steps, result.trace["psnr_average"][:, 0], color="k", label="average")
for number, (name, observed) in enumerate(zip(rules, result.observed, strict=True)):
    if step := int(observed.image_steps[0]):
        height = float(result.trace["psnr_average"][step - 1, 0])
        axes.plot(step, height, "osv*"[number], markersize=9, label=f"{name}: {height:.2f} dB")
axes.set(xlabel="step", ylabel="PSNR (dB)", ylim=(float(result.trace["psnr_average"].max()) - 9, None))
axes.grid(alpha=0.3)
axes.legend(frameon=False, loc="lower right")
