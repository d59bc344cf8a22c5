"""What is to be solved: an operator, its measurements, and what is known about them."""

import warnings
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dipops._tools.batches import CHANNELS_FIRST, is_channels_last, per_image
from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import full_float32, has_float64
from dipops._tools.seeds import stream
from dipops.errors import BadType, BadValue, require_instance, require_integer, safe_repr
from dipops.noise import LEAST_SQUARES, ClippedGaussian, Gaussian, Noise, Poisson
from dipops.operators import LinearOrDifferentiableOperator
from dipops.operators.checks import dtype_and_device, require_batch

_ENOUGH = 16


@dataclass(frozen=True, init=False)
class Problem:
    """Find x from y, measured around A(x).

    Args:
        operator: A.
        y: measurements (N, *out_shape), or one measurement of shape out_shape, which becomes a batch of one. Where the weights
            are 0, y may be NaN, and is set to 0.
        noise: how y was drawn, such as ``Poisson(peak=50)``. A number is the standard deviation of normal noise, in image
            units, such as 25 / 255; 0 is no noise. None means unknown: the data term is least squares, and the noise is not
            estimated.
        weights: of the entries of y, finite and at least 0, or boolean; 0 for what was not measured, and then neither the data
            term nor any residual, rule or estimate counts it. Others multiply the data term. They broadcast to out_shape, such
            as (H, W) to the channels of (C, H, W); with one dimension more than out_shape, the first is the batch, of 1 or N.
            By default what ``operator.known`` says; what the operator does not know has weight 0 in any case.
        truth: the ground-truth images, in_shape or (N, *in_shape), to score results; never used to find them.

    Attributes:
        operator, y, noise, truth: as given, y and truth as batches and copied, a number as Gaussian noise.
        weights: (1 or N, *out_shape), copied, or None where all of them are 1.

    Raises:
        BadType: the operator is not one of dipops, y, weights or truth are not real floating-point tensors, or the noise
            is no noise model.
        BadValue: their shapes, dtypes or devices do not fit, they are in half precision, y is not finite where it counts, the
            weights are negative, all of them are 0 for a member, σ is larger than every measured value, or numbers of photons
            are negative.
    """

    operator: LinearOrDifferentiableOperator
    y: Tensor
    noise: Noise | None
    weights: Tensor | None
    truth: Tensor | None

    def __init__(
        self,
        operator: LinearOrDifferentiableOperator,
        y: Tensor,
        noise: Noise | float | None = None,
        *,
        weights: Tensor | None = None,
        truth: Tensor | None = None,
    ) -> None:
        _require_operator(operator)
        _warn_channels_last(operator)
        y = _batch(y, operator.out_shape, operator, "y").clone()
        if len(y) == 0:
            raise BadValue("an empty batch", "at least one measurement", "look at y.shape")
        if y.dtype not in (torch.float32, torch.float64):
            came = f"y in {str(y.dtype).removeprefix('torch.')}"
            raise BadValue(came, "float32 or float64, which a solve needs", "write operator.float() and y.float()")
        weights = _weights(weights, y, operator)
        if weights is not None:
            y = torch.where(weights > 0, y, 0)
        _require_finite(y, "y", "give weights that are 0 there")
        if truth is not None:
            truth = _batch(truth, operator.in_shape, operator, "truth").clone()
            if len(truth) != len(y):
                raise BadValue(f"truth of {len(truth)} images for {len(y)} measurements", "one each", "repeat the one")
            _require_finite(truth, "truth", "leave the truth out, or repair it")
        noise = _noise(noise)
        _require_square(noise, y)
        _require_image_units(noise, y)
        _require_counts(noise, y)
        for name, value in (("operator", operator), ("y", y), ("noise", noise), ("weights", weights), ("truth", truth)):
            object.__setattr__(self, name, value)

    @classmethod
    @usual_defaults()
    @full_float32()
    def simulate(
        cls,
        operator: LinearOrDifferentiableOperator,
        x: Tensor,
        noise: Noise | float,
        *,
        seed: int = 0,
        weights: Tensor | None = None,
    ) -> "Problem":
        """The problem of measuring x with this noise, the same for a seed on every device.

        Args:
            operator: A.
            x: the ground truth, (N, *in_shape) or in_shape.
            noise: a noise model, or σ of normal noise in image units; 0 for none.
            seed: of the noise; member k of a batch has seed + k.
            weights: as for the class; nothing is drawn where they are 0.

        Raises:
            BadType, BadValue: as for the class; x is not finite, or A(x) not where it is measured, or not of the dtype of x.
        """
        _require_operator(operator)
        x = _batch(x, operator.in_shape, operator, "x")
        _require_finite(x, "x", "repair it, or crop it away")
        model = _noise(noise)
        if model is None:
            raise BadType("noise = None", "a noise model or σ", "write 0 for measurements without noise")
        require_integer("seed", seed, 0, "leave it out for 0")
        with torch.no_grad():
            clean = operator(x.clone())  # one that works in place must not change the ground truth
        if dtype_and_device(clean) != dtype_and_device(x):
            came = f"{safe_repr(operator)} gives {dtype_and_device(clean)} for x in {dtype_and_device(x)}"
            raise BadValue(came, "the same for both", "make the tensors of its forward like x: torch.ones(3).to(x)")
        measured = _weights(weights, clean, operator)
        if measured is not None:
            clean = torch.where(measured > 0, clean, 0)
        _require_finite(clean, f"A(x) of {safe_repr(operator)}", "look at its forward, or give weights that are 0 there")
        _require_square(model, clean)
        _require_image_units(model, clean)
        y = torch.stack([model.draw(image, stream(seed + k, "measurement")) for k, image in enumerate(clean)])
        return cls(operator, y.to(clean), model, weights=weights, truth=x)

    @property
    def is_noisy(self) -> bool:
        """Whether the noise is known, and not zero."""
        return self.noise is not None and self.noise.temperature > 0

    @property
    def is_noise_free(self) -> bool:
        """Whether the noise is known to be zero."""
        return self.noise is not None and self.noise.temperature == 0

    @usual_defaults()
    def data_term(self, x: Tensor) -> Tensor:
        """D(A(x), y) of each image, ½ ‖A(x) - y‖² for normal noise: (N, *in_shape) gives (N,)."""
        return (self.noise or LEAST_SQUARES).data_term(self.operator(x), self.y, self.weights)

    def data_terms(self, ax: Tensor) -> tuple[Tensor, Tensor]:
        """The data term at A(x), and what the noise leaves of it on average where A(x) is true, of each image: two (N,).

        The noise must be known.
        """
        assert self.noise is not None
        expected = self.weighted(self.by_noise(lambda noise: noise.expected(ax))).flatten(1).sum(1)
        return self.noise.data_term(ax, self.y, self.weights), expected

    def by_noise(self, function: Callable[[Noise], Tensor]) -> Tensor:
        """What a function gives of the noise, (N, ...): of ClippedGaussian for members of normal noise that is clipped.

        The noise must be known.
        """
        assert self.noise is not None
        if type(self.noise) is not Gaussian or not any(self.is_clipped):
            return function(self.noise)
        values, of_clipped = function(self.noise), function(ClippedGaussian(self.noise.sigma))
        return torch.where(per_image(self._clipped_members, values), of_clipped, values)

    @cached_property
    def _clipped_members(self) -> Tensor:
        """``is_clipped`` where y is, which a copy in each step would wait for."""
        return torch.tensor(self.is_clipped, device=self.y.device)

    @cached_property
    def is_clipped(self) -> tuple[bool, ...]:
        """Of each member, whether its noise is clipped: ClippedGaussian, or Gaussian as its ``clipped`` says."""
        if not isinstance(self.noise, Gaussian) or isinstance(self.noise, ClippedGaussian) or self.noise.clipped is False:
            return (isinstance(self.noise, ClippedGaussian),) * len(self.y)
        if not self.is_noisy:
            return (False,) * len(self.y)
        return tuple(((self.y >= 0) & (self.y <= 1)).flatten(1).all(1).tolist())

    @usual_defaults()
    @full_float32()
    def rms_residual(self, x: Tensor) -> Tensor:
        """Root of the weighted mean square of A(x) - y, of each image: (N, *in_shape) gives (N,), in image units.

        Only what was measured counts.
        """
        return self.mean_measured((self.operator(x) - self.y).square()).sqrt()

    @usual_defaults()
    def data_psnr(self, x: Tensor) -> Tensor:
        """PSNR in dB between A(x) and y for a range of 1, of each image: (N, *in_shape) gives (N,).

        It is infinite where A(x) = y. With noise of standard deviation σ the ground truth itself reaches -20 log10 σ.
        """
        return -20 * self.rms_residual(x).log10()

    def mean_measured(self, values: Tensor) -> Tensor:
        """The weighted mean of values (N, *out_shape) over what was measured, of each member: (N,)."""
        if self.weights is None:
            return values.flatten(1).mean(1)
        return self.weighted(values).flatten(1).sum(1) / self.weights.flatten(1).sum(1)

    def weighted(self, values: Tensor) -> Tensor:
        """Values (N, *out_shape) times the weights."""
        return values if self.weights is None else self.weights * values

    def where_measured(self, values: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """Values (N, *out_shape), and something else where the weights are 0."""
        return values if self.weights is None else torch.where(self.weights > 0, values, otherwise)

    def without(self, image: Tensor) -> "Problem":
        """The problem whose images are x - image, for a linear operator; its truth stays that of x."""
        rest = copy(self)
        object.__setattr__(rest, "y", self.where_measured(self.y - self.operator(image)))
        return rest

    def repeat(self, runs: int) -> "Problem":
        """The same problem ``runs`` times as a batch; each member of a solve starts from its own seed.

        Raises:
            BadValue: ``runs`` is not positive.
        """
        require_integer("runs", runs, 1, "4 runs of one image are problem.repeat(4)")
        truth = None if self.truth is None else self.truth.repeat_interleave(runs, 0)
        weights = self.weights
        if weights is not None and len(weights) > 1:
            weights = weights.repeat_interleave(runs, 0)
        return replace(self, y=self.y.repeat_interleave(runs, 0), weights=weights, truth=truth)

    def normalised(self) -> "Problem":
        """The same problem in units of ‖y‖: the data term is half the squared relative error.

        One weight of a penalty then serves measurements of any size and unit, such as the layers of a network.

        Raises:
            BadValue: y is zero, or the members of a batch are not of one size.
        """
        sizes = ((1 if self.weights is None else self.weights) * self.y.square()).flatten(1).sum(1).sqrt()
        size = float(sizes[0])
        if size == 0 or not torch.allclose(sizes, sizes[:1]):
            raise BadValue(f"measurements of size {sizes.tolist()}", "one size above zero", "solve the members one by one")
        noise = None if self.noise is None else self.noise.scaled(1 / size)
        return replace(self, operator=(1 / size) * self.operator, y=self.y / size, noise=noise)

    def to(self, target: Any) -> "Problem":
        """The problem on a device, in a dtype, or like a tensor, as torch's ``.to``, with a copy of the operator.

        Raises:
            BadValue: it is in float64, and the device has none, as Apple's GPUs.
        """
        if isinstance(target, str | torch.device) and not has_float64(torch.device(target)) and self.y.dtype == torch.float64:
            raise BadValue(
                f"a problem in float64 to {target}", "float32, it has no float64", "write problem.to(torch.float32) first"
            )
        weights, truth = (None if t is None else t.to(target) for t in (self.weights, self.truth))
        return replace(self, operator=deepcopy(self.operator).to(target), y=self.y.to(target), weights=weights, truth=truth)


def _batch(tensor: Tensor, shape: tuple[int, ...], operator: LinearOrDifferentiableOperator, name: str) -> Tensor:
    if isinstance(tensor, Tensor) and tuple(tensor.shape) == shape:
        tensor = tensor[None]
    require_batch(tensor, shape, operator._like, name, operator)
    return tensor.detach()


def _noise(noise: Noise | float | None) -> Noise | None:
    """A number as normal noise."""
    if noise is None or isinstance(noise, Noise):
        return noise
    if isinstance(noise, Tensor):
        raise BadType("a tensor for the noise", "a noise model or σ", "write truth=x for the ground truth")
    return Gaussian(noise)


def _weights(weights: Tensor | None, y: Tensor, operator: LinearOrDifferentiableOperator) -> Tensor | None:
    """The given weights, 0 where the operator knows nothing; None where all are 1."""
    known = operator.known
    if weights is not None:
        if isinstance(weights, Tensor) and weights.dtype == torch.bool:
            weights = weights.to(y.dtype)
        weights = _batch(_broadcast(weights, operator.out_shape), operator.out_shape, operator, "weights").clone()
        if len(weights) not in (1, len(y)):
            came = f"weights of {len(weights)} members for {len(y)} measurements"
            raise BadValue(came, "one for all, or one each", "leave the batch out")
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise BadValue("weights that are negative, NaN or infinite", "finite weights of at least 0", "0 is not measured")
    if known is not None:
        weights = known.to(y)[None] * (1 if weights is None else weights)
    if weights is None or bool((weights == 1).all()):
        return None
    if not bool((weights > 0).flatten(1).any(1).all()):
        raise BadValue("weights of 0 for all of a measurement", "some above 0", "look at weights and operator.known")
    return weights


def _broadcast(weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Weights for one measurement or a batch as torch broadcasts them to ``shape``, or as they are where it does not."""
    if not isinstance(weights, Tensor):
        return weights
    whole = (*weights.shape[:1], *shape) if weights.ndim > len(shape) else shape
    try:
        return weights.expand(whole)
    except RuntimeError:
        return weights


def _require_square(noise: Noise | None, y: Tensor) -> None:
    """Refuse a σ whose square is no number above 0 in the precision of y."""
    least = torch.finfo(y.dtype).tiny ** 0.5
    if isinstance(noise, Gaussian) and 0 < noise.sigma < least:
        precision = str(y.dtype).removeprefix("torch.")
        raise BadValue(f"σ = {noise.sigma:g}, whose square is 0 in {precision}", f"0, or at least {least:.0e}", "write 0")


def _require_image_units(noise: Noise | None, y: Tensor) -> None:
    """Refuse the σ of pixels from 0 to 255 for measurements from 0 to 1: noise is not larger than all of y."""
    if not isinstance(noise, Gaussian) or y[0].numel() < _ENOUGH:
        return
    largest = float(y.abs().flatten(1).amax(1).min())
    if noise.sigma > max(1.0, largest):
        came = f"σ = {noise.sigma:g} for measurements of at most {largest:.3g}"
        raise BadValue(came, "σ in the units of y", f"give {noise.sigma:g} / 255 for pixels from 0 to 1")


def _require_counts(noise: Noise | None, y: Tensor) -> None:
    """Refuse negative numbers of photons, of which the data term is NaN."""
    if isinstance(noise, Poisson) and (negative := int((y < 0).sum())):
        came = f"y with {negative} values below 0 for {noise!r}"
        raise BadValue(came, "numbers of photons, of at least 0", "add the background back, or clip y")


def _require_finite(tensor: Tensor, name: str, advice: str) -> None:
    bad = int((~tensor.isfinite()).sum())
    if bad:
        raise BadValue(f"{name} with {bad} of {tensor.numel()} values NaN or infinite", "finite values", advice)


def require_problem(problem: Problem) -> None:
    """Refuse what is no problem, such as the bare measurements, with BadType."""
    require_instance(problem, Problem, "problem", "a Problem", "write Problem(operator, y, 25 / 255)")


def _warn_channels_last(operator: LinearOrDifferentiableOperator) -> None:
    """Ask about images (H, W, C), whose last dimension priors and scores would take for the width."""
    if len(operator.in_shape) == 3 and is_channels_last(operator.in_shape):
        came = f"images of shape {operator.in_shape} look like (H, W, C), and are taken for (C, H, W)"
        warnings.warn(f"{came}; {CHANNELS_FIRST} and give the operator that shape", stacklevel=3)


def _require_operator(operator: LinearOrDifferentiableOperator) -> None:
    """Refuse what is no operator, and one whose tensors are not of one dtype and device."""
    advice = "write its code as the forward of a LinearOperator or DifferentiableOperator"
    expected = "an operator, such as Identity((3, 64, 64))"
    require_instance(operator, LinearOrDifferentiableOperator, "operator", expected, advice)
    for name, tensor in (*operator.named_parameters(), *operator.named_buffers()):
        if tensor.is_floating_point() and dtype_and_device(tensor) != dtype_and_device(operator._like):
            raise BadValue(
                f"{name} of {safe_repr(operator)} is {dtype_and_device(tensor)}",
                f"{dtype_and_device(operator._like)} like the rest",
                "move it with operator.to()",
            )
