"""What is done to answers at last: the bias of clipped noise undone, and Ax = y where y is free of noise."""

import torch
from torch import Tensor

from dipops._tools.batches import per_image, power
from dipops.methods import project
from dipops.operators import LinearOperator, measures_pixels
from dipops.problem import Problem

_AMPLIFICATION = 10.0


def debiasable(problem: Problem) -> Tensor:
    """Of which members the bias of clipped noise can be undone: where y measures the pixels, and is clipped, (N,)."""
    return torch.tensor(problem.is_clipped) & measures_pixels(problem.operator)


def debias(problem: Problem, image: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, *in_shape) corrected for clipped noise where that can be done, and of which members it was, (N,)."""
    clipped = debiasable(problem)
    return problem.by_noise(lambda noise: noise.debias(image)) if bool(clipped.any()) else image, clipped


def is_exact(problem: Problem) -> bool:
    """Whether an answer is to satisfy Ax = y: y has no noise, and A is linear."""
    return problem.is_noise_free and isinstance(problem.operator, LinearOperator)


def satisfy_data(problem: Problem, image: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, *in_shape) moved to where Ax = y, if y is free of noise, and which members were moved, (N,).

    A member stays where the move would amplify an error.
    """
    operator = problem.operator
    if not is_exact(problem):
        return image, torch.zeros(len(image), dtype=torch.bool)
    assert isinstance(operator, LinearOperator)
    moved = project(problem, image)
    residual = power(problem.weighted(operator(image) - problem.y)).sqrt()
    near = operator.norm() * power(moved - image).sqrt() <= _AMPLIFICATION * residual
    return torch.where(per_image(near, moved), moved, image), near.cpu()
