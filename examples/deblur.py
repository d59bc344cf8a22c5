"""
Deblurring: deconvolution with a known kernel
=============================================

The camera moved while the shutter was open. Each point of the scene became a short line, the *point spread function* or
kernel of the blur, and the photograph is the convolution of the scene with it. Undoing that is deblurring, or deconvolution.
"""

from dipops import Problem, TotalVariation, images, plot, recipes
from dipops.operators import Blur, kernels
from dipops.tune import SURE, tune

# %%
# ``kernels.motion`` is a line of a length and an angle. ``kernels.disk`` is a lens out of focus and ``kernels.gaussian`` a soft
# one. A kernel that you measured is a tensor (h, w).

x = images.portrait(64)
kernel = kernels.motion(7, 30)
blur = Blur(x.shape, kernel)
problem = Problem.simulate(blur, x, 0.01)
plot.compare({"kernel": kernel[None] / kernel.max(), "blurred and noisy": problem.y})

# %%
# Deconvolution amplifies noise: an inverse filter would show little else. A prior prevents that. The weight of total variation
# comes from SURE, and the deep image prior stops where the residual is as large as the noise.

results = {
    "TV": tune(problem, TotalVariation, SURE(), progress=False).result.image,
    "DIP": recipes.restore().solve(problem, progress=False).image,
}
plot.compare({"blurred and noisy": problem.y, **results, "ground truth": x}, truth=x)

# %%
# Where the kernel is not known, the problem is *blind*: see :ref:`sphx_glr_gallery_blind_blur.py`. A blur that differs from
# place to place is an operator of your own: see :ref:`sphx_glr_gallery_varying_blur.py`.
