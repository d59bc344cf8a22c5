"""Operators of SciPy, PyLops and deepinv as operators of dipops, and the other way round; each is imported when it is needed.

What comes is an operator like any other: test it with :func:`dipops.check`, combine it by algebra, solve with it.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from math import prod
from typing import Any

from torch import Tensor

from dipops.errors import BadType, BadValue, require_instance, require_integer, safe_repr
from dipops.noise import Gaussian, Laplace, Noise, Poisson
from dipops.operators import LinearOperator, LinearOrDifferentiableOperator, stack
from dipops.operators.checks import image_shape
from dipops.operators.columns import ColumnOperator, own_matrix
from dipops.operators.physics import LinearPhysicsMap, NonlinearPhysicsMap, OperatorMap, real_measurement, shape_of_image
from dipops.problem import Problem
from dipops.recipes import Recipe

__all__ = ["from_deepinv", "from_pylops", "from_scipy", "to_deepinv", "to_pylops", "to_reconstructor"]


def from_scipy(
    operator: Any, in_shape: Sequence[int], out_shape: Sequence[int] | None = None, channels: int | None = None
) -> LinearOperator:
    """A SciPy LinearOperator, a sparse matrix or an array M as the operator that multiplies flattened images by M.

    Images are real; where M is complex, measurements have a last axis of 2, real and imaginary part. It computes on the CPU.
    ``check(A, precision="single")`` is for an M that rounds to float32.

    ASTRA: ``from_scipy(astra.OpTomo(projector), (1, H, W), (angles, detectors))``, in single precision. The adjoint of its GPU
    projectors is not exact, as ``check`` says.

    ODL: ``from_scipy(odl.operator.oputils.as_scipy_operator(T), T.domain.shape, T.range.shape)``. Its adjoint is that of inner
    products weighted by the volume of a cell, and ``check`` finds a factor: make both spaces with ``weighting=1.0``.

    Args:
        operator: M, with a column for each value of an image; a LinearOperator needs rmatvec or rmatmat.
        in_shape: of one image, in C order, such as (1, H, W).
        out_shape: of one measurement; by default one axis, a row of M each.
        channels: M acts on each of so many channels by itself. in_shape (H, W) with channels=3 takes images (3, H, W), and with
            channels=1 (1, H, W): out_shape gets the same axis. By default the shapes are as given.

    Raises:
        BadType: it is none of these, works on no NumPy arrays, has no adjoint, or maps complex images to real measurements.
        BadValue: the shapes are not those of M.
    """
    name = type(operator).__name__.lstrip("_")
    operator = own_matrix(operator)
    if not (hasattr(operator, "matmat") and hasattr(operator, "rmatmat")):
        try:
            operator = _package("scipy.sparse.linalg").aslinearoperator(operator)
        except (AttributeError, TypeError, ValueError) as error:
            expected = "a SciPy LinearOperator, a sparse matrix or an array of two axes"
            raise BadType(f"a {name}", expected, "write tensor.numpy(); from_pylops and from_deepinv take others") from error
    one, measured = image_shape(in_shape), image_shape(operator.shape[:1] if out_shape is None else out_shape)
    for role, shape, size in (("in_shape", one, operator.shape[1]), ("out_shape", measured, operator.shape[0])):
        if prod(shape) != size:
            came = f"{role} {shape}, {prod(shape)} values, for a matrix of {operator.shape[0]} x {operator.shape[1]}"
            each = "write the shapes of one channel, and channels=3, if it acts on each of three"
            raise BadValue(came, f"{size} values", "look at its shape" if prod(shape) % size else each)
    front = () if channels is None else (require_integer("channels", channels, 1, "leave it out for the shapes as given"),)
    return ColumnOperator(operator, (*front, *one), (*front, *measured), name)


def from_pylops(operator: Any, channels: int | None = 1) -> LinearOperator:
    """A PyLops operator, from images (channels, *dims) to measurements (channels, *dimsd), on each channel by itself.

    Args:
        operator: a ``pylops.LinearOperator`` on NumPy arrays; complex numbers are as for ``from_scipy``.
        channels: how many; None for images of shape dims, where it acts on all channels.

    Raises:
        BadType: it is none of PyLops, works on arrays of a GPU, or maps complex images to real measurements.
    """
    advice = "from_scipy takes SciPy's operators and matrices"
    require_instance(operator, _package("pylops").LinearOperator, "operator", "an operator of PyLops", advice)
    return from_scipy(operator, operator.dims, operator.dimsd, channels)


def to_pylops(operator: LinearOperator) -> Any:
    """A linear operator as a ``pylops.LinearOperator`` with the dims in_shape and the dimsd out_shape.

    Raises:
        BadType: it is no linear operator of dipops.
    """
    advice = "A.linearize(x) is one"
    require_instance(operator, LinearOperator, "operator", "a LinearOperator of dipops", advice)
    shapes = {"dims": operator.in_shape, "dimsd": operator.out_shape}
    return _package("pylops").LinearOperator(operator.scipy(), **shapes, name=type(operator).__name__)


def from_deepinv(physics: Any, in_shape: Sequence[int]) -> LinearOrDifferentiableOperator:
    """The map A of a deepinv physics, without its noise and sensor; a StackedPhysics becomes the stack of its parts.

    The operator has a copy of the physics. Its adjoint is that of automatic differentiation, whatever ``A_adjoint`` does. That
    of ``Tomography(adjoint_via_backprop=False)`` is wrong, and what needs it refuses the operator. Complex measurements get a
    last axis of 2.

    Args:
        physics: a ``deepinv.physics.Physics`` from one tensor to one tensor.
        in_shape: of one image, such as (1, H, W); (2, H, W) for MRI.

    Raises:
        BadType: it is no physics, or gives something else than a tensor.
        BadValue: it fails on an image of this shape.
    """
    deepinv = _package("deepinv.physics")
    require_instance(physics, deepinv.Physics, "physics", "a deepinv.physics.Physics", "to_deepinv makes one of an operator")
    if isinstance(physics, deepinv.StackedPhysics):
        return stack(*(from_deepinv(part, in_shape) for part in physics.physics_list))
    return (LinearPhysicsMap if isinstance(physics, deepinv.LinearPhysics) else NonlinearPhysicsMap)(physics, in_shape)


def to_deepinv(operator: LinearOrDifferentiableOperator, noise: Noise | float | None = None) -> Any:
    """An operator as a deepinv physics, a LinearPhysics where it is linear; it holds the operator, and ``.to()`` moves both.

    Args:
        operator: A.
        noise: ``Gaussian`` or its σ, ``Laplace``, or ``Poisson``, whose gain in deepinv is 1 / peak; None for no noise.

    Raises:
        BadType: it is no operator of dipops, or the noise is none that deepinv has.
    """
    expected = "an operator of dipops"
    require_instance(operator, LinearOrDifferentiableOperator, "operator", expected, "from_deepinv goes the other way")
    deepinv, device = _package("deepinv.physics"), operator._like.device
    both = {"A": OperatorMap(operator), "noise_model": _noise_model(deepinv, noise)}
    if isinstance(operator, LinearOperator):
        return deepinv.LinearPhysics(**both, A_adjoint=OperatorMap(operator.T), img_size=operator.in_shape, device=device)
    return deepinv.Physics(**both).to(device)


def to_reconstructor(recipe: Recipe, seed: int = 0) -> Any:
    """A recipe as a ``deepinv.models.Reconstructor``: ``model(y, physics)`` solves for a batch, as in ``deepinv.test``.

    The noise is that of the physics where dipops has it, and with ZeroNoise y is exact. The shape of an image is that of
    ``physics.A_adjoint(y)``, or ``physics.img_size`` where it is not linear.

    Raises:
        BadType: it is no recipe.
    """
    require_instance(recipe, Recipe, "recipe", "a recipe", "write recipes.restore(), say")
    return _reconstructor()(recipe, seed)


@cache
def _reconstructor() -> Any:
    class RecipeReconstructor(_package("deepinv.models").Reconstructor):
        def __init__(self, recipe: Recipe, seed: int) -> None:
            super().__init__()
            self.recipe, self.seed = recipe, seed

        def forward(self, y: Any, physics: Any, **keywords: Any) -> Tensor:
            given = getattr(physics, "forw", None)
            ours = isinstance(given, OperatorMap)
            operator = given.operator if ours else from_deepinv(physics, shape_of_image(physics, y))
            problem = Problem(operator, real_measurement(y), _noise(physics))
            return self.recipe.solve(problem, seed=self.seed, progress=False).image

    return RecipeReconstructor


_NOISES = {Gaussian: ("GaussianNoise", "sigma", 0.5), Laplace: ("LaplaceNoise", "b", 1), Poisson: ("PoissonNoise", "gain", 1)}
"""deepinv's name of a noise and of its parameter, which is a power of the temperature."""


def _noise_model(deepinv: Any, noise: Noise | float | None) -> Any:
    if noise is None:
        return deepinv.ZeroNoise()
    noise = noise if isinstance(noise, Noise) else Gaussian(noise)
    if type(noise) not in _NOISES or (isinstance(noise, Poisson) and noise.background):
        expected = "Gaussian, Laplace, or Poisson without background"
        raise BadType(f"{safe_repr(noise)} for deepinv", expected, "write physics.set_noise_model(...) with one of deepinv's")
    name, _, power = _NOISES[type(noise)]
    return getattr(deepinv, name)(noise.temperature**power)


def _noise(physics: Any) -> Noise | float | None:
    """The noise of a physics, 0 for none, or None where dipops does not have it."""
    model = getattr(physics, "noise_model", None)
    for kind, (name, parameter, _) in _NOISES.items():
        if type(model).__name__ == name and getattr(model, parameter).numel() == 1 and getattr(model, "normalize", True):
            level = float(getattr(model, parameter))
            return kind(1 / level if kind is Poisson else level)
    return 0.0 if type(model).__name__ == "ZeroNoise" else None


def _package(name: str) -> Any:
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ImportError as error:
        raise BadValue(f"no package {package}", f"{package} beside dipops", f"pip install {package}") from error
