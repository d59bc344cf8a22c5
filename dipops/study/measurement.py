"""The measurement of a run."""

from dipops.problem import Problem


def drawn(problem: Problem, noise_seed: int | None) -> Problem:
    """The problem with a y that is drawn from the ground truth with this seed; as it is for None."""
    if noise_seed is None:
        return problem
    assert problem.truth is not None
    assert problem.noise is not None
    return Problem.simulate(problem.operator, problem.truth, problem.noise, seed=noise_seed, weights=problem.weights)
