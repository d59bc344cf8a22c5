# %% variation.total-variation
def total_variation(x):
    down, across = torch.zeros_like(x), torch.zeros_like(x)
    down[:, :-1] = x[:, 1:] - x[:, :-1]
    across[..., :-1] = x[..., 1:] - x[..., :-1]
    return (down**2 + across**2).sqrt().sum()


grade("variation.total-variation", total_variation)


# %% variation.divergence
def adjoint_differences(p):
    down, across = p[:, 0, :, :-1], p[:, 1, :, :, :-1]
    x = torch.zeros_like(p[:, 0])
    x[:, :, 1:] += down
    x[:, :, :-1] -= down
    x[..., 1:] += across
    x[..., :-1] -= across
    return x


grade("variation.divergence", adjoint_differences)


# %% variation.projection
def project(p, radius):
    length = p.square().sum(1, keepdim=True).sqrt()
    return p / (length / radius).clamp(min=1)


grade("variation.projection", project)


# %% variation.chambolle-pock
def chambolle_pock(y, weight, steps):
    D = FiniteDifferences(y.shape[1:])
    step = 8**-0.5
    x = bar = y
    p = torch.zeros(len(y), *D.out_shape, dtype=y.dtype)
    for _ in range(steps):
        p = project(p + step * D(bar), weight)
        new = (x - step * D.adjoint(p) + step * y) / (1 + step)
        bar, x = 2 * new - x, new
    return x


grade("variation.chambolle-pock", chambolle_pock)


# %% variation.bias
def height_left(height, weight, columns_left, columns_right):
    return max(0.0, height - weight / columns_left - weight / columns_right)


grade("variation.bias", height_left)
