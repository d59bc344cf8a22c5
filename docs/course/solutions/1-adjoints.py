# %% adjoints.shift
class Shift(LinearOperator):
    def forward(self, x):
        return F.pad(x[..., :-1], (1, 0))


grade("adjoints.shift", Shift)


# %% adjoints.shift-adjoint
def shift_adjoint(y):
    return F.pad(y[..., 1:], (0, 1))


grade("adjoints.shift-adjoint", shift_adjoint)


# %% adjoints.dot-test
def dot_test(A, x, y):
    Ax, Aty = A(x), A.adjoint(y)
    return ((Ax * y).sum() - (x * Aty).sum()).abs() / (Ax.norm() * y.norm())


grade("adjoints.dot-test", dot_test)


# %% adjoints.average
class Average(LinearOperator):
    def forward(self, x):
        return F.avg_pool2d(x, 2)

    def adjoint(self, y):
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2) / 4


grade("adjoints.average", Average)


# %% adjoints.composition
def adjoint_of_product(A, B, y):
    return B.adjoint(A.adjoint(y))


grade("adjoints.composition", adjoint_of_product)
