"""What a prior is, pixels without a penalty, and the sum of priors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue, require_instance, safe_repr
from dipops.problem import Problem

_START = 0.1


class Prior(nn.Module):
    """A parametrisation g(θ) of the image and a penalty R on it; θ are the parameters of the module.

    ``solve`` works on a copy, so one prior serves many problems. ``a + b`` adds the penalties.

    Attributes:
        average_decay: decay of the exponential average that is the answer by default, or None for the last image.
        on_pixels: whether θ is the image itself, possibly with the penalties of several priors.
        box: whether values are held in [0, 1], which needs pixels, and a method that can.
        recompute: whether its network saves memory at the cost of time; ``solve`` then keeps no freed memory.
    """

    average_decay: float | None = None
    on_pixels = False
    box = False
    recompute = False

    def start(self, problem: Problem, seeds: Sequence[int]) -> None:
        """Set θ for a problem, member k of the batch from ``seeds[k]``, on the problem's device and in its dtype."""
        raise NotImplementedError

    def set_step(self, step: int) -> None:
        """Set what depends on the number of a step, counted from 0, in tensors that the step reads; before each step."""

    def resample_noise(self, generators: Sequence[torch.Generator]) -> None:
        """Draw what is random in a step, once a step; member k from ``generators[k]`` on the problem's device."""

    def forward(self) -> Tensor:
        """g(θ): the images (N, *in_shape)."""
        raise NotImplementedError

    def clamp_(self) -> None:
        """Set pixels to the nearest ones in the box; only for priors on pixels."""
        raise NotImplementedError

    def penalty(self, x: Tensor) -> Tensor:
        """R of each image, differentiable: (N, *in_shape) to (N,)."""
        return x.new_zeros(len(x))

    def value(self, x: Tensor) -> Tensor:
        """R of each image, without what makes the penalty differentiable: (N, *in_shape) to (N,)."""
        return self.penalty(x)

    def __add__(self, other: "Prior") -> "Prior":
        """Add penalties: one of the two may have a generator.

        Raises:
            BadType: both have a generator.
        """
        if not isinstance(other, Prior):
            return NotImplemented
        if isinstance(other, PixelPrior):
            return PenalisedPrior(self, other)
        if isinstance(self, PixelPrior):
            return PenalisedPrior(other, self)
        raise BadType(
            f"{safe_repr(self)} + {safe_repr(other)}, two generators for one image",
            "at most one",
            "add a penalty such as TotalVariation",
        )


class PixelPrior(Prior):
    """θ is the image itself.

    Args:
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed, as in the paper.
    """

    on_pixels = True
    pixels: nn.Parameter
    initial: Tensor | None

    def __init__(self, initial: Tensor | None = None) -> None:
        super().__init__()
        if initial is not None:
            require_instance(initial, Tensor, "initial image", "a tensor or None", "use torch.as_tensor")
            if not initial.isfinite().all():
                raise BadValue("an initial image with NaN or infinity", "finite values", "repair it, or leave it out")
        self.register_buffer("initial", None if initial is None else initial.detach())

    def start(self, problem: Problem, seeds: Sequence[int]) -> None:
        shape = (len(seeds), *problem.operator.in_shape)
        if self.initial is None:
            streams = [stream(seed, "pixels") for seed in seeds]
            images = [torch.rand(shape[1:], generator=generator, dtype=torch.float32) for generator in streams]
            start = _START * torch.stack(images)
        else:
            start = _expanded(self.initial, shape)
        self.pixels = nn.Parameter(start.to(problem.y).clone())
        self.to(problem.y)

    def forward(self) -> Tensor:
        return self.pixels.clone()

    @torch.no_grad()
    def clamp_(self) -> None:
        self.pixels.clamp_(0, 1)


class NoPrior(PixelPrior):
    """The pixels themselves, without a penalty: the data term alone is minimised, least squares for normal noise.

    Args:
        initial: where to start, in_shape or (N, *in_shape); by default U(0, 0.1) from the seed, as in the paper.
    """

    def __repr__(self) -> str:
        return "NoPrior()"


class PenalisedPrior(Prior):
    """The parametrisation of one prior with the penalties of two: what ``a + b`` gives."""

    def __init__(self, parametrisation: Prior, penalty: PixelPrior) -> None:
        super().__init__()
        self.parametrisation, self.added = parametrisation, penalty
        self.average_decay, self.recompute = parametrisation.average_decay, parametrisation.recompute
        self.on_pixels, self.box = parametrisation.on_pixels, parametrisation.box or penalty.box

    def start(self, problem: Problem, seeds: Sequence[int]) -> None:
        self.parametrisation.start(problem, seeds)
        self.added.to(problem.y)

    def set_step(self, step: int) -> None:
        self.parametrisation.set_step(step)

    def resample_noise(self, generators: Sequence[torch.Generator]) -> None:
        self.parametrisation.resample_noise(generators)

    def forward(self) -> Tensor:
        return self.parametrisation()

    def clamp_(self) -> None:
        self.parametrisation.clamp_()

    def penalty(self, x: Tensor) -> Tensor:
        return self.parametrisation.penalty(x) + self.added.penalty(x)

    def value(self, x: Tensor) -> Tensor:
        return self.parametrisation.value(x) + self.added.value(x)

    def __repr__(self) -> str:
        return f"{safe_repr(self.parametrisation)} + {safe_repr(self.added)}"


def _expanded(initial: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(initial.shape) not in (shape, shape[1:], (1, *shape[1:])):
        raise BadValue(
            f"an initial image of shape {tuple(initial.shape)}", f"{shape[1:]} or {shape}", "start from one that fits"
        )
    return initial.expand(shape)
