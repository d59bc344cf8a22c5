"""
Enlarge four times, with three priors
=====================================

The operator is Lanczos downsampling by four. Infinitely many large images satisfy Ax = y; a prior chooses among them.
"""

from dipops import LanczosDownsampler, NoPrior, PrimalDual, Problem, TotalVariation, images, plot, recipes, solve

x = images.portrait(128)
problem = Problem.simulate(LanczosDownsampler(x.shape, 4), x, 0)

# %%
# Without a prior, descent from noise fits the small image and leaves noise between its pixels. Total variation takes the
# flattest image that satisfies Ax = y. The deep image prior fits a network, and then moves to the nearest image that
# satisfies Ax = y.

results = {
    "no prior": solve(problem, NoPrior(), steps=300, progress=False),
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.upscale(4).solve(problem, steps=350, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "ground truth": x}, truth=x)

# %%
# The data consistency of each, in dB. An enlargement with a low one belongs to another image.

for name, result in results.items():
    print(f"{name:<9} {float(result.data_psnr):6.1f} dB")
