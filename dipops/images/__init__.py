"""Images: files, crops, phantoms, and the bundled photograph."""

from dipops.images.noise import noise_level
from dipops.images.phantoms import phantom
from dipops.images.picture import Picture
from dipops.images.reading import from_bytes, load, read
from dipops.images.samples import centre_crop, photograph, portrait, resize
from dipops.images.writing import image_format, save, to_pil

__all__ = [
    "Picture",
    "centre_crop",
    "from_bytes",
    "image_format",
    "load",
    "noise_level",
    "phantom",
    "photograph",
    "portrait",
    "read",
    "resize",
    "save",
    "to_pil",
]
