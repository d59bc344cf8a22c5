# %% stopping.clipped-noise
def strength(clean, sigma, generator):
    noise = sigma * torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    return ((clean + noise).clamp(0, 1) - clean).square().mean().sqrt()


grade("stopping.clipped-noise", strength)


# %% stopping.windowed-variance
def windowed_variance(outputs, window):
    windows = [torch.stack(outputs[end - window : end]) for end in range(window, len(outputs) + 1)]
    return [(stack - stack.mean(0)).square().mean() for stack in windows]


grade("stopping.windowed-variance", windowed_variance)


# %% stopping.patience
def lowest(values, wait):
    best = 1
    for step, value in enumerate(values, 1):
        if value < values[best - 1]:
            best = step
        if step - best >= wait:
            break
    return best


grade("stopping.patience", lowest)


# %% stopping.hold-out
def hold_out(mask, fraction, generator):
    drawn = torch.rand(mask.shape, generator=generator) < fraction
    return mask * ~drawn, mask * drawn


grade("stopping.hold-out", hold_out)
