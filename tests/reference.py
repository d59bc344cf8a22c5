"""The minimum of a convex problem by a generic solver: cvxpy on dense matrices, with differences by NumPy."""

from typing import Any

import numpy as np
import pytest

from dipops import Laplace, LinearOperator, Poisson, Problem, Tikhonov, TotalVariation
from dipops.priors import ProximalPrior

try:
    import cvxpy
except ImportError:
    cvxpy: Any = None


def minimum(problem: Problem, prior: ProximalPrior, exact: bool = False) -> tuple[float, np.ndarray]:
    """The least D(Ax, y) + R(x), or with ``exact`` the least R(x) where Ax = y, of one member; and its image, flat."""
    pytest.importorskip("cvxpy")
    operator = problem.operator
    assert isinstance(operator, LinearOperator)
    y = problem.y.flatten().double().numpy()
    w = np.ones(len(y)) if problem.weights is None else problem.weights.flatten().double().numpy()
    measured = np.flatnonzero(w)
    x = cvxpy.Variable(int(np.prod(operator.in_shape)))
    ax, y, w = operator.matrix().double().numpy()[measured] @ x, y[measured], w[measured]
    cost, constraints = penalty(x, operator.in_shape, prior), [x >= 0, x <= 1] if prior.box else []
    if exact:
        constraints.append(ax == y)
    else:
        cost = cost + data_term(problem, ax, y, w)
    least = cvxpy.Problem(cvxpy.Minimize(cost), constraints).solve(solver="CLARABEL")
    return float(least), np.asarray(x.value)  # pyright: ignore[reportArgumentType]


def data_term(problem: Problem, ax: Any, y: np.ndarray, w: np.ndarray) -> Any:
    """D at Ax, with weights w above 0."""
    noise = problem.noise
    if isinstance(noise, Poisson):
        z = ax + noise.background
        logs = np.where(y > 0, y * np.log(np.maximum(y, np.finfo(float).tiny)), 0)
        return w @ z - cvxpy.sum(cvxpy.multiply(w * y, cvxpy.log(z))) + w @ (logs - y)
    return w @ cvxpy.abs(ax - y) if isinstance(noise, Laplace) else 0.5 * w @ cvxpy.square(ax - y)


def penalty(x: Any, shape: tuple[int, ...], prior: ProximalPrior) -> Any:
    """R of a flat image."""
    if isinstance(prior, Tikhonov):
        return 0.5 * prior.weight * cvxpy.sum_squares(x if prior.operator is None else prior.operator.matrix().numpy() @ x)
    assert isinstance(prior, TotalVariation)
    parts = [matrix @ x for matrix in differences(shape)]
    if not prior.isotropic:
        return prior.weight * cvxpy.sum([cvxpy.norm1(part) for part in parts])
    if prior.coupled and len(shape) > 2:
        pixels = int(np.prod(shape[1:]))
        parts = [part[c * pixels : (c + 1) * pixels] for part in parts for c in range(shape[0])]
    return prior.weight * cvxpy.sum(cvxpy.norm(cvxpy.vstack(parts), 2, axis=0))


def differences(shape: tuple[int, ...]) -> np.ndarray:
    """The differences along each axis of space as matrices, (axes, pixels, pixels)."""
    size = int(np.prod(shape))
    units = np.eye(size).reshape(size, *shape)
    first = 2 if len(shape) > 2 else 1
    parts = [np.diff(units, axis=axis, append=units.take([-1], axis)) for axis in range(first, units.ndim)]
    return np.stack([part.reshape(size, size).T for part in parts])
