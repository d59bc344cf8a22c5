"""
Clean a JPEG without a model of JPEG
====================================

The blocks and halos of strong compression are not natural, so the deep image prior learns them late. Nothing about JPEG
is in the problem: its operator is the identity.
"""

import io

import torch
from PIL import Image

from dipops import Identity, Problem, images, plot, recipes

# %%
# A compressed file, made here from the bundled photograph by Pillow at quality 12. The original is only used for
# the scores.

x = images.portrait(128)
file = io.BytesIO()
images.to_pil(x).save(file, "JPEG", quality=12)
y = torch.frombuffer(bytearray(Image.open(file).tobytes()), dtype=torch.uint8).view(128, 128, 3).movedim(-1, 0) / 255
problem = Problem(Identity(x.shape), y, truth=x)

# %%
# The strength of such damage is not known, so the recipe watches where the outputs vary least.

result = recipes.jpeg().solve(problem, steps=380, progress=False)
print(result.message, "- at step", int(result.image_steps))
plot.compare({"compressed": y, "restored": result.image, "original": x}, truth=x)
