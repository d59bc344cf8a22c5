"""Matrices, factors and random measurements."""

import numpy as np
import pytest
import torch

from dipops import Problem, TotalVariation, images, metrics, solve
from dipops.errors import BadType, BadValue
from dipops.operators import Diagonal, Matrix, RandomMeasurements


def test_a_matrix_is_itself() -> None:
    dense = np.random.default_rng(0).standard_normal((4, 6))
    operator = Matrix(torch.from_numpy(dense), (2, 3))
    assert operator.out_shape == (4,)
    np.testing.assert_allclose(operator.matrix().numpy(), dense, atol=1e-15)
    assert Matrix(np.ones((1, 2), dtype=int), (2,))(torch.ones(1, 2)).item() == 2, "arrays get the default dtype"


def test_a_matrix_is_copied() -> None:
    dense = torch.eye(3)
    operator = Matrix(dense, (3,))
    dense.zero_()
    assert operator.entries.equal(torch.eye(3))


def test_factors_are_shared_by_channels() -> None:
    factors, x = torch.tensor([[1.0, 2.0], [0.0, -3.0]]), torch.rand(2, 3, 2, 2)
    assert Diagonal((3, 2, 2), factors)(x).equal(x * factors)
    assert Diagonal((3, 2, 2), factors).norm() == 3
    known = Diagonal((2, 2), factors).known
    assert known is not None
    assert known.equal(factors != 0)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5)])
def test_random_measurements_are_orthonormal(shape: tuple[int, ...]) -> None:
    rows = RandomMeasurements(shape, 6).double().matrix()
    torch.testing.assert_close(rows @ rows.T, torch.eye(6, dtype=torch.float64))
    assert not rows.equal(RandomMeasurements(shape, 6, seed=1).double().matrix())


def test_half_of_the_measurements_are_enough_for_a_piecewise_smooth_image() -> None:
    x = torch.zeros(1, 32, 32)
    x[:, 8:20, 6:25] = 0.8
    operator = RandomMeasurements(x.shape, 512)
    problem = Problem.simulate(operator, x, 0.01)
    least = operator.T(problem.y)
    restored = solve(problem, TotalVariation(0.002), progress=False).image
    assert metrics.psnr(restored, x) > metrics.psnr(least, x) + 15


def test_measurements_of_a_photograph_take_no_matrix() -> None:
    operator = RandomMeasurements((3, 256, 256), 50_000)
    assert sum(buffer.numel() for buffer in operator.buffers()) < 300_000
    x = images.portrait(256)
    torch.testing.assert_close(operator(x[None]).norm() * (196_608 / 50_000) ** 0.5, x.norm(), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Matrix(torch.rand(3, 5), (2, 2)), r"a matrix of shape \(3, 5\) for images \(2, 2\); expected \(m, 4\)"),
        (lambda: Matrix(torch.rand(3, 4) * 1j, (2, 2)), "complex64"),
        (lambda: Matrix(torch.full((3, 4), torch.inf), (2, 2)), "NaN or infinite"),
        (lambda: Matrix("rows", (2, 2)), "matrix = 'rows'; expected a tensor or an array"),
        (lambda: Diagonal((3, 8, 8), torch.rand(7, 8)), r"factors of shape \(7, 8\)"),
        (lambda: RandomMeasurements((2, 2), 5), "m = 5 measurements of 4 values"),
        (lambda: RandomMeasurements((2, 2), 0), "m = 0"),
        (lambda: RandomMeasurements((2, 2), 1.5), "m = 1.5"),
    ],
)
def test_bad_matrices_are_refused(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()
