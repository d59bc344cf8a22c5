"""
Enlarge four times, with three priors
=====================================

The operator is Lanczos reduction by four. Infinitely many large pictures explain the small one; a prior chooses among
them.
"""

from dipops import LanczosDownsampler, NoPrior, PrimalDual, Problem, TotalVariation, images, plot, recipes, solve

x = images.portrait(128)
problem = Problem.simulate(LanczosDownsampler(x.shape, 4), x)

# %%
# Without a prior, descent from noise explains the small picture and leaves the noise between. Total variation takes the
# flattest picture that explains it exactly. The deep image prior fits a network, and then moves to the nearest picture
# that explains it exactly too.

results = {
    "no prior": solve(problem, NoPrior(), steps=300, progress=False),
    "TV": solve(problem, TotalVariation(1.0), PrimalDual(exact=True), steps=1500, progress=False),
    "DIP": recipes.upscale(4).solve(problem, steps=350, progress=False),
}
plot.compare({"given": problem.y, **{name: result.image for name, result in results.items()}, "truth": x}, truth=x)

# %%
# How well each explains what was measured, in dB. An enlargement that does not is a guess about another picture.

for name, result in results.items():
    print(f"{name:<9} {float(result.consistency):6.1f} dB")
