"""The deep image prior: an image is the output of an untrained network for a fixed input."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dipops._tools.batches import power
from dipops._tools.seeds import stream
from dipops.errors import BadValue, require_number, safe_repr
from dipops.noise import Poisson
from dipops.operators import LinearOperator, measures_pixels
from dipops.priors.generators.hourglass import Hourglass
from dipops.priors.generators.interface import Generator, grouped_copies
from dipops.priors.generators.layers import ToImage
from dipops.priors.inputs import Guide, Input, Noise
from dipops.priors.interface import Prior
from dipops.problem import Problem

_FAR, _TIMES = 2.0, 10.0


class DeepImagePrior(Prior):
    """x = network(z + noise) with θ the weights of a network that starts random and is fitted to this one measurement.

    Ulyanov, Vedaldi and Lempitsky, "Deep Image Prior", CVPR 2018, equation 2. A batch of N images is N networks, grouped in
    one, which do not influence each other. Images may have any size from 16 pixels: z is padded for the network and its
    output cropped. Images are 2-D, (C, H, W); for signals and volumes there are TotalVariation and Tikhonov. The generators of
    dipops give values in [0, 1]; a y of pixels from 0 to 255 gets a warning, behind linear operators too.

    Args:
        generator: config of the network; the paper's Hourglass by default.
        input: where z comes from; by default the operator's guide where it has one, else Noise(32).
        perturbation: standard deviation of the fresh normal noise that is added to z in each step, or a function that gives
            it for a step, counted from 0, such as Ramp.
        learn_input: whether z is fitted too.

    Raises:
        BadValue: the perturbation is negative; on start, an image that is not (C, H, W) or too small.
    """

    average_decay = 0.99
    network: nn.Module
    z: Tensor
    noise: Tensor
    deviation: Tensor

    def __init__(
        self,
        generator: Generator | None = None,
        input: Input | None = None,
        perturbation: float | Callable[[int], float] = 1 / 30,
        learn_input: bool = False,
    ) -> None:
        super().__init__()
        if not callable(perturbation):
            _require_deviation(perturbation)
        self.generator: Generator = Hourglass() if generator is None else generator
        self.input, self.perturbation, self.learn_input = input, perturbation, learn_input
        self.recompute = isinstance(self.generator, Hourglass) and self.generator.recompute

    def start(self, problem: Problem, seeds: Sequence[int]) -> None:
        inputs = self._inputs(problem, seeds)
        streams = [stream(seed, "weights").initial_seed() for seed in seeds]
        channels, *self._size = problem.operator.in_shape
        self.network = grouped_copies(self.generator, len(inputs[0]), channels, streams).to(problem.y)
        if _ends_in_sigmoid(self.network):
            _warn_out_of_reach(problem)
        z = torch.stack(inputs).to(problem.y)
        if self.learn_input:
            self.z = nn.Parameter(z)
        else:
            self.register_buffer("z", z)
        self.register_buffer("noise", torch.zeros_like(z), persistent=False)
        deviation = 0.0 if callable(self.perturbation) else self.perturbation
        self.register_buffer("deviation", torch.tensor(deviation, dtype=z.dtype, device=z.device), persistent=False)

    def set_step(self, step: int) -> None:
        if callable(self.perturbation):
            self.deviation.fill_(_require_deviation(self.perturbation(step)))

    def resample_noise(self, generators: Sequence[torch.Generator]) -> None:
        if self.perturbation == 0:
            return
        for part, generator in zip(self.noise, generators, strict=True):
            part.normal_(generator=generator)
        self.noise.mul_(self.deviation)

    def forward(self) -> Tensor:
        images = self.network((self.z + self.noise).flatten(0, 1)[None]).unflatten(1, (len(self.z), -1))[0]
        return images[..., : self._size[0], : self._size[1]]

    def _inputs(self, problem: Problem, seeds: Sequence[int]) -> list[Tensor]:
        """z of each member (channels, h, w)."""
        in_shape = problem.operator.in_shape
        if len(in_shape) != 3:
            gray = "give A the shape (1, H, W) and x as x[None]"
            advice = gray if len(in_shape) == 2 else "reshape inside your operator's forward, or use TotalVariation"
            raise BadValue(f"DeepImagePrior on images of shape {in_shape}", "2-D images (C, H, W)", advice)
        source = self.input or (Noise() if problem.operator.guide is None else Guide())
        size = self.generator.input_size((in_shape[1], in_shape[2]))
        inputs = [source.sample(problem, size, stream(seed, "input")) for seed in seeds]
        for z in inputs:
            if z.ndim != 3 or tuple(z.shape[1:]) != tuple(size):
                came = f"an input of shape {tuple(z.shape)} from {safe_repr(source)}"
                raise BadValue(came, f"(channels, {size[0]}, {size[1]})", "make it of the size that sample is given")
        return inputs

    def __repr__(self) -> str:
        source = "" if self.input is None else f", {safe_repr(self.input)}"
        deviation = self.perturbation if callable(self.perturbation) else f"{self.perturbation:.4g}"
        learned = ", learn_input=True" if self.learn_input else ""
        return f"DeepImagePrior({safe_repr(self.generator)}{source}, perturbation={deviation}{learned})"


def _ends_in_sigmoid(network: nn.Module) -> bool:
    """Whether all that the network gives is certain to be in [0, 1]."""
    return isinstance(network, nn.Sequential) and isinstance(network[-1], ToImage | nn.Sigmoid)


def _warn_out_of_reach(problem: Problem) -> None:
    """Warn where a member's y is far above what A makes of images in [0, 1].

    Where y measures the pixels, half of its values are above 2, which noise around such images does not do. Behind another
    linear operator, it is ten times as large as the measurement of random pixels. What others make of images is not known.
    """
    operator = problem.operator
    background = problem.noise.background if isinstance(problem.noise, Poisson) else 0.0
    if measures_pixels(operator):
        y = problem.where_measured(problem.y, torch.nan)
        far, measured = (where.flatten(1).sum(1) for where in (y > _FAR + background, ~y.isnan()))
        if bool((2 * far > measured).any()):
            reached = f"A of an image in [0, 1] reaches {1 + background:.1f}"
            warnings.warn(f"y has values up to {float(problem.y.max()):.1f} where {reached}; divide y by 255", stacklevel=2)
    elif isinstance(operator, LinearOperator):
        pixels = torch.rand(1, *operator.in_shape, generator=torch.Generator().manual_seed(0)).to(problem.y)
        with torch.no_grad():
            sizes = power(problem.where_measured(problem.y - background, 0.0)).sqrt()
            usual = power(problem.where_measured(operator(pixels).expand_as(problem.y), 0.0)).sqrt()
        times = float((sizes / usual).where(usual > 0, 0).max())
        if times > _TIMES:
            reached = f"y is {times:.0f} times as large as A of random pixels in [0, 1]"
            warnings.warn(f"{reached}; divide y by 255 if its pixels go to 255", stacklevel=2)


def _require_deviation(value: float) -> float:
    wanted = ("a standard deviation of at least 0, or a function that gives one", "the paper uses 1/30")
    return require_number("perturbation", value, lambda deviation: 0 <= deviation < float("inf"), *wanted)
