"""
Every operator in a picture
===========================

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
waves = torch.stack([3 * torch.sin(rows / 9), 3 * torch.cos(rows / 7)])[:, :, None].expand(2, 128, 128)
blurs = {
    "Blur, gaussian(2)": operators.Blur(shape, kernels.gaussian(2)),
    "Blur, motion(15, 30)": operators.Blur(shape, kernels.motion(15, 30)),
    "Blur, disk(4)": operators.Blur(shape, kernels.disk(4)),
    "Warp": operators.Warp(shape, waves),
    "rolling_shutter": operators.rolling_shutter(shape, 8 * torch.sin(rows / 12)),
    "Diagonal": operators.Diagonal(shape, 1 - masks.holes((128, 128), 3, 14) * torch.linspace(0, 0.9, 128)),
}
plot.compare({"x": x, **{name: seen(operator) for name, operator in blurs.items()}}, columns=4)

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
plot.compare({"x": x, **{name: seen(operator) for name, operator in sensors.items()}}, columns=4)

# %%
# What is lost, moved or added.

lost = {
    "Mask, random": Mask(masks.random((128, 128), 0.5), 3),
    "Mask, text": Mask(masks.text((128, 128)), 3),
    "Mask, holes": Mask(masks.holes((128, 128)), 3),
    "Mask, strokes": Mask(masks.strokes((128, 128)), 3),
    "LanczosDownsampler": LanczosDownsampler(shape, 4),
    "Resize": operators.Resize(shape, (3, 50, 40)),
    "Crop": operators.Crop(shape, (64, 96)),
    "Pad": operators.Pad(shape, 32, "reflect"),
    "Shift": operators.Shift(shape, (20.5, -30), "circular"),
}
plot.compare({"x": x, **{name: seen(operator) for name, operator in lost.items()}}, columns=5)

# %%
# What a scanner measures. Frequencies are shown by their magnitudes, with the zero frequency in the middle; random measurements
# are the same for the eye as noise.

phantom = images.phantom("shepp-logan", 128)
fourier = operators.Fourier(phantom.shape)
sampled = operators.Fourier(phantom.shape, masks.radial((128, 128), 20))
views = seen(operators.Radon(phantom.shape, torch.arange(0, 180, 2)), phantom)
magnitudes = seen(operators.Modulus(fourier.out_shape) @ fourier, phantom)
half = seen(operators.Modulus(sampled.out_shape) @ sampled, phantom)
random = seen(operators.RandomMeasurements(phantom.shape, 64 * 128), phantom).view(1, 64, 128)
plot.compare(
    {
        "x": phantom,
        "Radon": views / views.max(),
        "Modulus @ Fourier": torch.fft.fftshift(magnitudes).pow(0.3) / 2,
        "the same, sampled": torch.fft.fftshift(half).pow(0.3) / 2,
        "RandomMeasurements": random + 0.5,
        "FiniteDifferences": seen(FiniteDifferences(phantom.shape), phantom)[1] + 0.5,
    },
    columns=3,
)
