"""In which order the gallery shows its scripts."""

_ORDER = [
    *("denoise", "upscale", "deblur", "inpaint_text", "inpaint_random", "inpaint_hole", "demosaic", "jpeg", "flash"),
    *("operators", "tomography", "mri", "rolling_shutter", "varying_blur"),
    *("custom_linear", "custom_nonlinear", "blind_blur", "algebra", "batch", "poisson"),
    *("preimage", "maximise", "impedance", "stopping", "uncertainty", "tuning", "tv_three_ways"),
]


def sort_key(name):
    """Raises ValueError for a script that has no place yet."""
    return _ORDER.index(name.removesuffix(".py"))
