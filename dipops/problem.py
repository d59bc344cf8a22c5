"""What is to be solved: an operator, its measurements, and what is known about them."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dipops._tools.batches import power, weighted_mean
from dipops._tools.seeds import stream
from dipops.errors import BadValue, require_integer, require_number
from dipops.operators import LinearOrDifferentiableOperator, is_mask
from dipops.operators.checks import dtype_and_device, require_batch


@dataclass(frozen=True)
class Problem:
    """Find x from y = A(x) + noise.

    Attributes:
        operator: A.
        y: measurements (N, *out_shape), or one measurement of shape out_shape, which becomes a batch of one. What a Mask hides
            is set to 0.
        truth: the ground-truth images (N, *in_shape) where they are known, to score results; never used to find them.
        sigma: standard deviation of the noise in image units, such as 25/255, or None where it is not known.

    Raises:
        BadType: y or truth are no real floating-point tensors.
        BadValue: their shapes, dtypes or devices do not fit, y is not finite, or sigma is negative.
    """

    operator: LinearOrDifferentiableOperator
    y: Tensor
    truth: Tensor | None = None
    sigma: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "y", self._batch(self.y, self.operator.out_shape, "y"))
        if is_mask(self.operator):
            object.__setattr__(self, "y", torch.where(self.operator.mask > 0, self.y, 0))
        _require_finite(self.y, "y")
        if self.truth is not None:
            object.__setattr__(self, "truth", self._batch(self.truth, self.operator.in_shape, "truth"))
            if len(self.truth) != len(self.y):
                came = f"truth of {len(self.truth)} images for {len(self.y)} measurements"
                raise BadValue(came, "one each", "repeat the one")
            _require_finite(self.truth, "truth")
        if len(self.y) == 0:
            raise BadValue("an empty batch", "at least one measurement", "look at y.shape")
        if self.sigma is not None:
            wanted = ("a standard deviation of at least 0", "give it in image units: 25 / 255")
            require_number("sigma", self.sigma, lambda sigma: 0 <= sigma < float("inf"), *wanted)
        _require_one_dtype_and_device(self.operator)

    @classmethod
    def simulate(
        cls, operator: LinearOrDifferentiableOperator, x: Tensor, sigma: float = 0.0, seed: int = 0, clip: bool = False
    ) -> "Problem":
        """The problem y = A(x) + n with n normal of standard deviation ``sigma``, the same for a seed on every device.

        Args:
            operator: A.
            x: the ground truth, (N, *in_shape) or in_shape.
            sigma: in image units.
            seed: of the noise; member k of a batch has seed + k.
            clip: clip y to [0, 1], as 8-bit files do; the noise is then weaker than ``sigma`` near black and white.

        Raises:
            BadType, BadValue: as for the class.
        """
        if tuple(x.shape) == operator.in_shape:
            x = x[None]
        with torch.no_grad():
            clean = operator(x)
        noise = [torch.randn(clean.shape[1:], generator=stream(seed + k, "measurement")) for k in range(len(clean))]
        y = clean + sigma * torch.stack(noise).to(clean)
        y = y * operator.mask if is_mask(operator) else y
        return cls(operator, y.clamp(0, 1) if clip else y, x, sigma)

    def data_term(self, x: Tensor) -> Tensor:
        """½ ‖A(x) - y‖² of each image: (N, *in_shape) gives (N,)."""
        return 0.5 * power(self.operator(x) - self.y)

    def rms_residual(self, x: Tensor) -> Tensor:
        """Root mean square of A(x) - y over what was measured, of each image: (N, *in_shape) gives (N,), in image units.

        Of a masked measurement only the known pixels count.
        """
        return mean_measured(self.operator, (self.operator(x) - self.y).square()).sqrt()

    def data_psnr(self, x: Tensor) -> Tensor:
        """PSNR in dB between A(x) and y for a range of 1, of each image: (N, *in_shape) gives (N,).

        It is infinite where A(x) = y. With noise of standard deviation σ the ground truth itself reaches -20 log10 σ.
        """
        return -20 * self.rms_residual(x).log10()

    def repeat(self, runs: int) -> "Problem":
        """The same problem ``runs`` times as a batch; each member of a solve starts from its own seed.

        Raises:
            BadValue: ``runs`` is not positive.
        """
        require_integer("runs", runs, 1, "4 runs of one image are problem.repeat(4)")
        truth = None if self.truth is None else self.truth.repeat_interleave(runs, 0)
        return replace(self, y=self.y.repeat_interleave(runs, 0), truth=truth)

    def normalised(self) -> "Problem":
        """The same problem in units of ‖y‖: the data term is half the squared relative error.

        One weight of a penalty then serves measurements of any size and unit, such as the layers of a network.

        Raises:
            BadValue: y is zero, or the members of a batch are not of one size.
        """
        sizes = power(self.y).sqrt()
        size = float(sizes[0])
        if size == 0 or not torch.allclose(sizes, sizes[:1]):
            raise BadValue(f"measurements of size {sizes.tolist()}", "one size above zero", "solve the members one by one")
        sigma = None if self.sigma is None else self.sigma / size
        return replace(self, operator=(1 / size) * self.operator, y=self.y / size, sigma=sigma)

    def to(self, target: Any) -> "Problem":
        """The problem on a device, in a dtype, or like a tensor, as torch's ``.to``, with a copy of the operator."""
        truth = None if self.truth is None else self.truth.to(target)
        return replace(self, operator=deepcopy(self.operator).to(target), y=self.y.to(target), truth=truth)

    def _batch(self, tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        if isinstance(tensor, Tensor) and tuple(tensor.shape) == shape:
            tensor = tensor[None]
        require_batch(tensor, shape, self.operator._like, name, repr(self.operator))
        return tensor.detach()


def mean_measured(operator: LinearOrDifferentiableOperator, values: Tensor) -> Tensor:
    """Mean of values (N, *out_shape) over what the operator measures, of each image: of a mask, the known pixels."""
    if not is_mask(operator):
        return values.flatten(1).mean(1)
    return weighted_mean(values, operator.mask.expand(operator.in_shape))


def _require_finite(tensor: Tensor, name: str) -> None:
    bad = int((~tensor.isfinite()).sum())
    if bad:
        came = f"{name} with {bad} of {tensor.numel()} values NaN or infinite"
        raise BadValue(came, "finite values", "mask them out with Mask")


def _require_one_dtype_and_device(operator: LinearOrDifferentiableOperator) -> None:
    for name, tensor in (*operator.named_parameters(), *operator.named_buffers()):
        if tensor.is_floating_point() and dtype_and_device(tensor) != dtype_and_device(operator._like):
            raise BadValue(
                f"{name} of {operator!r} is {dtype_and_device(tensor)}",
                f"{dtype_and_device(operator._like)} like the rest",
                "move it with operator.to()",
            )
