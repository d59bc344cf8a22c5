"""denoise, upscale, inpaint, flash: restore an image, or every image of a folder."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from torch import Tensor
from typer import Argument, Option

from dipops import classical, images, recipes
from dipops.classical import Denoiser
from dipops.cli import masks
from dipops.cli.folders import restore_all
from dipops.cli.jobs import Job, find_jobs
from dipops.cli.memory import image_bytes, require_memory
from dipops.cli.options import parse_int
from dipops.cli.outputs import require_inputs
from dipops.cli.restoration import Restoration, RestoringOptions
from dipops.cli.sigma import AUTO, noise_of, parse_sigma
from dipops.errors import BadValue
from dipops.images import Picture
from dipops.images.picture import size_of
from dipops.operators import GuidedInput, Identity, LanczosDownsampler, Mask
from dipops.problem import Problem

Inputs = Annotated[
    list[Path],
    Argument(metavar="INPUT", help="Image to read, PNG, JPEG, TIFF or WebP; or several, or a folder.", callback=require_inputs),
]
FlashPhoto = Annotated[
    Path, Argument(metavar="FLASH", help="Photo taken with flash, or a folder of them.", callback=require_inputs)
]
NoFlashPhotos = Annotated[
    list[Path],
    Argument(
        metavar="NOFLASH",
        help="Photo to clean, taken without flash, of the same size; or several, or a folder.",
        callback=require_inputs,
    ),
]
Sigma = Annotated[
    str, Option(help="Standard deviation of the noise, 0.1 to 255 for pixels from 0 to 255; auto estimates it from the image.")
]
Clipped = Annotated[
    bool | None, Option(help="Whether values were clipped to 0 and 255; by default yes, if no value is outside this range.")
]
Fuse = Annotated[
    Denoiser | None,
    Option(help="Average the result with that of non-local means or BM3D. Needs the extra compare."),
]
Factor = Annotated[str, Option(help="Ratio of the sides, an integer from 2.")]
MaskImage = Annotated[
    str | None,
    Option(
        help="Image of the same size, or folder of them: white is kept, all else is filled. alpha, and by default: the "
        "transparent pixels of the input are filled.",
        callback=require_inputs,
    ),
]
InvertMask = Annotated[bool, Option("--invert-mask", help="Keep black and fill all else.")]


def denoise(
    input: Inputs, *, sigma: Sigma = AUTO, clipped: Clipped = None, fuse: Fuse = None, options: RestoringOptions
) -> None:
    """Remove noise from an image, or from every image of a folder."""
    given = parse_sigma(sigma)
    if fuse is not None:
        if options.prior != "dip":
            raise BadValue(f"--fuse with --prior {options.prior}", "--prior dip, whose errors differ", "leave --fuse out")
        classical.require_packages(*classical.PACKAGES[fuse])
    recipe = recipes.denoise(options.dip.settings)

    def pose(job: Job) -> Restoration:
        picture = images.read(job.input)
        noise, note = noise_of(picture, job.input, given, clipped)
        problem = Problem(Identity(picture.image.shape), picture.image, noise)
        return Restoration(problem, recipe, picture, [note] if note else [], {"sigma": 255 * noise.sigma}, fuse=fuse)

    request = {"sigma": AUTO if given is None else given, "clipped": clipped, "fuse": fuse}
    restore_all("denoise", request, pose, find_jobs(input, options.output, {"truth": options.truth}), options)


def upscale(input: Inputs, *, factor: Factor = "4", options: RestoringOptions) -> None:
    """Enlarge an image so that the result, reduced again, gives the input."""
    ratio = parse_int(factor, "--factor")
    recipe = recipes.upscale(ratio, options.dip.settings)

    def pose(job: Job) -> Restoration:
        picture = images.read(job.input)
        channels, height, width = picture.image.shape
        size = image_bytes(channels * height * width * ratio**2)
        require_memory(size, f"--factor {ratio} of {size_of(picture.image)} pixels", "choose a smaller factor")
        operator = LanczosDownsampler((channels, height * ratio, width * ratio), ratio)
        return Restoration(Problem(operator, picture.image, 0), recipe, _enlarged(picture, ratio))

    jobs = find_jobs(input, options.output, {"truth": options.truth})
    restore_all("upscale", {"factor": ratio}, pose, jobs, options)


def inpaint(input: Inputs, *, mask: MaskImage = None, invert_mask: InvertMask = False, options: RestoringOptions) -> None:
    """Fill in the unknown pixels of an image."""
    recipe = recipes.inpaint_text(options.dip.settings)
    file = None if mask is None or mask == masks.ALPHA else Path(mask)

    def pose(job: Job) -> Restoration:
        picture, path = images.read(job.input), job.partners.get("mask")
        share = masks.known_share(picture, path, invert_mask)
        problem = Problem(Mask((share == 1).float(), channels=len(picture.image)), picture.image, 0)
        finish = partial(masks.blended, image=picture.image, share=share)
        notes = [f"{job.input}: {note}" for note in masks.remarks(share, invert_mask)]
        filled = {"filled": float((share < 1).float().mean())}
        return Restoration(problem, recipe, masks.filled(picture, path), notes, filled, finish)

    jobs = find_jobs(input, options.output, {"mask": file, "truth": options.truth})
    restore_all("inpaint", {"invert_mask": invert_mask}, pose, jobs, options)


def flash(flash: FlashPhoto, noflash: NoFlashPhotos, *, options: RestoringOptions) -> None:
    """Clean a photo taken without flash, guided by one taken with flash."""
    if options.prior != "dip":
        raise BadValue(f"flash with --prior {options.prior}", "--prior dip, which the flash photo guides", "or use denoise")
    recipe = recipes.flash(options.dip.settings)

    def pose(job: Job) -> Restoration:
        picture = images.read(job.input)
        guide = images.load(job.partners["flash"])
        if guide.shape[1:] != picture.image.shape[1:]:
            came = f"a flash photo of {size_of(guide)} pixels for one without flash of {size_of(picture.image)}"
            raise BadValue(came, "equal sizes, width x height", "crop or resize one of them")
        return Restoration(Problem(GuidedInput(_like_channels(guide, len(picture.image))), picture.image), recipe, picture)

    jobs = find_jobs(noflash, options.output, {"flash": flash, "truth": options.truth})
    restore_all("flash", {}, pose, jobs, options)


def _enlarged(picture: Picture, factor: int) -> Picture:
    """What the enlarged image is saved like."""
    if picture.alpha is None:
        return picture
    _, height, width = picture.alpha.shape
    return replace(picture, alpha=images.resize(picture.alpha, (factor * height, factor * width)).clamp(0, 1))


def _like_channels(image: Tensor, channels: int) -> Tensor:
    """An image in grey or in colour."""
    return image.mean(0, keepdim=True) if channels == 1 else image.expand(channels, -1, -1).contiguous()
