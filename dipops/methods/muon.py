"""Adam with a faster start."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Adam, Optimizer

from dipops.errors import require_integer, require_positive

_MOMENTUM = 0.9
_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class MuonThenAdam(Optimizer):
    """Adam, except that the weights of convolutions first move along orthogonalised momentum, as in Muon.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024: every direction of a weight moves equally
    far, those of coarse shapes and of noise alike. An image appears in few steps, and so does its noise; Adam continues at a
    pace at which the image is fitted before the noise. Parameters of four dimensions are taken for weights of convolutions.

    Args:
        params: parameters of one network, or of several that are grouped along their first dimension.
        lr, betas: of Adam.
        muon_lr: how far the weights move in a step of the start, times √(out / (in k²)) for those (out, in, k, k) where that
            is above 1.
        muon_steps: number of steps of the start.
        smooth: whether Adam gathers its moments from the first step and so continues without a jolt, which is best where y
            has no noise. Otherwise its own first steps disturb the image, and noise is kept out for longer.

    Raises:
        BadValue: a rate is not positive, or ``muon_steps`` is below 0.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.95),
        muon_lr: float = 0.05,
        muon_steps: int = 40,
        smooth: bool = False,
    ) -> None:
        for name, rate in {"lr": lr, "muon_lr": muon_lr}.items():
            require_positive(name, rate, "a rate above 0", "leave it out")
        require_integer("muon_steps", muon_steps, 0, "0 is Adam alone")
        super().__init__(params, {"lr": lr, "muon_lr": muon_lr, "muon_steps": muon_steps, "taken": 0, "members": 1})
        every = self.param_groups[0]["params"]
        self._weights = [parameter for parameter in every if parameter.ndim == 4]
        others = [parameter for parameter in every if parameter.ndim != 4]
        parts = [{"params": part} for part in (self._weights, others) if part]
        on_gpu = all(parameter.is_cuda for parameter in every)
        self._adam, self._smooth = Adam(parts, lr, betas, fused=True, capturable=on_gpu), smooth

    counter = "taken"

    @property
    def phase(self) -> str:
        """Whether the next step is of the "start" or by "Adam"."""
        (group,) = self.param_groups
        return "start" if group["taken"] < group["muon_steps"] else "Adam"

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        (group,) = self.param_groups
        starts = self.phase == "start"
        group["taken"] += 1
        if starts:
            self._start(group)
        else:
            self.state.clear()
        for part in self._adam.param_groups:  # at a rate of 0 Adam gathers moments and moves nothing
            part["lr"] = 0.0 if starts and part["params"][0].ndim == 4 else group["lr"]
        self._adam.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"adam": self._adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = dict(state_dict)
        self._adam.load_state_dict(own.pop("adam"))
        super().load_state_dict(own)

    def _start(self, group: dict[str, Any]) -> None:
        """Move the weights, those of one shape together."""
        by_shape: dict[torch.Size, list[Parameter]] = {}
        for weight in self._weights:
            if weight.grad is not None:
                by_shape.setdefault(weight.shape, []).append(weight)
        for shape, weights in by_shape.items():
            matrices = torch.stack([self._direction(weight) for weight in weights])
            matrices = matrices.reshape(len(weights) * group["members"], shape[0] // group["members"], -1)
            rows, columns = matrices.shape[1:]
            moves = orthogonalised(matrices).mul_(max(1, rows / columns) ** 0.5).reshape(len(weights), *shape)
            for weight, move in zip(weights, moves, strict=True):
                weight.add_(move, alpha=-group["muon_lr"])
                if not self._smooth:
                    weight.grad = None  # Adam then skips the weight, moments included

    def _direction(self, weight: Parameter) -> Tensor:
        """The gradient and what it was, as Nesterov looks ahead."""
        gradient = cast(Tensor, weight.grad)
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        return gradient.add(state["momentum"].mul_(_MOMENTUM).add_(gradient), alpha=_MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """U Vᵀ of each matrix U Σ Vᵀ of (B, m, n), singular values between 0.7 and 1.2 by five Newton-Schulz iterations.

    They multiply X by polynomials of X Xᵀ, which commute: only their product, as small as X Xᵀ, is iterated.
    """
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    wide = wide / wide.flatten(1).norm(dim=1).clamp(min=torch.finfo(wide.dtype).tiny)[:, None, None]
    once, thrice, five_times = _COEFFICIENTS
    gram = wide @ wide.mT
    product = identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    for _ in range(_ITERATIONS):
        factor = once * identity + thrice * gram + five_times * gram @ gram
        product, gram = factor @ product, factor @ gram @ factor
    wide = product @ wide
    return wide if matrices.shape[1] <= matrices.shape[2] else wide.mT
