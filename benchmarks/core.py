"""The core's measurements: ``python -m benchmarks.core [PART ...]`` with DIPOPS_DATA naming the folder of test images."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.crops import DATA
from benchmarks.harness import RESULTS, Records, Task, chosen, in_turn, render, run, table, write_report
from dipops import ClippedGaussian, Descent, Identity, NoPrior, Problem, TotalVariation, images, metrics, plot, recipes, solve
from dipops._tools.files import write_whole
from dipops._tools.seeds import stream
from dipops.priors.deep_image_prior import DeepImagePrior

SIGMA = 25 / 255


def f16(settings: dict[str, Any]) -> dict[str, Any]:
    """The deep image prior, TV and no prior on one crop with the authors' own noise."""
    top, left, size = settings["top"], settings["left"], settings["size"]
    crop = (slice(None), slice(top, top + size), slice(left, left + size))
    truth, noisy = (images.load(DATA / folder / "f16.png")[crop] for folder in ("denoising", "denoising_sigma25"))
    problem = Problem(Identity(truth.shape), noisy, SIGMA, truth=truth)
    results = {
        "none": solve(problem, NoPrior(), progress=False),
        "TV, λ = σ": solve(problem, TotalVariation(SIGMA), progress=False),
        "DIP": recipes.denoise(settings["recipe"]).solve(problem, steps=settings["steps"], progress=False),
    }
    dip = results["DIP"]
    shown = {"noisy": problem.y, **{name: result.image for name, result in results.items()}, "truth": truth}
    save_figure("images/core-f16", plot.compare(shown, truth))
    save_figure("core-f16-curves", plot.trace(results))
    curve = dip.trace["psnr_average"][:, 0]
    return {
        "psnr_noisy": float(metrics.psnr(noisy, truth)),
        "psnr": {name: float(metrics.psnr(result.image, truth)) for name, result in results.items()},
        "ssim": {name: float(metrics.ssim(result.image, truth)) for name, result in results.items()},
        "seconds": {name: result.seconds for name, result in results.items()},
        "dip_average_every_100": {step: float(curve[step - 1]) for step in range(100, dip.steps + 1, 100)},
        "dip_average_peak": [int(curve.argmax()) + 1, float(curve.max())],
        "dip_last_output": float(metrics.psnr(dip.last, truth)),
    }


def x4(settings: dict[str, Any]) -> dict[str, Any]:
    """``dipops upscale`` on a part of the zebra crop, against bicubic of the same small image."""
    top, left, size, steps = (settings[name] for name in ("top", "left", "size", "steps"))
    truth = images.load(DATA / "sr" / "zebra_crop.png")[:, top : top + size, left : left + size]
    small = images.resize(truth, (size // 4, size // 4), Image.Resampling.LANCZOS).clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        restored = _command(folder, "upscale", {"input": small, "truth": truth}, ["--factor", "4", "--steps", str(steps)])
        small = images.load(Path(folder) / "input.png")
    bicubic = images.resize(small, (size, size)).clamp(0, 1)
    nearest = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    save_figure("images/core-x4", plot.compare({"LR": nearest, "bicubic": bicubic, "DIP": restored, "truth": truth}, truth))
    return {name: float(metrics.psnr(x, truth)) for name, x in {"bicubic": bicubic, "dip": restored}.items()} | {
        f"{name}_y": float(metrics.psnr_y(x, truth)) for name, x in {"bicubic": bicubic, "dip": restored}.items()
    }


def text(settings: dict[str, Any]) -> dict[str, Any]:
    """``dipops inpaint`` on a crop of kate under letters, against biharmonic filling; scored inside the holes too."""
    from skimage.restoration import inpaint_biharmonic

    top, left, size, steps = (settings[name] for name in ("top", "left", "size", "steps"))
    crop = (slice(None), slice(top, top + size), slice(left, left + size))
    truth = images.load(DATA / "inpainting" / "reference" / "kate.png")[crop]
    mask = (images.load(DATA / "inpainting" / "reference" / "kate_mask.png")[crop] > 0.5).float()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--mask", f"{folder}/mask.png", "--steps", str(steps)]
        restored = _command(folder, "inpaint", {"input": truth * mask, "mask": mask, "truth": truth}, options)
    filled = inpaint_biharmonic((truth * mask).movedim(0, -1).numpy(), mask[0].numpy() == 0, channel_axis=-1)
    biharmonic = torch.from_numpy(np.asarray(filled, dtype=np.float32)).movedim(-1, 0).clamp(0, 1)
    candidates = {"biharmonic": biharmonic, "DIP": restored}
    save_figure("images/core-text", plot.compare({"masked": truth * mask, **candidates, "truth": truth}, truth))
    holes = (mask == 0).expand_as(truth)

    def inside(x: Tensor) -> float:
        return float(-10 * (x - truth)[holes].square().mean().log10())

    return {
        "holes_share": float(holes.float().mean()),
        "psnr_in_holes": {name: inside(x) for name, x in candidates.items()},
    } | {"psnr": {name: float(metrics.psnr(x, truth)) for name, x in candidates.items()}}


def flash_pair(settings: dict[str, Any]) -> dict[str, Any]:
    """``dipops flash`` on the cave pair, reduced; there is no ground truth, so there is a figure."""
    top, left, size, factor = (settings[name] for name in ("top", "left", "size", "factor"))
    pair = []
    for name in ("cave01_00_flash.jpg", "cave01_01_noflash.jpg"):
        image = images.load(DATA / "flash" / name)
        image = images.resize(image, [side // factor for side in image.shape[1:]], Image.Resampling.LANCZOS)
        pair.append(image.clamp(0, 1)[:, top : top + size, left : left + size])
    with tempfile.TemporaryDirectory() as folder:
        restored = _command(folder, "flash", {"flash": pair[0], "noflash": pair[1]}, [])
    save_figure("images/core-flash", plot.compare({"flash": pair[0], "no flash": pair[1], "DIP": restored}))
    return {"roughness_noflash": float(_roughness(pair[1])), "roughness_restored": float(_roughness(restored))}


def overhead(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of ``solve`` against a plain loop over the same network, in turn."""
    torch.set_num_threads(settings["threads"])
    loops = {"plain loop": _plain_loop(settings), "solve": _solve(settings)}
    return in_turn(loops, rounds=5) | {"peak_megabytes": {name: _peak(name, settings) for name in loops}}


def import_seconds(settings: dict[str, Any]) -> dict[str, Any]:
    """What ``import dipops`` adds to torch's own import, the median of several fresh processes."""
    added, of_torch = [], []
    for _ in range(settings["rounds"]):
        command = [sys.executable, "-X", "importtime", "-c", "import dipops"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        seconds = {name: int(total) / 1e6 for total, name in re.findall(r"\|\s*(\d+) \|\s*(torch|dipops)$", lines, re.M)}
        added.append(seconds["dipops"] - seconds["torch"])
        of_torch.append(seconds["torch"])
    return {"added_seconds": float(np.median(added)), "torch_seconds": float(np.median(of_torch))}


def _problem(size: int) -> Problem:
    return Problem.simulate(Identity((3, size, size)), images.portrait(size), ClippedGaussian(SIGMA))


def _solve(settings: dict[str, Any]) -> Any:
    problem = _problem(settings["size"])
    return lambda: solve(problem, DeepImagePrior(), Descent(), steps=settings["steps"], callbacks=(), progress=False)


def _plain_loop(settings: dict[str, Any]) -> Any:
    """What one would write by hand: noise on z, forward, loss, backward, Adam, and the running average."""
    problem = _problem(settings["size"])

    def loop() -> Tensor | None:
        prior = DeepImagePrior()
        prior.start(problem, [0])
        network, generator = prior.network, stream(0, "perturbation")
        adam = torch.optim.Adam(network.parameters(), lr=0.01)
        noise, average = torch.zeros_like(prior.z), None
        for _ in range(settings["steps"]):
            noise.normal_(std=1 / 30, generator=generator)
            adam.zero_grad()
            out = network(prior.z + noise)
            (0.5 * (out - problem.y).square().sum()).backward()
            adam.step()
            average = out.detach() if average is None else 0.99 * average + 0.01 * out.detach()
        return average

    return loop


def _peak(name: str, settings: dict[str, Any]) -> float:
    """Peak memory in a process of its own, in megabytes, as Linux counts it (VmHWM; ru_maxrss includes the parent's)."""
    make = {"plain loop": "_plain_loop", "solve": "_solve"}[name]
    code = (
        "import re, torch; from pathlib import Path; from benchmarks import core; "
        f"torch.set_num_threads({settings['threads']}); core.{make}({settings!r})(); "
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def _command(folder: str, command: str, inputs: dict[str, Tensor], options: list[str]) -> Tensor:
    """The image that the command line makes, by the paper's settings, of images written to a folder."""
    for name, image in inputs.items():
        images.save(Path(folder) / f"{name}.png", image)
    files = [f"{folder}/{name}.png" for name in ("input", "flash", "noflash") if name in inputs]
    truth = ["--truth", f"{folder}/truth.png"] if "truth" in inputs else []
    output = f"{folder}/output.png"
    paper = ["--recipe", "paper"]
    subprocess.run([sys.executable, "-m", "dipops", command, *files, output, *truth, *paper, *options], check=True)
    return images.load(output)


def save_figure(name: str, figure: Any) -> None:
    """Curves are committed; what shows test images goes to the ignored folder images, for they are not ours to share."""
    path = RESULTS / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=100))


def _roughness(x: Tensor) -> Tensor:
    """Standard deviation of the second difference, which noise dominates."""
    return (x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]).std()


TASKS = (
    Task("core-import", import_seconds, {"rounds": 7}, 7, 3.0),
    Task("core-overhead", overhead, {"size": 128, "steps": 20, "threads": 2}, 280, 0.2),
    Task("core-f16", f16, {"recipe": "paper", "top": 200, "left": 200, "size": 128, "steps": 1500}, 1500, 0.2),
    Task("core-flash", flash_pair, {"recipe": "paper", "top": 10, "left": 20, "size": 128, "factor": 4}, 601, 0.2),
    Task("core-x4", x4, {"recipe": "paper", "top": 16, "left": 64, "size": 128, "steps": 2000}, 2000, 0.2),
    Task("core-text", text, {"recipe": "paper", "top": 60, "left": 200, "size": 128, "steps": 2000}, 2000, 0.3),
)


def main(parts: list[str]) -> None:
    records = run(chosen(TASKS, parts))
    if len(records) == len(TASKS):
        write_report("core", report(records))


def report(records: Records) -> str:
    records = {name.removeprefix("core-"): record for name, record in records.items()}
    f16, x4, text, flash = (records[name]["result"] for name in ("f16", "x4", "text", "flash"))
    names, curve, holes = list(f16["psnr"]), f16["dip_average_every_100"], text["psnr_in_holes"]
    scores = [
        ["PSNR (dB)", f"{f16['psnr_noisy']:.2f}", *(f"{f16['psnr'][name]:.2f}" for name in names)],
        ["SSIM", "", *(f"{f16['ssim'][name]:.3f}" for name in names)],
        ["seconds", "", *(f"{f16['seconds'][name]:.1f}" for name in names)],
    ]
    averages = ["average (dB)", *(f"{value:.2f}" for value in curve.values())]
    measures = [
        ("x4", "zebra, 2000 steps", "PSNR (dB)", f"bicubic {x4['bicubic']:.2f}", f"{x4['dip']:.2f}"),
        ("x4", "zebra, 2000 steps", "PSNR of Y (dB)", f"bicubic {x4['bicubic_y']:.2f}", f"{x4['dip_y']:.2f}"),
        ("text", "kate, 2000 steps", "PSNR in the holes (dB)", f"biharmonic {holes['biharmonic']:.2f}", f"{holes['DIP']:.2f}"),
        (
            "flash",
            "cave, 601 steps",
            "roughness",
            f"input {flash['roughness_noflash']:.4f}",
            f"{flash['roughness_restored']:.4f}",
        ),
    ]
    commands = [([f"{name}, {run}", *cells], [records[name]]) for name, run, *cells in measures]
    return render(
        "core",
        records=records,
        scores=table(["", "noisy", *names], [(row, [records["f16"]]) for row in scores]),
        averages=table(["step", *curve], [(averages, [records["f16"]])]),
        commands=table(["task", "measure", "simple method", "DIP"], commands),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
