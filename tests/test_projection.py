"""Data consistency: the nearest image that satisfies Ax = y."""

from functools import partial

import pytest
import torch

from dipops import (
    Descent,
    FiniteDifferences,
    Identity,
    LanczosDownsampler,
    Mask,
    NoPrior,
    Problem,
    TotalVariation,
    images,
    masks,
    metrics,
    project,
    recipes,
    solve,
    stack,
)
from dipops.errors import BadValue, NotLinear
from dipops.operators.interface import DifferentiableOperator, LinearOperator
from dipops.recipes import Recipe
from dipops.testing.examples import EXAMPLES

SHAPE = (2, 9, 12)


class Bright(Mask):
    """A mask with a forward of its own: pasting would be wrong."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return 2 * super().adjoint(y)


def operators() -> dict[str, LinearOperator]:
    mask = (torch.rand(9, 12, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    return {
        "identity": Identity(SHAPE),
        "mask": Mask(mask, channels=2),
        "mask with its own forward": Bright(mask, channels=2),
        "downsampler": LanczosDownsampler(SHAPE, 3),
        "mask of a downsampler": Mask(mask[:3, :4], channels=2) @ LanczosDownsampler(SHAPE, 3),
        "tall": stack(LanczosDownsampler(SHAPE, 3), Identity(SHAPE)),
        "without full rank": FiniteDifferences(SHAPE),
    }


@pytest.mark.parametrize("name", operators())
def test_the_projection_is_the_one_of_the_dense_matrix(name: str) -> None:
    operator = operators()[name].double()
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    y = operator(torch.rand(2, *SHAPE, dtype=torch.float64))
    matrix = operator.matrix()
    problem = Problem(operator, y)
    projected = project(problem, x)
    correction = (y.flatten(1) - operator(x).flatten(1)) @ torch.linalg.pinv(matrix).T
    torch.testing.assert_close(projected, x + correction.view_as(x), rtol=1e-7, atol=1e-7)
    assert float(problem.data_psnr(projected).min()) > 140
    torch.testing.assert_close(project(problem, projected), projected, rtol=1e-7, atol=1e-7)


def test_every_linear_operator_can_be_projected_on(device: torch.device) -> None:
    for name in EXAMPLES if device.type == "cpu" else ("LanczosDownsampler", "Mask"):
        operator = EXAMPLES[name]((3, 9, 13), torch.Generator().manual_seed(0)).to(device)
        if isinstance(operator, LinearOperator):
            x, other = torch.rand(2, 1, *operator.in_shape, device=device)
            problem = Problem(operator, operator(other))
            before, after = problem.data_psnr(x), problem.data_psnr(project(problem, x))
            assert float(after) > max(float(before), 60), name


def test_every_result_has_its_data_psnr_and_objective() -> None:
    problem = Problem.simulate(LanczosDownsampler((3, 32, 32), 2), images.portrait(32), 0, seed=3).repeat(2)
    for prior in (NoPrior(), TotalVariation(0.01)):
        result = solve(problem, prior, steps=30, progress=False)
        assert result.data_psnr.equal(problem.data_psnr(result.image))
        assert result.objective.equal(problem.data_term(result.image) + prior.value(result.image))


PROJECTING = {
    "upscale": (recipes.upscale(2), LanczosDownsampler((3, 40, 44), 2)),
    "inpaint": (recipes.inpaint_random(), Mask(masks.random((40, 44), keep=0.5), channels=3)),
}


@pytest.mark.parametrize("name", PROJECTING)
def test_a_recipe_projects_where_there_is_no_noise(name: str) -> None:
    recipe, operator = PROJECTING[name]
    x = images.portrait(64)[:, :40, :44]
    clean = recipe.solve(Problem.simulate(operator, x, 0), steps=2, progress=False)
    noisy = recipe.solve(Problem.simulate(operator, x, 0.1), steps=2, progress=False)
    assert clean.projected
    assert float(clean.data_psnr) > 80
    assert float(clean.objective) < 1e-4
    assert not noisy.projected
    assert float(noisy.data_psnr) < 40


class Faint(LinearOperator):
    """Two pixels, of which the second is measured a thousand times weaker."""

    def __init__(self) -> None:
        super().__init__((2,))
        self.gains = torch.tensor([1.0, 1e-3])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gains * x


def test_a_recipe_projects_each_member_by_itself() -> None:
    y = torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    recipe = Recipe(NoPrior(initial=torch.zeros(2)), Descent(partial(torch.optim.Adam, lr=1e-6)), 1, (), "", projects=True)
    result = recipe.solve(Problem(Faint(), y, 0), progress=False)
    assert result.projected.tolist() == [True, False]
    for member in range(2):
        alone = recipe.solve(Problem(Faint(), y[member], 0), progress=False)
        torch.testing.assert_close(result.image[member], alone.image[0])


def test_projection_brings_an_image_nearer_to_the_ground_truth() -> None:
    x = images.portrait(64)
    operator = LanczosDownsampler(x.shape, 4)
    guess = images.resize(images.resize(x, (16, 16)), (64, 64))[None]
    better = project(Problem.simulate(operator, x, 0), guess)
    assert float(metrics.psnr(better, x[None])) > float(metrics.psnr(guess, x[None]))


def test_project_refuses() -> None:
    class Square(DifferentiableOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square()

    x = torch.rand(1, *SHAPE)
    with pytest.raises(NotLinear, match="leave the fit of a nonlinear operator to solve"):
        project(Problem(Square(SHAPE), x), x)
    with pytest.raises(BadValue, match="x has shape"):
        project(Problem(Identity(SHAPE), x), x[:, :1])
    with pytest.raises(BadValue, match="1 images for 2 measurements"):
        project(Problem(Identity(SHAPE), torch.cat([x, x])), x)


def test_what_a_mask_hides_counts_nowhere() -> None:
    mask = (torch.rand(9, 12, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    operator, x = Mask(mask, channels=2), torch.rand(1, *SHAPE)
    junk = operator(x) + 5 * (1 - mask)
    problem = Problem(operator, junk)
    assert problem.data_psnr(project(problem, torch.rand(1, *SHAPE))).isinf()
    assert not (Problem.simulate(operator, x, 0.1).y * (1 - mask)).any()
