# %% noise.poisson
def poisson(z, counts):
    return (z - counts * z.log()).sum()


grade("noise.poisson", poisson)


# %% noise.clipped-mean
def clipped_mean(values, sigma):
    def density(t):
        return (-(t**2) / 2).exp() / (2 * torch.pi) ** 0.5

    a, b = -values / sigma, (1 - values) / sigma
    inside = torch.special.ndtr(b) - torch.special.ndtr(a)
    return values * inside + sigma * (density(a) - density(b)) + 1 - torch.special.ndtr(b)


grade("noise.clipped-mean", clipped_mean)


# %% noise.debias
def debias(image, sigma):
    low, high = torch.zeros_like(image), torch.ones_like(image)
    for _ in range(20):
        middle = (low + high) / 2
        is_below = ClippedGaussian(sigma).bias(middle) < image
        low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
    return (low + high) / 2


grade("noise.debias", debias)


# %% noise.honest-measurement
def honest_measurement(fine, blur):
    return F.avg_pool2d(blur(fine[None]), 2)


grade("noise.honest-measurement", honest_measurement)
