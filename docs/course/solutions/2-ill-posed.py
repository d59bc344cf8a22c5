# %% ill-posed.null-image
def null_image(A):
    _, _, rows = torch.linalg.svd(A.matrix())
    return rows[-1].view(A.in_shape)


grade("ill-posed.null-image", null_image)


# %% ill-posed.condition-number
def condition_number(A):
    values = torch.linalg.svdvals(A.matrix())
    return values[0] / values[-1]


grade("ill-posed.condition-number", condition_number)


# %% ill-posed.pseudo-inverse
def pseudo_inverse(A, y):
    U, S, Vt = torch.linalg.svd(A.matrix(), full_matrices=False)
    nonzero = S > 1e-10 * S[0]
    x = Vt[nonzero].T @ ((U[:, nonzero].T @ y.flatten()) / S[nonzero])
    return x.view(1, *A.in_shape)


grade("ill-posed.pseudo-inverse", pseudo_inverse)


# %% ill-posed.picard
def picard(A, y):
    U, S, _ = torch.linalg.svd(A.matrix(), full_matrices=False)
    return (U.T @ y.flatten()).abs() / S


grade("ill-posed.picard", picard)


# %% ill-posed.truncated
def truncated(A, y, k):
    U, S, Vt = torch.linalg.svd(A.matrix(), full_matrices=False)
    x = Vt[:k].T @ ((U[:, :k].T @ y.flatten()) / S[:k])
    return x.view(1, *A.in_shape)


grade("ill-posed.truncated", truncated)


# %% ill-posed.gcv
def gcv(A, y):
    U, _, _ = torch.linalg.svd(A.matrix(), full_matrices=False)
    squares = (U.T @ y.flatten()).square()
    counts = torch.arange(1, min(len(squares) + 1, y.numel()))
    residuals = (y.square().sum() - squares.cumsum(0)[: len(counts)]).clamp(min=0)
    return int((residuals / (y.numel() - counts) ** 2).argmin()) + 1


grade("ill-posed.gcv", gcv)
