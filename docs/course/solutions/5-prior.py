# %% prior.parameters
def count(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


grade("prior.parameters", count)


# %% prior.fit
def fit(network, z, y, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        output = network(z)
        (0.5 * (output - y).square().sum()).backward()
        optimizer.step()
    return output.detach()


grade("prior.fit", fit)


# %% prior.impedance
def steps_to(curve, level):
    return next((step for step, value in enumerate(curve, 1) if value <= level), None)


grade("prior.impedance", steps_to)


# %% prior.average
def average(images, decay):
    mean = images[0]
    for image in images[1:]:
        mean = decay * mean + (1 - decay) * image
    return mean


grade("prior.average", average)
