# %% tomography.projections
def projections(x):
    return torch.stack([x.sum(0), x.sum(1).flip(0)])


grade("tomography.projections", projections)


# %% tomography.ramp-filter
def ramp_filter(y):
    detectors = y.shape[-1]
    frequencies = torch.fft.rfftfreq(2 * detectors, dtype=y.dtype)
    return torch.fft.irfft(torch.fft.rfft(y, 2 * detectors) * frequencies, 2 * detectors)[..., :detectors]


grade("tomography.ramp-filter", ramp_filter)


# %% tomography.filtered-back-projection
def filtered_back_projection(A, y):
    return torch.pi / y.shape[-2] * A.adjoint(ramp_filter(y))


grade("tomography.filtered-back-projection", filtered_back_projection)


# %% tomography.sirt
def sirt(A, y, steps):
    rays, hits = A(torch.ones(1, *A.in_shape, dtype=y.dtype)), A.adjoint(torch.ones_like(y))
    R, C = torch.where(rays > 0, 1 / rays, 0), torch.where(hits > 0, 1 / hits, 0)
    x = torch.zeros_like(hits)
    for _ in range(steps):
        x = x + C * A.adjoint(R * (y - A(x)))
    return x


grade("tomography.sirt", sirt)
