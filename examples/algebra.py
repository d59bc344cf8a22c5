"""
Operators are algebra
=====================

Operators compose, add, scale, transpose and stack as they do on paper, and stay linear where all of their parts are.
"""

from dipops import (
    ConjugateGradient,
    FiniteDifferences,
    LanczosDownsampler,
    Mask,
    Problem,
    Tikhonov,
    check,
    images,
    masks,
    plot,
    solve,
    stack,
)

x = images.portrait(128)
small = LanczosDownsampler(x.shape, 2)
dead_pixels = Mask(masks.random((64, 64), keep=0.7), channels=3)
camera = dead_pixels @ small
print(camera)
print(camera.T)
print(camera.gram)

# %%
# Products, sums and transposes keep every law.

print(check(Mask(masks.random((4, 6), keep=0.7), 1) @ LanczosDownsampler((1, 8, 12), 2)))

# %%
# Two images of one scene, each with its own dead pixels, form one stacked measurement. It tells more than either image.

other = Mask(masks.random((64, 64), keep=0.7, seed=1), channels=3) @ small
smooth = Tikhonov(1e-3, FiniteDifferences(x.shape))
restored = {}
for name, operator in {"one camera": camera, "both": stack(camera, other)}.items():
    problem = Problem.simulate(operator, x, 0.01)
    restored[name] = solve(problem, smooth, ConjugateGradient(), progress=False).image
plot.compare({"one measurement": camera(x[None]), **restored, "ground truth": x}, truth=x)

# %%
# Operators work with SciPy: singular values without a matrix.

from scipy.sparse.linalg import svds

print("largest singular values:", svds(LanczosDownsampler((1, 16, 16), 2).double().scipy(), k=3, return_singular_vectors=False))
