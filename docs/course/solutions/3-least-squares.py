# %% least-squares.gradient
def gradient(A, x, y):
    return A.adjoint(A(x) - y)


grade("least-squares.gradient", gradient)


# %% least-squares.landweber
def landweber(A, y, steps):
    x = torch.zeros(1, *A.in_shape, dtype=y.dtype)
    length = 1 / A.norm() ** 2
    for _ in range(steps):
        x = x - length * A.adjoint(A(x) - y)
    return x


grade("least-squares.landweber", landweber)


# %% least-squares.semi-convergence
def psnr_after_each_step(problem, steps):
    start = torch.zeros(problem.operator.in_shape)
    return solve(problem, NoPrior(start), ConjugateGradient(), steps=steps, progress=False).trace["psnr"][:, 0]


grade("least-squares.semi-convergence", psnr_after_each_step)


# %% least-squares.discrepancy
def stop(residuals, sigma):
    return next((step for step, residual in enumerate(residuals, 1) if residual <= sigma), None)


grade("least-squares.discrepancy", stop)


# %% least-squares.tikhonov
def tikhonov(A, y, mu):
    return solve(Problem(A, y), Tikhonov(mu), progress=False).image


grade("least-squares.tikhonov", tikhonov)
