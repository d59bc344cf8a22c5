"""
Clean a JPEG without a model of JPEG, and with one
==================================================

The blocks and halos of strong compression are not natural, so the deep image prior learns them late. Nothing about JPEG
needs to be in the problem: its operator is the identity.
"""

import io

import torch
from PIL import Image

from dipops import Descent, Identity, Problem, TotalVariation, images, plot, recipes, solve
from dipops.operators import JPEG

# %%
# A compressed file, made here from the bundled photograph by Pillow at quality 12. The original is only used for
# the scores.

x = images.portrait(128)
file = io.BytesIO()
images.to_pil(x).save(file, "JPEG", quality=12, subsampling=0)
y = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8).view(128, 128, 3).movedim(-1, 0) / 255
problem = Problem(Identity(x.shape), y, truth=x)

# %%
# The strength of such damage is not known, so the recipe watches where the outputs vary least.

result = recipes.jpeg().solve(problem, steps=380, progress=False)
print(result.message, "- at step", int(result.image_steps))
plot.compare({"compressed": y, "restored": result.image, "original": x}, truth=x)

# %%
# A model of JPEG
# ---------------
#
# Where the quality is known, the operator can be JPEG itself. Sharper rounding makes the model more accurate and the fit
# harder. The sharpness b sets the slope of the rounding: (1 - b) / (1 + b) in the middle of a quantisation step, and the
# inverse at its ends. With b = 0.3 total variation gains 0.1 dB; with b = 0.9 it ends 0.2 dB below the compressed image.
# Each weight is the best of several, chosen with the original.

weights = {"identity": 0.04, "JPEG, b = 0.3": 0.03, "JPEG, b = 0.9": 0.003}
operators = {"identity": Identity(x.shape), **{f"JPEG, b = {b}": JPEG(x.shape, 12, b) for b in (0.3, 0.9)}}
results = {}
for name, operator in operators.items():
    prior = TotalVariation(weights[name], coupled=True, initial=y[None])
    results[name] = solve(Problem(operator, y), prior, Descent(), steps=200, progress=False).image
plot.compare({"compressed": y, **results, "original": x}, truth=x)
