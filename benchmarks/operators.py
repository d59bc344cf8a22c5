"""Operators against those of other packages: ``python -m benchmarks.operators``, where deepinv and PyLops are installed.

Every task applies one operator of each package to one image of one channel, in float32, in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.harness import Records, Row, Task, in_turn, render, require_one_machine, run, table, write_report
from dipops import LanczosDownsampler, LinearOperator, Mask, images, masks
from dipops.operators import Blur, Fourier, Radon, kernels

SIZES, THREADS = (256, 1024), (1, 2)
VIEWS = {256: 180, 1024: 45}
ROUNDS = {256: 15, 1024: 5}
WAYS = ("forward", "adjoint", "gradient")
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Candidate:
    """What is timed of one package; a package without an adjoint has no gradient either."""

    forward: Callable[[], object]
    adjoint: Callable[[], object] | None = None
    gradient: Callable[[], object] | None = None


def in_torch(forward: Function, adjoint: Function, x: Tensor) -> Candidate:
    """A package whose gradient is by automatic differentiation."""
    with torch.no_grad():
        y = forward(x)
    leaf = x.clone().requires_grad_()

    def gradient() -> Tensor:
        residual = forward(leaf) - y
        (step,) = torch.autograd.grad(0.5 * (residual * residual.conj()).real.sum(), leaf)
        return step

    return Candidate(torch.no_grad()(partial(forward, x)), torch.no_grad()(partial(adjoint, y)), gradient)


def in_numpy(forward: Function, adjoint: Function, x: np.ndarray) -> Candidate:
    y = forward(x)
    return Candidate(partial(forward, x), partial(adjoint, y), lambda: adjoint(forward(x) - y))


def ours(operator: LinearOperator, x: Tensor) -> Candidate:
    return in_torch(operator, operator.T, x)


def pylops_of(operator: Any, x: Tensor) -> Candidate:
    return in_numpy(operator.matvec, operator.rmatvec, x.numpy().ravel())


def blur(size: int, threads: int, kernel: Tensor) -> dict[str, Candidate]:
    physics_of = import_module("deepinv").physics
    from pylops.signalprocessing import Convolve2D
    from scipy.ndimage import convolve
    from scipy.signal import fftconvolve

    x = image(size)
    centre = tuple(side // 2 for side in kernel.shape)
    taps, plane = kernel.numpy(), x[0, 0].numpy()
    direct = physics_of.Blur(kernel[None, None], padding="valid")
    spectral = physics_of.BlurFFT((1, size, size), kernel[None, None])
    pylops = Convolve2D((size, size), taps, offset=centre, dtype="float32")
    candidates = {
        "dipops": ours(Blur((1, size, size), kernel), x),
        "dipops, circular": ours(Blur((1, size, size), kernel, "circular"), x),
        "deepinv Blur, valid": in_torch(direct.A, direct.A_adjoint, x),
        "deepinv BlurFFT, circular": in_torch(spectral.A, spectral.A_adjoint, x),
        "PyLops Convolve2D, zeros": pylops_of(pylops, x),
        "SciPy fftconvolve, zeros": Candidate(lambda: fftconvolve(plane, taps, "same")),
    }
    if size <= 256:
        candidates["SciPy ndimage.convolve"] = Candidate(lambda: convolve(plane, taps))
    return candidates


def gaussian_blur(size: int, threads: int) -> dict[str, Candidate]:
    from scipy.ndimage import gaussian_filter
    from skimage.filters import gaussian

    plane = image(size)[0, 0].numpy()
    more = {
        "SciPy gaussian_filter": Candidate(lambda: gaussian_filter(plane, 2)),
        "scikit-image gaussian": Candidate(lambda: gaussian(plane, 2)),
    }
    return blur(size, threads, kernels.gaussian(2)) | more


def motion_blur(size: int, threads: int) -> dict[str, Candidate]:
    return blur(size, threads, kernels.motion(15, 30))


def radon(size: int, threads: int) -> dict[str, Candidate]:
    physics_of = import_module("deepinv").physics
    transform: Any = import_module("skimage.transform")

    x, angles = image(size), np.linspace(0, 180, VIEWS[size], endpoint=False)
    operator = Radon((1, size, size), angles.tolist())
    physics = physics_of.Tomography(torch.from_numpy(angles).float(), size, circle=False, normalize=False)
    plane = x[0, 0].numpy()
    sinogram = transform.radon(plane, angles, circle=False)
    back = partial(transform.iradon, theta=angles, filter_name=None, circle=False, output_size=size)
    return {
        "dipops": ours(operator, x),
        "deepinv Tomography": in_torch(physics.A, physics.A_adjoint, x),
        "scikit-image radon": Candidate(partial(transform.radon, plane, angles, circle=False), partial(back, sinogram)),
    }


def fourier(size: int, threads: int) -> dict[str, Candidate]:
    physics_of = import_module("deepinv").physics
    from pylops.signalprocessing import FFT2D

    fft: Any = import_module("scipy.fft")

    x, samples = image(size), masks.radial((size, size), size // 8)
    physics = physics_of.MRI(torch.fft.fftshift(samples), (1, size, size))
    pair = torch.cat([x, torch.zeros_like(x)], 1)
    plane, sampled = x[0, 0].numpy(), samples.numpy()
    pylops = FFT2D((size, size), norm="ortho", engine="scipy", dtype="complex64", workers=threads)
    forward = partial(fft.fft2, norm="ortho", workers=threads)
    back = partial(fft.ifft2, norm="ortho", workers=threads)
    return {
        "dipops": ours(Fourier((1, size, size), samples), x),
        "torch.fft": in_torch(
            lambda image: samples * torch.fft.fft2(image, norm="ortho"),
            lambda y: torch.fft.ifft2(samples * y, norm="ortho").real,
            x,
        ),
        "deepinv MRI": in_torch(physics.A, physics.A_adjoint, pair),
        "PyLops FFT2D": pylops_of(pylops, x),
        "SciPy fft": in_numpy(lambda image: sampled * forward(image), lambda y: back(sampled * y).real, plane),
    }


def lanczos(size: int, threads: int) -> dict[str, Candidate]:
    physics_of = import_module("deepinv").physics
    from skimage.transform import resize

    x = image(size)
    physics = physics_of.Downsampling((1, size, size), filter="bicubic", factor=4)
    plane = x[0, 0].numpy()
    picture = Image.fromarray(plane)
    small = (size // 4, size // 4)
    return {
        "dipops": ours(LanczosDownsampler((1, size, size), 4), x),
        "deepinv Downsampling": in_torch(physics.A, physics.A_adjoint, x),
        "Pillow": Candidate(lambda: picture.resize(small, Image.Resampling.LANCZOS)),
        "scikit-image resize": Candidate(lambda: resize(plane, small, order=3, anti_aliasing=True)),
    }


def mask(size: int, threads: int) -> dict[str, Candidate]:
    physics_of = import_module("deepinv").physics
    from pylops import Restriction

    x, known = image(size), masks.random((size, size), 0.5)
    physics = physics_of.Inpainting((1, size, size), mask=known[None])
    places = np.flatnonzero(known.numpy())
    factors = known.numpy()
    return {
        "dipops": ours(Mask(known, 1), x),
        "deepinv Inpainting": in_torch(physics.A, physics.A_adjoint, x),
        "PyLops Restriction": pylops_of(Restriction(size * size, places, dtype="float32"), x),
        "NumPy": in_numpy(lambda image: factors * image, lambda y: factors * y, x[0, 0].numpy()),
    }


def image(size: int) -> Tensor:
    """The bundled photograph in grey, (1, 1, size, size)."""
    return images.resize(images.photograph().mean(0, keepdim=True), (size, size))[None].contiguous()


OPERATORS = {
    "Blur, Gaussian 17 x 17": gaussian_blur,
    "Blur, motion 15 x 9": motion_blur,
    "Radon": radon,
    "Fourier": fourier,
    "Lanczos x4": lanczos,
    "Mask": mask,
}


def measure(settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each package, forward, adjoint and gradient, in turn within each of the three."""
    torch.set_num_threads(settings["threads"])
    candidates = OPERATORS[settings["operator"]](settings["size"], settings["threads"])
    milliseconds: dict[str, dict[str, float]] = {name: {} for name in candidates}
    for way in WAYS:
        functions = {name: function for name, candidate in candidates.items() if (function := getattr(candidate, way))}
        for name, seconds in in_turn(functions, settings["rounds"])["median_seconds"].items():
            milliseconds[name][way] = 1000 * seconds
    return milliseconds


def name_of(operator: str, size: int, threads: int) -> str:
    return f"operators-{operator}-{size}-{threads}"


TASKS = [
    Task(
        name_of(operator, size, threads),
        measure,
        {"operator": operator, "size": size, "threads": threads, "rounds": ROUNDS[size]},
        steps=ROUNDS[size],
        seconds_per_step=size / 256,
    )
    for operator in OPERATORS
    for size in SIZES
    for threads in THREADS
]


def main() -> None:
    records = run(TASKS)
    require_one_machine(TASKS, records)
    write_report("operators", report(records))


def report(records: Records) -> str:
    tables = {operator: operator_table(records, operator) for operator in OPERATORS}
    return render("operators", tables=tables, views=VIEWS)


def operator_table(records: Records, operator: str) -> str:
    rows: list[Row] = []
    for size in SIZES:
        both = [records[name_of(operator, size, threads)] for threads in THREADS]
        for package in both[0]["result"]:
            cells = [cell(record["result"][package], way) for record in both for way in WAYS]
            rows.append(([size, package, *cells], both))
    threads = [f"{way}, {count} thread{'s' if count > 1 else ''}" for count in THREADS for way in WAYS]
    return table(["pixels", "package", *threads], rows)


def cell(milliseconds: dict[str, float], way: str) -> str:
    return f"{milliseconds[way]:.3g}" if way in milliseconds else "-"


if __name__ == "__main__":
    main()
