"""Every table and figure of Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior": its data, its problems and who competes."""

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from statistics import mean

from torch import Tensor

from dipops import classical, recipes
from dipops.errors import BadValue, nearest
from dipops.methods import ADAM, Descent
from dipops.metrics import psnr, psnr_y
from dipops.paper import problems
from dipops.paper.contestants import Contestant, by_library, by_recipe, by_weight
from dipops.paper.data import Images, PaperImage
from dipops.paper.networks import INVERSIONS, MAXIMISATIONS
from dipops.priors import NoPrior, TotalVariation
from dipops.priors.generators import Generator, ResNet, UNet, encoder_decoder
from dipops.problem import Problem
from dipops.recipes import Recipe, Settings

Score = Callable[[Tensor, Tensor], Tensor]
Figure = float | Mapping[str, float]
"""A printed mean over all images, or a figure for each image."""
OBJECTIVE, MEAN_OF_RUNS = "objective", "mean of the runs"
SCORES: dict[str | None, Score] = {"PSNR": psnr, "PSNR of Y": psnr_y}


@dataclass(frozen=True)
class Experiment:
    """One table or figure.

    Attributes:
        name: short, for the command line.
        title: as a heading.
        source: where it is in the paper, and what is not the paper's.
        images: its images.
        problem: makes the problem of an image's name and files.
        contestants: by name; the first is the paper's method.
        metric: compares an image with the ground truth, or None where the contestants score themselves or nobody can.
        printed: the paper's figures by system, ours or one that cannot be run here, and by the column they are compared with.
    """

    name: str
    title: str
    source: str
    images: tuple[PaperImage, ...]
    problem: Callable[[str, Images], Problem]
    contestants: Mapping[str, Contestant]
    metric: str | None = None
    printed: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)

    @property
    def score(self) -> Score | None:
        """The function of the metric: of an image and the ground truth, in dB."""
        return SCORES.get(self.metric)

    def prints_for(self, figure: Figure, images: Collection[str]) -> bool:
        """Whether a printed figure is of these images: a mean is of all of them only."""
        return not isinstance(figure, float) or len(images) == len(self.images)

    def image(self, name: str) -> PaperImage:
        """The image of that name."""
        return next(image for image in self.images if image.name == name)

    def problem_for(self, name: str, folder: Path, crop: int | None = None) -> Problem:
        """The problem of an image. Its y is what a system is given: noisy, small or with black holes; of a network, the photo.

        Raises:
            BadFile: a file is missing, damaged, or of another size.
        """
        return self.problem(name, self.image(name).read(folder, crop))


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        BadValue: there is none; the message names the nearest.
    """
    require_known("experiment", [name], EXPERIMENTS)
    return EXPERIMENTS[name]


def require_known(kind: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise BadValue, with the nearest known names, if one of the names is not known."""
    for name in names:
        if name not in known:
            raise BadValue(f"{kind} {name!r}", "one that dipops paper list shows", f"the nearest are {nearest(name, known)}")


def mean_over(figure: Figure, images: Collection[str]) -> float:
    """A printed mean over some of the images, where it is known; else over all."""
    return mean(figure[name] for name in images) if isinstance(figure, Mapping) else figure


def _denoisers() -> dict[str, Contestant]:
    return {
        "DIP": by_recipe(recipes.denoise),
        "CBM3D": by_library(classical.bm3d, "bm3d"),
        "NLM": by_library(classical.non_local_means, "skimage.restoration"),
        "wavelet": by_library(classical.wavelet, "skimage.restoration", "pywt"),
        "TV": _TV,
    }


def _upscalers(factor: int) -> dict[str, Contestant]:
    dip, bicubic = by_recipe(partial(recipes.upscale, factor)), by_library(classical.bicubic)
    return {"DIP": dip, "TV": _TV, "bicubic": bicubic, "no prior": _NO_PRIOR}


def _inpainters(recipe_of: Callable[[Settings], Recipe]) -> dict[str, Contestant]:
    biharmonic = by_library(classical.biharmonic, "skimage.restoration")
    return {"DIP": by_recipe(recipe_of), "biharmonic": biharmonic, "TV": _TV}


def _architecture(generator: Generator) -> Contestant:
    return by_recipe(lambda _: recipes.architecture_study(generator))


_TV = by_weight(TotalVariation, "TotalVariation")
_NO_PRIOR = by_recipe(lambda _: Recipe(NoPrior(), Descent(ADAM), 2000, (), "section 3.2, its comparison on pixels"))
_SIX = encoder_decoder().channels
_SPARSE_CODING = by_library(classical.convolutional_sparse_coding, "sporco.admm.cbpdn", "sporco.util")
_SETS = [(factor, name) for factor in (4, 8) for name in ("set5", "set14")]
_CONTESTS: dict[str, tuple[Callable[[str, Images], Problem], dict[str, Contestant]]] = {
    "denoise-25": (problems.noisy, _denoisers()),
    "denoise-50": (problems.with_noise, _denoisers()),
    **{f"x{factor}-{name}": (partial(problems.reduced_by_pillow, factor), _upscalers(factor)) for factor, name in _SETS},
    **{
        f"x{factor}-{name}-matched": (partial(problems.reduced_by_operator, factor), _upscalers(factor))
        for factor, name in _SETS
    },
    "priors-x4": (
        partial(problems.reduced_by_pillow, 4),
        {"DIP": by_recipe(lambda _: recipes.upscale_three_channels()), "TV": _TV, "no prior": _NO_PRIOR},
    ),
    "missing-50": (problems.halved, _inpainters(recipes.inpaint_random) | {"sparse coding": _SPARSE_CODING}),
    "missing-98": (problems.sparse, _inpainters(recipes.inpaint_sparse)),
    "text": (problems.masked, _inpainters(recipes.inpaint_text)),
    "hole": (problems.masked, _inpainters(recipes.inpaint_hole)),
    "library": (
        problems.masked,
        {f"depth {depth}": _architecture(encoder_decoder(_SIX[:depth])) for depth in (6, 4, 2)}
        | {"U-Net": _architecture(UNet()), "ResNet": _architecture(ResNet())},
    ),
    "jpeg": (problems.as_it_is, {"DIP": by_recipe(recipes.jpeg)}),
    "flash": (
        problems.guided,
        {
            "DIP": by_recipe(recipes.flash),
            "joint bilateral": by_library(classical.joint_bilateral_filter, "cv2"),
            "guided filter": by_library(classical.guided_filter, "cv2"),
        },
    ),
    "preimage": (problems.photo, INVERSIONS),
    "maximise": (problems.nothing, MAXIMISATIONS),
    "impedance": (problems.target, {"DIP": by_recipe(lambda _: recipes.noise_impedance())}),
}


def _experiments() -> dict[str, Experiment]:
    """The experiments of the file of this name, with their problems and contestants."""
    rows = tomllib.loads(files("dipops.paper").joinpath("experiments.toml").read_text("utf-8"))
    sets = rows.pop("sets")
    experiments = {}
    for name, row in rows.items():
        paths, shapes = row.pop("files"), sets[row.pop("images")]
        images = tuple(
            PaperImage(image, {role: path.format(image) for role, path in paths.items()}, tuple(shape))
            for image, shape in shapes.items()
        )
        problem, contestants = _CONTESTS[name]
        experiments[name] = Experiment(name, images=images, problem=problem, contestants=contestants, **row)
    return experiments


EXPERIMENTS = _experiments()
