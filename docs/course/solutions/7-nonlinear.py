# %% nonlinear.gamma
class Gamma(DifferentiableOperator):
    def forward(self, x):
        return x.clamp(min=0) ** 2.2


grade("nonlinear.gamma", Gamma)


# %% nonlinear.jvp
def derivative(A, x, u):
    h = 1e-5
    return (A(x + h * u) - A(x - h * u)) / (2 * h)


grade("nonlinear.jvp", derivative)


# %% nonlinear.gauss-newton
def gauss_newton_step(A, x, y):
    linearised = Problem(A.linearize(x), (y - A(x)).detach())
    start = torch.zeros(A.in_shape, dtype=x.dtype)
    return x + solve(linearised, NoPrior(start), ConjugateGradient(), progress=False).image


grade("nonlinear.gauss-newton", gauss_newton_step)


# %% nonlinear.relative-error
def relative_error(phi, x, x0):
    return (phi(x) - phi(x0)).norm() / phi(x0).norm()


grade("nonlinear.relative-error", relative_error)
