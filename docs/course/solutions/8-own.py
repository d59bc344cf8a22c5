# %% own.operator
class Mine(LinearOperator):
    """Motion blur: every pixel is smeared along its row."""

    def __init__(self, in_shape):
        super().__init__(in_shape)
        self.kernel = torch.full((in_shape[0], 1, 1, 5), 1 / 5)

    def forward(self, x):
        return F.conv2d(x, self.kernel, groups=len(self.kernel))


grade("own.operator", Mine)


# %% own.explain
def hidden(A):
    matrix = A.double().matrix()
    return matrix.shape[1] - int(torch.linalg.matrix_rank(matrix))


grade("own.explain", hidden)


# %% own.restore
def restore(problem):
    return tune(problem, TotalVariation, SURE(), progress=False).result.image


grade("own.restore", restore)


# %% own.fair
def fair(problem):
    from dataclasses import replace

    from dipops import NoPrior

    tuned = tune(problem, TotalVariation, Discrepancy(), progress=False)
    network = replace(recipes.restore(), steps=150)
    priors = {"none": NoPrior(), "TV": tuned.recipe, "DIP": network}
    comparison = compare(problem, priors, progress=False)
    restored = {name: result.image for name, result in comparison.results.items()}
    return restored, {"TV": ("TotalVariation", "Discrepancy", tuned.weight)}


grade("own.fair", fair)
