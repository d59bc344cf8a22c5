"""Wrong operators, each after a bug that real libraries have had, with the words that the report of ``check`` must contain."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dipops import DifferentiableOperator, LinearOperator

SHAPE = (3, 7, 9)


class Blur(LinearOperator):
    """A right operator, the base of wrong ones: an uneven blur that keeps the size."""

    def __init__(self, in_shape: Sequence[int] = SHAPE) -> None:
        super().__init__(in_shape)
        taps = torch.tensor([[0.1, 0.2, 0.05], [0.15, 0.3, 0.02], [0.0, 0.08, 0.1]])
        self.kernel = taps.expand(self.in_shape[0], 1, 3, 3).clone()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=1, groups=len(self.kernel))

    def right(self, y: Tensor) -> Tensor:
        return F.conv_transpose2d(y, self.kernel, padding=1, groups=len(self.kernel))


class Scaled(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        return 4 * self.right(y)


class Mirrored(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y).flip(-1)


class OneOff(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y).roll(1, -2)


class Swapped(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y)[:, [1, 0, 2]]


class HalfBorder(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        back = self.right(y)
        weight = torch.full_like(back, 0.5)
        weight[..., 1:-1, 1:-1] = 1
        return back * weight


class NotFlipped(Blur):
    """Convolves with the same kernel instead of the flipped one."""

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)


class MeanStack(Blur):
    """Two measurements whose adjoint takes the mean where the sum belongs."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super().forward(x), x], dim=1)

    def adjoint(self, y: Tensor) -> Tensor:
        first, second = y.split(self.in_shape[0], dim=1)
        return torch.stack([self.right(first), second]).mean(0)


class WrongShape(Blur):
    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y)[..., 1:]


class Remembers(LinearOperator):
    """A mask made from the first image that it is applied to."""

    mask: Tensor | None

    def __init__(self, in_shape: Sequence[int] = SHAPE) -> None:
        super().__init__(in_shape)
        self.mask = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = (x[:1] > 0.3).to(x)
        return x * self.mask


class Random(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand_like(x)


class Counts(LinearOperator):
    """Right, but it counts its calls."""

    def __init__(self, in_shape: Sequence[int] = SHAPE) -> None:
        super().__init__(in_shape)
        self.calls = [0]

    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] += 1
        return x.clone()


class InPlace(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        x[..., 0] = 0
        return x.clone()


class Coupled(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True) if len(x) > 1 else x.clone()


class Affine(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


class Squares(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class HiddenKernel(LinearOperator):
    def __init__(self, in_shape: Sequence[int] = SHAPE) -> None:
        super().__init__(in_shape)
        self.kernels = [torch.ones(1)]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kernels[0]


class SinglePrecision(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.float() * 2


class WrongNorm(Blur):
    def norm(self) -> float:
        return 2.0


class WrongVjp(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return 2 * v * x.cos()


class WrongJvp(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return 1.01 * u * x.cos()


class Loses(Blur):
    """Forgets its kernel when it is copied."""

    def __deepcopy__(self, memo: dict) -> "Loses":
        copy = Loses(self.in_shape).to(self.kernel)
        copy.kernel = self.kernel * (0.5 if self.kernel.dtype == torch.float64 else 1)
        return copy


class SingleKernel(Blur):
    """A constant of the default dtype, created in each call."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = torch.ones(self.in_shape[0], 1, 3, 3, device=x.device)
        return F.conv2d(x, kernel, padding=1, groups=self.in_shape[0])


class DoubleAdjoint(Blur):
    """Its adjoint multiplies by a float64 constant."""

    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y) * torch.ones(1, dtype=torch.float64, device=y.device)


class EitherKernel(Blur):
    """A float32 and a float64 constant, so that it works in no dtype."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = torch.ones(self.in_shape[0], 1, 3, 3, device=x.device)
        kernels = kernel, kernel.double()
        return F.conv2d(F.conv2d(x, kernels[0], groups=self.in_shape[0]), kernels[1], padding=2, groups=self.in_shape[0])


class DoubleKernelBack(Blur):
    """Its adjoint takes a float64 kernel, which no float32 image fits."""

    def adjoint(self, y: Tensor) -> Tensor:
        kernel = torch.ones(self.in_shape[0], 1, 3, 3, device=y.device, dtype=torch.float64)
        return F.conv2d(y, kernel, padding=1, groups=self.in_shape[0])


class SingleKernelBack(Blur):
    """Its adjoint takes a float32 kernel, which no float64 image fits."""

    def adjoint(self, y: Tensor) -> Tensor:
        kernel = torch.ones(self.in_shape[0], 1, 3, 3, device=y.device)
        return F.conv2d(y, kernel, padding=1, groups=self.in_shape[0])


class SingleKernelOfSines(DifferentiableOperator):
    """A float32 constant in an operator that is not linear, whose images depend on what it gives."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x.sin(), torch.ones(self.in_shape[0], 1, 3, 3, device=x.device), groups=self.in_shape[0])


class Rounds(Blur):
    """Its adjoint goes through float32."""

    def adjoint(self, y: Tensor) -> Tensor:
        return self.right(y).float().to(y)


class WantsContiguous(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)[:, ::2]


class Clamps(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(-5, 5)


class ClampsInPlace(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_(0, 1) * 1


class ForgetsMask(LinearOperator):
    """Measures the inside only, and its adjoint leaves the border in."""

    def forward(self, x: Tensor) -> Tensor:
        inside = torch.zeros_like(x)
        inside[..., 1:-1, 1:-1] = 1
        return x * inside

    def adjoint(self, y: Tensor) -> Tensor:
        return y.clone()


class CutsGraph(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.detach()


class Seeds(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return x * torch.rand(x.shape[1:]).to(x)


class WrongGram(Blur):
    @property
    def gram(self) -> LinearOperator:
        return self.T @ self * 3


class WrongLinearize(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()

    def linearize(self, x: Tensor) -> LinearOperator:
        return 2 * super().linearize(x)


class AbsWithoutSign(DifferentiableOperator):
    def forward(self, x: Tensor) -> Tensor:
        return x.abs()

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return v.clone()


ZOO: dict[type, tuple[str, str]] = {
    Scaled: ("adjoint", "scaled by 4"),
    Mirrored: ("adjoint", "mirrored along axis 2"),
    OneOff: ("adjoint", "one pixel off along axis 1 (moved by 1)"),
    Swapped: ("adjoint", "channels swapped"),
    HalfBorder: ("adjoint", "on the border, where its weight is about 0.5"),
    NotFlipped: ("adjoint", "looks like forward itself"),
    MeanStack: ("adjoint", "scaled by 0.5"),
    WrongShape: ("shape", "adjoint gives (2, 3, 7, 8) instead of (2, 3, 7, 9)"),
    Remembers: ("purity", "applying it changes mask: it remembers"),
    Random: ("purity", "remembers or is random"),
    Counts: ("purity", "applying it changes calls"),
    InPlace: ("purity", "changes its input"),
    Coupled: ("batch", "influence each other"),
    Affine: ("linearity", "affine"),
    Squares: ("linearity", "inherit from DifferentiableOperator"),
    HiddenKernel: ("movable", "HiddenKernel.kernels is a list that holds tensors"),
    SinglePrecision: ("dtype", "torch.float64 in, torch.float32 out of forward"),
    SingleKernel: ("dtype", "in float64 forward raises"),
    WrongNorm: ("norm", "norm() is 2, the largest singular value"),
    WrongVjp: ("gradient", "the vjp looks scaled by 2"),
    WrongJvp: ("taylor", "jvp is not the derivative"),
    DoubleAdjoint: ("dtype", "torch.float64 out of adjoint"),
    EitherKernel: ("dtype", "in float32 forward raises"),
    DoubleKernelBack: ("dtype", "in float32 adjoint raises"),
    SingleKernelBack: ("dtype", "in float64 adjoint raises"),
    SingleKernelOfSines: ("dtype", "in float64 forward raises"),
    Rounds: ("adjoint", "it computes in float32 inside"),
    WantsContiguous: ("layout", "use reshape"),
    Clamps: ("linearity", "inherit from DifferentiableOperator"),
    ClampsInPlace: ("purity", "changes its input"),
    ForgetsMask: ("adjoint", "wrong on the border, where it should be 0"),
    CutsGraph: ("autograd", "forward leaves PyTorch (its output has no graph, as after detach() or no_grad())"),
    Seeds: ("purity", "the global random state"),
    WrongGram: ("adjoint", "gram is not"),
    WrongLinearize: ("gradient", "linearize(x) is not the Jacobian"),
    AbsWithoutSign: ("gradient", "vjp"),
    Loses: ("copies", "deepcopy changes"),
}
