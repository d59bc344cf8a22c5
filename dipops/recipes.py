"""The settings of every experiment of the paper, as data, and light ones that come close in a fraction of the time."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod, sqrt
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32
from dipops.errors import BadValue, require_choice, require_instance, require_integer
from dipops.methods import ADAM, Descent, MakeOptimizer, Method, MuonThenAdam, PrimalDual
from dipops.noise import Gaussian
from dipops.operators import Activation
from dipops.operators.checks import require_batch
from dipops.priors import DeepImagePrior, PixelPrior, Prior
from dipops.priors.generators import Generator, Hourglass, ResNet, UNet
from dipops.priors.generators.layers import Upsampling
from dipops.priors.inputs import Input, Meshgrid, Noise
from dipops.problem import Problem, require_problem
from dipops.solver import Ensemble, Result
from dipops.solver.corrections import debias, debiasable, is_exact, satisfy_data
from dipops.solver.solve import solve
from dipops.stopping import Discrepancy, ExponentialVariance, StopRule

_PAPER = "Ulyanov, Vedaldi and Lempitsky, Deep Image Prior"
_LIGHT = "measured on images outside the paper's sets, benchmarks/results/dip.md"
VARIANCE = ExponentialVariance(0.05, patience=100)
DISCREPANCY = Discrepancy(tau=1.004)  # the best of four runs, on coffee, hubble and rocket of 256 and rocket of 512 pixels
_DENOISING_STEPS = 1333  # a third: the whole images and crops in benchmarks/results/gpu.md took 75 to 1200
_PERTURBATION = 0.04
_NEAREST_LAST: tuple[Upsampling, ...] = ("nearest", "bilinear", "bilinear", "bilinear", "bilinear")
_SIX_SCALES = (16, 32, 64, 128, 128, 128)
SHORT_MEMORY = partial(ADAM, betas=(0.9, 0.95))
_ANY_WEIGHT = 1.0  # under a constraint its size does not matter
_SMOOTH = partial(MuonThenAdam, muon_steps=100, smooth=True)


Settings = Literal["light", "paper"]
"""Whose settings: the paper's, or light ones, several times faster on a CPU and at most 0.35 dB lower where measured."""


@dataclass(frozen=True)
class Recipe:
    """What ``solve`` needs besides a problem.

    Attributes:
        prior, method, steps, callbacks: as ``solve`` takes them.
        source: where the settings come from.
        projects: whether the answer is moved to the nearest image that satisfies Ax = y, where A is linear, the noise is said
            to be zero, and the move is as small as the residual. If y is noisy all the same, this brings the noise back.
        debiases: whether the answer is corrected for clipped noise, see ``debiased``.
        usual_steps: how many steps its rules need at most, on the images on which they were measured; None where none was.
        adapt: makes the settings for one problem of the recipe, where they depend on it.
    """

    prior: Prior
    method: Method
    steps: int
    callbacks: Sequence[StopRule]
    source: str
    projects: bool = False
    debiases: bool = False
    usual_steps: int | None = None
    adapt: "Callable[[Recipe, Problem], Recipe] | None" = field(default=None, repr=False)

    def at(self, problem: Problem) -> "Recipe":
        """The settings for one problem: those of ``adapt``, without the discrepancy where its noise is not known or zero."""
        require_problem(problem)
        recipe = self.adapt(self, problem) if self.adapt else self
        return recipe if problem.is_noisy else _without(recipe, Discrepancy)

    @usual_defaults()
    @full_float32()
    def solve(
        self,
        problem: Problem,
        seed: int = 0,
        steps: int | None = None,
        checkpoint: str | Path | None = None,
        progress: bool = True,
    ) -> Result:
        """Solve the problem with these settings; ``steps`` replaces the recipe's number, the rest is as for ``solve``."""
        recipe = self.at(problem)
        result = solve(
            problem,
            recipe.prior,
            recipe.method,
            steps=recipe.steps if steps is None else steps,
            seed=seed,
            callbacks=recipe.callbacks,
            checkpoint=checkpoint,
            progress=progress,
        )
        if recipe.debiases:
            result = debiased(problem, result)
        return _projected(problem, recipe.prior, result) if recipe.projects else result

    @usual_defaults()
    @full_float32()
    def ensemble(
        self,
        problem: Problem,
        runs: int,
        seed: int = 0,
        steps: int | None = None,
        checkpoint: str | Path | None = None,
        progress: bool = True,
        together: bool = True,
    ) -> Ensemble:
        """Solve one image several times, from seeds ``seed``, ``seed + 1``, ..., and take the mean.

        The mean of the runs is corrected once, at the end, as ``solve`` corrects an answer: what undoes clipped noise is not
        linear. ``Ensemble.runs`` are what ``solve`` gives for each seed.

        Args:
            problem: a batch of one.
            runs: how many, at least 2.
            seed, steps, checkpoint, progress: as for ``solve``.
            together: whether the runs are one batch, which takes the memory of all, or solved one after another. The runs are
                the same but for rounding, which a network amplifies from step to step.

        Raises:
            BadValue: several images, fewer than 2 runs, or a checkpoint of runs that are not solved together.
        """
        require_problem(problem)
        require_integer("runs", runs, 2, "write recipe.solve(problem) for one")
        if len(problem.y) != 1:
            raise BadValue(f"an ensemble of a batch of {len(problem.y)}", "a batch of one", "solve the images one by one")
        if checkpoint is not None and not together:
            raise BadValue("a checkpoint for runs one after another", "together=True", "or leave the checkpoint out")
        recipe = replace(self.at(problem), adapt=None)
        uncorrected = replace(recipe, debiases=False, projects=False)
        if together:
            solves = (uncorrected.solve(problem.repeat(runs), seed, steps, checkpoint, progress),)
        else:
            solves = tuple(uncorrected.solve(problem, seed + k, steps, progress=progress) for k in range(runs))
        images = torch.cat([result.image for result in solves])
        return replace(recipe.pool(problem, images), solves=solves)

    @usual_defaults()
    @full_float32()
    def pool(self, problem: Problem, images: Tensor) -> Ensemble:
        """The ensemble of images that this recipe without its corrections made of one problem: the mean, then corrected.

        Args:
            problem: a batch of one.
            images: one for each run, (K, *in_shape).

        Raises:
            BadType: the images are no floating-point tensor.
            BadValue: they have another shape, dtype or device, or are not finite, or the problem has several images.
        """
        require_problem(problem)
        _require_images(problem, images)
        every = torch.cat([images.mean(0, keepdim=True), images])
        repeated = problem.repeat(len(every))
        debiases = projects = torch.zeros(len(every), dtype=torch.bool)
        if self.debiases:
            every, debiases = debias(repeated, every)
        if self.projects:
            every, projects = satisfy_data(repeated, every)
        answer, members = every[:1], every[None, 1:]
        std = members.std(1, correction=min(1, len(images) - 1))
        return Ensemble(answer, std, members, projects[:1], debiases[:1])


def _require_images(problem: Problem, images: Tensor) -> None:
    """Refuse what is no image for each of one or more runs of one problem."""
    require_batch(images, problem.operator.in_shape, problem.operator._like, "images", problem.operator)
    if len(problem.y) != 1 or len(images) == 0:
        came = f"{len(images)} images for a batch of {len(problem.y)}"
        raise BadValue(came, "one or more for a batch of one", "pool the runs of each image by themselves")
    if not bool(images.isfinite().all()):
        raise BadValue("images that are not finite", "finite ones", "leave the runs out that diverged")


def debiased(problem: Problem, result: Result) -> Result:
    """The result with its images corrected for clipped noise, by :meth:`dipops.noise.ClippedGaussian.debias`.

    It applies where y measures the pixels, to the members of :attr:`dipops.Problem.is_clipped`, once. The objective and
    ``data_psnr`` stay those of the image before: they are measured against the clipped y.
    """
    require_problem(problem)
    require_instance(result, Result, "result", "what solve gives", "pass the Result itself, not its image")
    if bool((result.debiased >= debiasable(problem)).all()):
        return result
    image, clipped = debias(problem, result.image)
    return replace(result, image=image, debiased=clipped)


def _projected(problem: Problem, prior: Prior, result: Result) -> Result:
    """The result with its images moved to where Ax = y, if y is free of noise, and where the move amplifies no error."""
    if not is_exact(problem):
        return result
    image, projected = satisfy_data(problem, result.image)
    with torch.no_grad():
        objective = (problem.data_term(image) + deepcopy(prior).to(image).value(image)).cpu()
        data_psnr = problem.data_psnr(image).cpu()
    return replace(result, image=image, projected=projected, objective=objective, data_psnr=data_psnr)


def _for_strong_noise(recipe: Recipe, problem: Problem) -> Recipe:
    """The paper's noise on z follows that of y."""
    prior = deepcopy(recipe.prior)
    if isinstance(prior, DeepImagePrior) and isinstance(problem.noise, Gaussian) and problem.noise.sigma > 37.5 / 255:
        prior.perturbation = 1 / 20
    return replace(recipe, prior=prior)


def denoise(settings: Settings = "light") -> Recipe:
    """Denoising. The paper's: 3000 steps, and noise on z of 1/30 up to σ = 37.5/255, of 1/20 above. The light one stops.

    It stops by the discrepancy principle where the noise is known, and else by the variance of the outputs. Larger images take
    a longer start by Muon.
    """
    if _is_light(settings):
        stops = (DISCREPANCY, VARIANCE)
        recipe = _light(4000, perturbation=1 / 30, upsampling=_NEAREST_LAST, optimizer=MuonThenAdam, stops=stops)
        return replace(recipe, usual_steps=_DENOISING_STEPS, adapt=partial(_by_size_and_noise, muon_steps=86))
    return replace(_paper("section 3.1", 3000, averaging_is_ours=False), adapt=_for_strong_noise)


def restore(settings: Settings = "light") -> Recipe:
    """Any operator: the network of ``denoise``. The light one stops as it does, unless the noise is known to be zero."""
    recipe = denoise(settings)
    return replace(recipe, steps=2000, usual_steps=None) if _is_light(settings) else recipe


def _without(recipe: Recipe, kind: type[StopRule]) -> Recipe:
    """The same settings without the stopping rules of a kind."""
    return replace(recipe, callbacks=tuple(rule for rule in recipe.callbacks if not isinstance(rule, kind)))


def _by_size_and_noise(recipe: Recipe, problem: Problem, muon_steps: int) -> Recipe:
    """A start of so many steps by Muon at 128 pixels a side, more on larger images, where it is the recipe's own; and one stop.

    That is the discrepancy where the noise is known, else the variance, which can be smallest long before the best image: with
    textures, once the smooth regions are done.
    """
    method = recipe.method
    if isinstance(method, Descent) and method.optimizer is MuonThenAdam:
        side = sqrt(prod(problem.operator.in_shape[-2:]))
        steps = round(muon_steps * (side / 128) ** 0.8)
        recipe = replace(recipe, method=replace(method, optimizer=partial(MuonThenAdam, muon_steps=steps)))
    return recipe if problem.noise is None else _without(recipe, ExponentialVariance)


def jpeg(settings: Settings = "light") -> Recipe:
    """Compression of an unknown kind, with Identity. The paper's: narrow fine scales, skips at the two coarsest, 2400 steps."""
    if _is_light(settings):
        return _light(4000, upsampling="nearest", optimizer=SHORT_MEMORY, stops=(VARIANCE,))
    generator = Hourglass((8, 16, 32, 64, 128), skips=(0, 0, 0, 4, 4))
    return _paper("section 3.1, JPEG", 2400, generator, Noise(3), averaging_is_ours=False)


def upscale(factor: int, settings: Settings = "light") -> Recipe:
    """Super-resolution. The paper's: 2000 steps with noise 0.03 on z up to a factor of 4, and 4000 with 0.05 above.

    Args:
        factor: of the sides; the paper has 4 and 8.
        settings: whose.

    Raises:
        BadValue: it is below 2.
    """
    require_integer("factor", factor, 2, "the paper has 4 and 8")
    if _is_light(settings):
        return _light(1000)
    steps, perturbation = (2000, 0.03) if factor <= 4 else (4000, 0.05)
    return _paper("section 3.2", steps, perturbation=perturbation)


def upscale_three_channels() -> Recipe:
    """The comparison of no prior, TV and the deep image prior at x4: the paper's network with a z of 3 channels."""
    return _paper("section 3.2, comparison of priors", 2000, input=Noise(3))


def inpaint_text(settings: Settings = "light") -> Recipe:
    """Thin holes such as letters. The paper's: 128 skip channels at every scale, nearest upsampling, 6001 steps."""
    if _is_light(settings):
        return _light(2000)
    return _paper("section 3.3, text", 6001, Hourglass(skips=128, upsampling="nearest"), perturbation=0.03)


def inpaint_random(settings: Settings = "light") -> Recipe:
    """Half of the pixels missing at random. The paper's: 11000 steps of Adam at 0.001."""
    if _is_light(settings):
        return _light(1000)
    return _paper("section 3.3, table 1", 11000, perturbation=0.03, rate=0.001)


def inpaint_sparse(settings: Settings = "light") -> Recipe:
    """Nearly all pixels missing (98%). The paper's: no skips, means instead of strides, 1000 steps without noise on z.

    The light one makes 300 steps: between 100 and 600 little changes, and later it gets worse.
    """
    if _is_light(settings):
        return _light(300, skips=0)
    generator = Hourglass((16, 32, 64, 128, 128), skips=0, downsampling="average")
    return _paper("section 3.3, 98% missing", 1000, generator, perturbation=0.0)


def inpaint_hole(settings: Settings = "light") -> Recipe:
    """Large holes. The paper's: no skips, nearest upsampling, and the coordinates as z, 5001 steps.

    The light one upsamples by bilinear interpolation and makes 400 small steps of Adam: after larger ones, or a start by Muon,
    what grows into a hole is of another colour more often.
    """
    if _is_light(settings):
        return _light(400, Meshgrid(), skips=0, optimizer=partial(ADAM, lr=0.003))
    generator = Hourglass(skips=0, upsampling="nearest")
    return _paper("section 3.3, large hole", 5001, generator, Meshgrid(), perturbation=0.03)


def architecture_study(generator: Generator) -> Recipe:
    """The large hole of figure 8 filled by a given network: 3001 steps from a z of one channel.

    Args:
        generator: the paper's are ``encoder_decoder()``, shallower variants of it, ``UNet()`` and ``ResNet()``; the last two
            use a rate of 0.001.
    """
    rate = 0.001 if isinstance(generator, UNet | ResNet) else 0.01
    return _paper("section 3.3, architecture study", 3001, generator, Noise(1), perturbation=0.0, rate=rate)


def flash(settings: Settings = "light") -> Recipe:
    """Flash / no-flash: the flash image is the input of the generator. The paper's: 601 steps of Adam at 0.1."""
    if _is_light(settings):
        return _light(2000, perturbation=0.0, upsampling="nearest", optimizer=SHORT_MEMORY, stops=(VARIANCE,))
    generator = Hourglass(upsampling=("nearest", "nearest", "bilinear", "bilinear", "bilinear"))
    return _paper("section 3.7", 601, generator, perturbation=0.0, rate=0.1)


def preimage(prior: PixelPrior | None = None) -> Recipe:
    """What a layer of a network knows of an image: 3100 steps of Adam at 0.001.

    The paper fits raw features; Adam does not see the difference to ``problem.normalised()``, whose weights serve every layer.

    Args:
        prior: NoPrior() or TotalVariation(weight) in place of the deep image prior; their pixels go at a rate of 0.01.
    """
    if prior is not None:
        return _pixels("section 3.4", prior)
    kernels = (7, 7, 5, 5, 3, 3)
    generator = Hourglass(_SIX_SCALES, 4, (kernels, kernels), "nearest", "average", "zeros")
    return _paper("section 3.4", 3100, generator, perturbation=0.0, rate=0.001)


def maximise(unit: Activation, prior: PixelPrior | None = None) -> Recipe:
    """What excites a unit of a network: 3100 steps of Adam at 0.001, and at 0.01 for the score of a class.

    The energy is the usual one, with a response as y that no image reaches.

    Args:
        unit: the last part of the operator.
        prior: NoPrior() or TotalVariation(weight) in place of the deep image prior; their pixels go at a rate of 0.01.
    """
    if prior is not None:
        return _pixels("IJCV version, activation maximisation", prior)
    down, up = (5, 3, 5, 5, 3, 5), (5, 3, 5, 3, 5, 3)
    generator = Hourglass(_SIX_SCALES, (0, 4, 4, 4, 4, 4), (down, up), "bilinear", "average")
    rate = 0.01 if len(unit.in_shape) == 1 else 0.001
    return _paper("IJCV version, activation maximisation", 3100, generator, perturbation=0.03, rate=rate)


def noise_impedance() -> Recipe:
    """How fast an image, noise, and both together are fitted: 2400 steps without noise on z (figure 2)."""
    return _paper("section 2.1", 2400, perturbation=0.0)


def limit(prior_of_weight: Callable[[float], Prior]) -> Recipe:
    """The limit of a vanishing weight, for noise-free problems: the smallest penalty among all x with Ax = y.

    Args:
        prior_of_weight: makes the prior of a weight, such as ``TotalVariation`` itself.
    """
    method = PrimalDual(exact=True)
    return Recipe(prior_of_weight(_ANY_WEIGHT), method, method.steps, (), "the limit of a vanishing weight, Ax = y")


def _is_light(settings: Settings) -> bool:
    require_choice("settings", settings, Settings)
    return settings == "light"


def _paper(
    section: str,
    steps: int,
    generator: Generator | None = None,
    input: Input | None = None,
    perturbation: float = 1 / 30,
    rate: float = 0.01,
    averaging_is_ours: bool = True,
) -> Recipe:
    """Averaging is the paper's for denoising; for the other tasks it is ours, and ``Result.last`` is the paper's."""
    source = f"{_PAPER}, {section}{' (averaging is ours)' if averaging_is_ours else ''}, and the authors' code"
    prior = DeepImagePrior(generator or Hourglass(), input, perturbation)
    return Recipe(prior, Descent(partial(ADAM, lr=rate), average=0.99, warm_up=False), steps, (), source)


def _pixels(section: str, prior: PixelPrior) -> Recipe:
    return Recipe(prior, Descent(ADAM), 3100, (), f"{_PAPER}, {section}, its comparison on pixels")


def _light(
    steps: int,
    input: Input | None = None,
    skips: int = 8,
    perturbation: float = _PERTURBATION,
    upsampling: Upsampling | tuple[Upsampling, ...] = "bilinear",
    optimizer: MakeOptimizer = _SMOOTH,
    stops: tuple[StopRule, ...] = (),
) -> Recipe:
    """A network half as wide as the paper's, narrower still at full size, that starts by Muon and goes on by Adam."""
    generator = Hourglass((32, 64, 64, 64, 64), skips=skips, upsampling=upsampling)
    prior = DeepImagePrior(generator, input, perturbation)
    method = Descent(optimizer, average=0.97, every=10)
    return Recipe(prior, method, steps, stops, _LIGHT, projects=True, debiases=True)
