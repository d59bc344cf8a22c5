"""Every table and figure of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", as a row of data.

"Printed" figures are the paper's own; "published" ones are of systems that cannot be run here.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dipops import classical as comparators
from dipops import images, recipes
from dipops._tools.seeds import stream
from dipops.errors import BadValue, nearest
from dipops.methods.descent import ADAM, Descent
from dipops.metrics import psnr, psnr_y
from dipops.operators.elementary import GuidedInput, Identity, Mask
from dipops.operators.resampling import LanczosDownsampler
from dipops.paper.contestants import ANSWER, AVERAGE, LAST, ByLibrary, ByRecipe, Contestant, Convex
from dipops.paper.networks import EXCITATIONS, INVERSIONS
from dipops.paper.pictures import Case, Given, Source
from dipops.priors.generators.hourglass import EncoderDecoder
from dipops.priors.generators.resnet import ResNet
from dipops.priors.generators.unet import UNet
from dipops.priors.interface import NoPrior
from dipops.priors.total_variation import TotalVariation
from dipops.problem import Problem
from dipops.recipes import Recipe, Variant

Score = Callable[[Tensor, Tensor], Tensor]
MEAN_OF_RUNS, OBJECTIVE = "mean of the runs", "objective"
_UNIT = 32


@dataclass(frozen=True)
class Printed:
    """A figure that the paper prints: a mean over the experiment's pictures, in its metric.

    Attributes:
        system: name of a contestant, or of a system that cannot be run here.
        value: in dB.
        column: which of ours it is to be compared with.
        by_picture: what it is the mean of, where the paper prints that too.
    """

    system: str
    value: float
    column: str = ANSWER
    by_picture: Mapping[str, float] = field(default_factory=dict)

    def over(self, pictures: Collection[str]) -> float:
        """The mean over some of the pictures, where it is known; else over all."""
        return mean(self.by_picture[name] for name in pictures) if self.by_picture else self.value


@dataclass(frozen=True)
class Experiment:
    """One table or figure.

    Attributes:
        name: short, for the command line.
        title: as a heading.
        source: where it stands in the paper, and what is not the paper's.
        cases: its pictures.
        problem: of a case's name and pictures.
        contestants: by name; the first is the paper's method.
        score: of a picture and the truth, in dB, or None where the contestants score themselves or nobody can.
        metric: what the score is called.
        printed: the paper's figures.
    """

    name: str
    title: str
    source: str
    cases: tuple[Case, ...]
    problem: Callable[[str, Given], Problem]
    contestants: Mapping[str, Contestant]
    score: Score | None = psnr
    metric: str = "PSNR"
    printed: tuple[Printed, ...] = ()

    def case(self, name: str) -> Case:
        """The case of that name."""
        return next(case for case in self.cases if case.name == name)

    def posed(self, name: str, folder: Path, crop: int | None = None) -> Problem:
        """The problem of a case. Its y is what a system sees: noisy, small or with black holes; of a network, the photo.

        Raises:
            BadFile: a picture is missing, damaged, or another than expected.
        """
        return self.problem(name, self.case(name).read(folder, crop))


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        BadValue: there is none; the text names the nearest.
    """
    if name not in EXPERIMENTS:
        advice = f"the nearest are {nearest(name, EXPERIMENTS)}"
        raise BadValue(f"experiment {name!r}", "one that dipops paper list shows, or all", advice)
    return EXPERIMENTS[name]


def _noisy(case: str, given: Given) -> Problem:
    truth = given["truth"]
    return Problem(Identity(truth.shape), given["noisy"], truth, 25 / 255)


def _noised(case: str, given: Given) -> Problem:
    truth = given["truth"]
    return Problem.simulate(Identity(truth.shape), truth, 50 / 255, clip=True)


def _divisible(truth: Tensor) -> Tensor:
    """Cut to multiples of 32, as the paper does before it reduces."""
    return images.centre_crop(truth, [side // _UNIT * _UNIT for side in truth.shape[1:]])


def _reduced_by_pillow(factor: int, case: str, given: Given) -> Problem:
    """The paper's: the small picture is Pillow's (Lanczos of three lobes, 8 bits), the operator has two lobes."""
    truth = _divisible(given["truth"])
    height, width = truth.shape[1:]
    small = images.to_pil(truth).resize((width // factor, height // factor), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(small, dtype=np.float32) / 255)
    y = pixels[None] if pixels.ndim == 2 else pixels.movedim(-1, 0).contiguous()
    return Problem(LanczosDownsampler(truth.shape, factor), y, truth)


def _reduced_by_operator(factor: int, case: str, given: Given) -> Problem:
    truth = _divisible(given["truth"])
    return Problem.simulate(LanczosDownsampler(truth.shape, factor), truth)


def _masked(case: str, given: Given) -> Problem:
    truth, known = given["truth"], (given["mask"][0] > 0.5).float()
    return Problem.simulate(Mask(known, len(truth)), truth)


def _halved(case: str, given: Given) -> Problem:
    return Problem.simulate(Mask((given["half"][0] > 0).float(), 1), given["truth"])


def _sparse(case: str, given: Given) -> Problem:
    truth = given["truth"]
    return Problem.simulate(Mask(images.random_mask(*truth.shape[1:], keep=0.02), len(truth)), truth)


def _as_it_is(case: str, given: Given) -> Problem:
    return Problem(Identity(given["picture"].shape), given["picture"])


def _guided(case: str, given: Given) -> Problem:
    return Problem(GuidedInput(given["flash"]), given["noflash"])


def _impeding(case: str, given: Given) -> Problem:
    """One of the four targets of figure 2, made from a picture."""
    x, random = given["truth"], stream(0, "target")
    targets = {
        "image": lambda: x,
        "image + noise": lambda: x + 25 / 255 * torch.randn(x.shape, generator=random),
        "shuffled pixels": lambda: x.flatten(1)[:, torch.randperm(x[0].numel(), generator=random)].view(x.shape),
        "white noise": lambda: torch.rand(x.shape, generator=random),
    }
    return Problem(Identity(x.shape), targets[case]())


def _no_prior(variant: Variant) -> Recipe:
    return Recipe(NoPrior(), Descent(ADAM), 2000, (), "section 3.2, its comparison on pixels")


def _cases(sizes: Mapping[str, tuple[int, ...]], **folders: str) -> tuple[Case, ...]:
    """Cases whose sources are of one name in several folders, by role."""
    return tuple(
        Case(name, {role: Source(f"{folder}/{name}.png", *size) for role, folder in folders.items()})
        for name, size in sizes.items()
    )


_KODAK, _SQUARE, _SMALL = (512, 768), (512, 512), (256, 256)
_GREY_SQUARE, _GREY_SMALL = (*_SQUARE, 1), (*_SMALL, 1)
_DENOISED = {
    **{"house": _SMALL, "peppers": _SQUARE, "lena": _SQUARE, "baboon": _SQUARE, "f16": _SQUARE},
    **{f"kodim{number}": _KODAK for number in ("01", "02", "03", "12")},
}
_HALVED = {
    **dict.fromkeys(("barbara", "boat"), _GREY_SQUARE),
    **{"house": _GREY_SMALL, "lena": _GREY_SQUARE, "peppers": _GREY_SMALL, "cameraman": _GREY_SMALL},
    **dict.fromkeys(("couple", "fingerprint", "hill", "man"), _GREY_SQUARE),
    "montage": _GREY_SMALL,
}
_SET5 = {"baby": _SQUARE, "bird": (288, 288), "butterfly": _SMALL, "head": (280, 280), "woman": (344, 228)}
_SET14 = {
    **{"baboon": (480, 500), "barbara": (576, 720), "bridge": _GREY_SQUARE, "coastguard": (288, 352), "comic": (361, 250)},
    **{"face": (276, 276), "flowers": (362, 500), "foreman": (288, 352), "lenna": _SQUARE, "man": _SQUARE},
    **{"monarch": _KODAK, "pepper": _SQUARE, "ppt3": (656, 529), "zebra": (391, 586)},
}
_PRINTED_HALVED = {
    system: dict(zip(_HALVED, figures, strict=True))
    for system, figures in {
        "DIP": (32.22, 33.06, 39.16, 36.16, 33.05, 29.80, 32.52, 32.84, 32.77, 32.20, 34.54),
        "Papyan et al. (sparse coding)": (28.14, 31.44, 34.58, 35.04, 31.11, 27.90, 31.18, 31.34, 32.35, 31.92, 28.05),
    }.items()
}
_SETS = {"set5": _SET5, "set14": _SET14}
_PRINTED_SR = {
    (4, "set5"): {"DIP": 29.90, "bicubic": 28.43, "no prior": 26.56, "TV": 28.85, "Glasner et al.": 28.85, "LapSRN": 31.58}
    | {"SRResNet-MSE": 32.10},
    (4, "set14"): {"DIP": 27.00, "bicubic": 26.05, "no prior": 24.93, "TV": 26.42, "Glasner et al.": 26.46, "LapSRN": 28.13}
    | {"SRResNet-MSE": 28.53},
    (8, "set5"): {"DIP": 25.88, "bicubic": 24.37, "LapSRN": 26.10},
    (8, "set14"): {"DIP": 24.15, "bicubic": 23.10, "LapSRN": 24.36},
}
_TV = Convex(TotalVariation, "TotalVariation")
_BICUBIC = ByLibrary(comparators.bicubic, ("PIL",))
_DENOISERS = {
    "DIP": ByRecipe(lambda variant: recipes.denoise(25 / 255, variant)),
    "CBM3D": ByLibrary(comparators.bm3d, ("bm3d",)),
    "NLM": ByLibrary(comparators.non_local_means, ("skimage.restoration",)),
    "TV": _TV,
}
_INPAINTERS = {"biharmonic": ByLibrary(comparators.biharmonic, ("skimage.restoration",)), "TV": _TV}


def _reference(name: str, height: int, width: int) -> tuple[Case, ...]:
    folder = "inpainting/reference"
    sources = {
        "truth": Source(f"{folder}/{name}.png", height, width),
        "mask": Source(f"{folder}/{name}_mask.png", height, width, 1),
    }
    return (Case(name, sources),)


def _super_resolution(factor: int, set_name: str, matched: bool) -> Experiment:
    words = "the operator's own small picture" if matched else "Pillow's small picture, the paper's protocol"
    printed = {} if matched else _PRINTED_SR[factor, set_name]
    return Experiment(
        name=f"x{factor}-{set_name}{'-matched' if matched else ''}",
        title=f"Super-resolution x{factor}, {set_name.capitalize()}, {words}",
        source="not the paper's: the measurement obeys the operator"
        if matched
        else "section 3.2, table 2; its bicubic is of the operator's own small picture",
        cases=_cases(_SETS[set_name], truth=set_name),
        problem=partial(_reduced_by_operator if matched else _reduced_by_pillow, factor),
        contestants={
            "DIP": ByRecipe(partial(recipes.upscale, factor)),
            **{"TV": _TV, "bicubic": _BICUBIC, "no prior": ByRecipe(_no_prior)},
        },
        score=psnr_y,
        metric="PSNR of Y",
        printed=tuple(Printed(name, value, LAST if name == "DIP" else ANSWER) for name, value in printed.items()),
    )


def _study() -> dict[str, Contestant]:
    six = EncoderDecoder().channels
    generators = {f"depth {depth}": EncoderDecoder(six[:depth]) for depth in (6, 4, 2)} | {"U-Net": UNet(), "ResNet": ResNet()}
    return {
        name: ByRecipe(partial(lambda generator, variant: recipes.architecture_study(generator), generator))
        for name, generator in generators.items()
    }


_ROWS = [
    Experiment(
        name="denoise-25",
        title="Denoising, σ = 25",
        source="section 3.1",
        cases=_cases(_DENOISED, truth="denoising", noisy="denoising_sigma25"),
        problem=_noisy,
        contestants=_DENOISERS,
        printed=(
            Printed("DIP", 29.22, LAST),
            Printed("DIP", 30.43, AVERAGE),
            Printed(MEAN_OF_RUNS, 31.00),
            *(Printed("CBM3D", 31.42), Printed("NLM", 30.26)),
        ),
    ),
    Experiment(
        name="denoise-50",
        title="Denoising, σ = 50",
        source="section 3.1; the paper prints no mean",
        cases=_cases(_DENOISED, truth="denoising"),
        problem=_noised,
        contestants={**_DENOISERS, "DIP": ByRecipe(lambda variant: recipes.denoise(50 / 255, variant))},
    ),
    *(_super_resolution(factor, name, matched) for matched in (False, True) for factor in (4, 8) for name in _SETS),
    Experiment(
        name="priors-x4",
        title="No prior, total variation and the deep image prior at x4",
        source="section 3.2, figure of the zebra; TV at its best weight is not the paper's",
        cases=(Case("zebra", {"truth": Source("sr/zebra_crop.png", 160, 256)}),),
        problem=partial(_reduced_by_pillow, 4),
        contestants={
            "DIP": ByRecipe(lambda variant: recipes.upscale_three_channels()),
            **{"TV": _TV, "no prior": ByRecipe(_no_prior)},
        },
        score=psnr_y,
        metric="PSNR of Y",
    ),
    Experiment(
        name="missing-50",
        title="Half of the pixels missing",
        source="section 3.3, table 1",
        cases=_cases(_HALVED, truth="inpainting", half="inpainting_half"),
        problem=_halved,
        contestants={
            "DIP": ByRecipe(recipes.inpaint_random),
            "sparse coding": ByLibrary(comparators.convolutional_sparse_coding, ("sporco.admm.cbpdn", "sporco.util")),
            **_INPAINTERS,
        },
        printed=tuple(
            Printed(system, mean(figures.values()), LAST if system == "DIP" else ANSWER, figures)
            for system, figures in _PRINTED_HALVED.items()
        ),
    ),
    Experiment(
        name="missing-98",
        title="98% of the pixels missing",
        source="section 3.3",
        cases=(Case("kate", {"truth": Source("restoration/kate.png", *_SQUARE)}),),
        problem=_sparse,
        contestants={"DIP": ByRecipe(recipes.inpaint_sparse), **_INPAINTERS},
    ),
    Experiment(
        name="text",
        title="Text over a picture",
        source="section 3.3; the figure is of one frame, at step 6000",
        cases=_reference("kate", *_SQUARE),
        problem=_masked,
        contestants={"DIP": ByRecipe(recipes.inpaint_text), **_INPAINTERS},
        printed=(Printed("DIP", 39.0, LAST),),
    ),
    Experiment(
        name="hole",
        title="A large hole",
        source="section 3.3; the figure is of one frame, at step 5000",
        cases=_reference("vase", 320, 320),
        problem=_masked,
        contestants={"DIP": ByRecipe(recipes.inpaint_hole), **_INPAINTERS},
        printed=(Printed("DIP", 27.7, LAST),),
    ),
    Experiment(
        name="library",
        title="A large hole filled by several architectures",
        source="section 3.3, figure 8; the figure is of one frame, at step 3000",
        cases=_reference("library", 448, 704),
        problem=_masked,
        contestants=_study(),
        printed=(Printed("depth 6", 19.9, LAST),),
    ),
    Experiment(
        name="jpeg",
        title="Blind restoration of a JPEG file",
        source="section 3.1, figure 4",
        cases=(Case("snail", {"picture": Source("jpeg/snail.jpg", 261, 400)}),),
        problem=_as_it_is,
        contestants={"DIP": ByRecipe(recipes.jpeg)},
        score=None,
    ),
    Experiment(
        name="flash",
        title="Flash and no flash",
        source="section 3.7, figure 10",
        cases=(
            Case(
                "cave",
                {
                    "flash": Source("flash/cave01_00_flash.jpg", 706, 774),
                    "noflash": Source("flash/cave01_01_noflash.jpg", 706, 774),
                },
            ),
        ),
        problem=_guided,
        contestants={
            "DIP": ByRecipe(recipes.flash),
            "joint bilateral": ByLibrary(comparators.joint_bilateral_filter, ("cv2",)),
            "guided filter": ByLibrary(comparators.guided_filter, ("cv2",)),
        },
        score=None,
    ),
    Experiment(
        name="preimage",
        title="What the layers of a network know",
        source="section 3.4, figure 9; fc6 to fc8 need weights that are not in the folder, SqueezeNet's deep layers stand in",
        cases=tuple(
            Case(name, {"photo": Source(f"feature_inversion/{name}.jpg", 227, 227)}) for name in ("monkey", "building")
        ),
        problem=lambda case, given: Problem(Identity(given["photo"].shape), given["photo"], given["photo"]),
        contestants=INVERSIONS,
        score=None,
    ),
    Experiment(
        name="maximise",
        title="What excites a unit of a network",
        source="IJCV version, activation maximisation",
        cases=(Case("units", {}),),
        problem=lambda case, given: Problem(Identity((3, 227, 227)), torch.zeros(3, 227, 227)),
        contestants=EXCITATIONS,
        score=None,
    ),
    Experiment(
        name="impedance",
        title="What resists: the objective while four targets are fitted",
        source="section 2.1, figure 2",
        cases=tuple(
            Case(target, {"truth": Source("denoising/f16.png", *_SQUARE)})
            for target in ("image", "image + noise", "shuffled pixels", "white noise")
        ),
        problem=_impeding,
        contestants={"DIP": ByRecipe(lambda variant: recipes.noise_impedance())},
        score=None,
        metric=OBJECTIVE,
    ),
]
EXPERIMENTS = {row.name: row for row in _ROWS}
