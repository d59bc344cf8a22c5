"""
What each operator does
=======================

What comes with dipops, besides the networks. Each operator has its formula and its source in the API; any two of them compose.
"""

import torch

from dipops import FiniteDifferences, LanczosDownsampler, Mask, images, masks, operators, plot
from dipops.operators import kernels

x = images.portrait(128)
shape = x.shape


def seen(operator, image=x):
    """The measurement of one image, without its batch."""
    return operator(image[None])[0]


# %%
# What happens in front of the sensor: blurs of any kernel, and motion.

rows = torch.arange(128.0)
light = torch.sin(torch.pi * (rows + 0.5) / 128)
waves = torch.stack([3 * torch.sin(rows / 9), 3 * torch.cos(rows / 7)])[:, :, None].expand(2, 128, 128)
blurs = {
    "Blur, gaussian(2)": operators.Blur(shape, kernels.gaussian(2)),
    "Blur, motion(15, 30)": operators.Blur(shape, kernels.motion(15, 30)),
    "Blur, disk(4)": operators.Blur(shape, kernels.disk(4)),
    "Warp": operators.Warp(shape, waves),
    "rolling_shutter": operators.rolling_shutter(shape, 8 * torch.sin(rows / 12)),
    "Diagonal, a vignette": operators.Diagonal(shape, torch.outer(light, light)),
}
plot.compare({"x": x, **{name: seen(operator) for name, operator in blurs.items()}})

# %%
# What the sensor does.

sensors = {
    "Mosaic": operators.Mosaic(shape),
    "Grayscale": operators.Grayscale(shape),
    "ColourMatrix": operators.ColourMatrix(shape, [[0.39, 0.77, 0.19], [0.35, 0.69, 0.17], [0.27, 0.53, 0.13]]),
    "Saturation": operators.Saturation(shape, 0.6),
    "Gamma": operators.Gamma(shape),
    "ExpectedClip": operators.ExpectedClip(shape, 0.3),
    "JPEG, quality 8": operators.JPEG(shape, 8),
}
plot.compare({"x": x, **{name: seen(operator) for name, operator in sensors.items()}})

# %%
# What is lost.

lost = {
    "Mask, random": Mask(masks.random((128, 128), 0.5), 3),
    "Mask, text": Mask(masks.text((128, 128)), 3),
    "Mask, holes": Mask(masks.holes((128, 128)), 3),
    "Mask, strokes": Mask(masks.strokes((128, 128)), 3),
}
plot.compare({name: seen(operator) for name, operator in lost.items()})

# %%
# What changes the size, or moves.

moved = {
    "LanczosDownsampler": LanczosDownsampler(shape, 4),
    "Resize": operators.Resize(shape, (3, 50, 50)),
    "Crop": operators.Crop(shape, (64, 64)),
    "Pad": operators.Pad(shape, 32, "reflect"),
    "Shift": operators.Shift(shape, (20.5, -30), "circular"),
}
plot.compare({name: seen(operator) for name, operator in moved.items()})

# %%
# What a scanner measures. Frequencies are shown by their magnitudes, with the zero frequency in the middle.

phantom = images.phantom("shepp-logan", 128)
fourier = operators.Fourier(phantom.shape)
sampled = operators.Fourier(phantom.shape, masks.radial((128, 128), 20))
magnitudes = {
    "Modulus @ Fourier": operators.Modulus(fourier.out_shape) @ fourier,
    "the same, sampled": operators.Modulus(sampled.out_shape) @ sampled,
}
plot.compare(
    {
        "x": phantom,
        **{name: torch.fft.fftshift(seen(operator, phantom)).pow(0.3) / 2 for name, operator in magnitudes.items()},
        "FiniteDifferences, to the right": seen(FiniteDifferences(shape), x)[1].mean(0, keepdim=True) + 0.5,
    }
)

# %%
# A row of the projections is one view. Random measurements look like noise, and yet determine the image.

views = seen(operators.Radon(phantom.shape, torch.arange(0, 180, 2)), phantom)
random = seen(operators.RandomMeasurements(phantom.shape, 64 * 128), phantom).view(1, 64, 128)
plot.compare({"Radon": views / views.max(), "RandomMeasurements": random + 0.5})
