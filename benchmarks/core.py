"""The core's measurements: ``python -m benchmarks.core`` with DIPOPS_DATA naming the folder of test pictures."""

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

from benchmarks.harness import RESULTS, Task, in_turn, markdown, provenance, run
from benchmarks.pictures import DATA
from dipops import Identity, NoPrior, Problem, TotalVariation, images, metrics, plot, recipes, solve
from dipops._tools.files import write_whole
from dipops._tools.seeds import stream
from dipops.priors.deep_image_prior import DeepImagePrior
from dipops.stopping import Average

SIGMA = 25 / 255


def f16(settings: dict[str, Any]) -> dict[str, Any]:
    """The deep image prior, TV and no prior on one crop with the authors' own noise."""
    top, left, size = settings["top"], settings["left"], settings["size"]
    crop = (slice(None), slice(top, top + size), slice(left, left + size))
    truth, noisy = (images.load(DATA / folder / "f16.png")[crop] for folder in ("denoising", "denoising_sigma25"))
    problem = Problem(Identity(truth.shape), noisy, truth, SIGMA)
    results = {
        "none": solve(problem, NoPrior(), progress=False),
        "TV, λ = σ": solve(problem, TotalVariation(SIGMA), progress=False),
        "DIP": recipes.denoise(SIGMA).solve(problem, steps=settings["steps"], progress=False),
    }
    dip = results["DIP"]
    pictures = {"noisy": problem.y, **{name: result.image for name, result in results.items()}, "truth": truth}
    save_figure("pictures/core-f16", plot.compare(pictures, truth))
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
    """``dipops upscale`` on a part of the zebra crop, against bicubic of the same small picture."""
    top, left, size, steps = (settings[name] for name in ("top", "left", "size", "steps"))
    truth = images.load(DATA / "sr" / "zebra_crop.png")[:, top : top + size, left : left + size]
    small = images.resize(truth, (size // 4, size // 4), Image.Resampling.LANCZOS).clamp(0, 1)
    with tempfile.TemporaryDirectory() as folder:
        restored = _command(folder, ["upscale"], {"input": small, "truth": truth}, ["--factor", "4", "--steps", str(steps)])
        small = images.load(Path(folder) / "input.png")
    bicubic = images.resize(small, (size, size)).clamp(0, 1)
    nearest = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    save_figure("pictures/core-x4", plot.compare({"LR": nearest, "bicubic": bicubic, "DIP": restored, "truth": truth}, truth))
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
        extra = ["--mask", f"{folder}/mask.png", "--steps", str(steps)]
        restored = _command(folder, ["inpaint"], {"input": truth * mask, "mask": mask, "truth": truth}, extra)
    filled = inpaint_biharmonic((truth * mask).movedim(0, -1).numpy(), mask[0].numpy() == 0, channel_axis=-1)
    biharmonic = torch.from_numpy(np.asarray(filled, dtype=np.float32)).movedim(-1, 0).clamp(0, 1)
    candidates = {"biharmonic": biharmonic, "DIP": restored}
    save_figure("pictures/core-text", plot.compare({"masked": truth * mask, **candidates, "truth": truth}, truth))
    holes = (mask == 0).expand_as(truth)

    def inside(x: Tensor) -> float:
        return float(-10 * (x - truth)[holes].square().mean().log10())

    return {
        "holes_share": float(holes.float().mean()),
        "psnr_in_holes": {name: inside(x) for name, x in candidates.items()},
    } | {"psnr": {name: float(metrics.psnr(x, truth)) for name, x in candidates.items()}}


def flash_pair(settings: dict[str, Any]) -> dict[str, Any]:
    """``dipops flash`` on the cave pair, reduced; there is no truth, so there is a picture."""
    top, left, size, factor = (settings[name] for name in ("top", "left", "size", "factor"))
    pair = []
    for name in ("cave01_00_flash.jpg", "cave01_01_noflash.jpg"):
        picture = images.load(DATA / "flash" / name)
        picture = images.resize(picture, [side // factor for side in picture.shape[1:]], Image.Resampling.LANCZOS)
        pair.append(picture.clamp(0, 1)[:, top : top + size, left : left + size])
    with tempfile.TemporaryDirectory() as folder:
        restored = _command(folder, ["flash"], {"flash": pair[0], "noflash": pair[1]}, [])
    save_figure("pictures/core-flash", plot.compare({"flash": pair[0], "no flash": pair[1], "DIP": restored}))
    return {"spread_noflash": float(_roughness(pair[1])), "spread_restored": float(_roughness(restored))}


def overhead(settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of ``solve`` against a plain loop over the same network, in turn."""
    torch.set_num_threads(settings["threads"])
    loops = {"plain loop": _plain_loop(settings), "solve": _solve(settings)}
    return in_turn(loops, rounds=5) | {"peak_megabytes": {name: _peak(name, settings) for name in loops}}


def import_seconds(settings: dict[str, Any]) -> dict[str, Any]:
    """What ``import dipops`` adds to torch's own import, the median of several fresh processes."""
    added, torchs = [], []
    for _ in range(settings["rounds"]):
        command = [sys.executable, "-X", "importtime", "-c", "import dipops"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found = {name: int(total) / 1e6 for total, name in re.findall(r"\|\s*(\d+) \|\s*(torch|dipops)$", lines, re.M)}
        added.append(found["dipops"] - found["torch"])
        torchs.append(found["torch"])
    return {"added_seconds": float(np.median(added)), "torch_seconds": float(np.median(torchs))}


def _problem(size: int) -> Problem:
    return Problem.simulate(Identity((3, size, size)), images.portrait(size), SIGMA, clip=True)


def _solve(settings: dict[str, Any]) -> Any:
    problem = _problem(settings["size"])
    return lambda: solve(problem, DeepImagePrior(), steps=settings["steps"], monitors=(Average(0.99),), progress=False)


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


def _command(folder: str, command: list[str], pictures: dict[str, Tensor], options: list[str]) -> Tensor:
    """Run the command line on pictures written to a folder, and load what it wrote."""
    for name, picture in pictures.items():
        images.save(Path(folder) / f"{name}.png", picture)
    inputs = [f"{folder}/{name}.png" for name in ("input", "flash", "noflash") if name in pictures]
    truth = ["--truth", f"{folder}/truth.png"] if "truth" in pictures else []
    output = f"{folder}/output.png"
    subprocess.run([sys.executable, "-m", "dipops", *command, *inputs, output, *truth, *options], check=True)
    return images.load(output)


def save_figure(name: str, figure: Any) -> None:
    """Curves are committed; what shows test pictures goes to the ignored folder pictures, for they are not ours to share."""
    path = RESULTS / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=100))


def _roughness(x: Tensor) -> Tensor:
    """Standard deviation of the second difference, which noise dominates."""
    return (x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]).std()


TASKS = (
    Task("core-import", import_seconds, {"rounds": 7}, 7, 3.0),
    Task("core-overhead", overhead, {"size": 128, "steps": 20, "threads": 2}, 280, 0.2),
    Task("core-f16", f16, {"top": 200, "left": 200, "size": 128, "steps": 1500}, 1500, 0.2),
    Task("core-flash", flash_pair, {"top": 10, "left": 20, "size": 128, "factor": 4}, 601, 0.2),
    Task("core-x4", x4, {"top": 16, "left": 64, "size": 128, "steps": 2000}, 2000, 0.2),
    Task("core-text", text, {"top": 60, "left": 200, "size": 128, "steps": 2000}, 2000, 0.3),
)


def report(records: dict[str, dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    found = {name.removeprefix("core-"): record["result"] for name, record in records.items()}
    crop, over, text_, small, pair = (found[name] for name in ("f16", "overhead", "text", "x4", "flash"))
    names, curve = list(crop["psnr"]), crop["dip_average_every_100"]
    peak_step, peak = crop["dip_average_peak"]
    scores = [
        ["PSNR (dB)", f"{crop['psnr_noisy']:.2f}", *(f"{crop['psnr'][name]:.2f}" for name in names)],
        ["SSIM", "", *(f"{crop['ssim'][name]:.3f}" for name in names)],
        ["seconds", "", *(f"{crop['seconds'][name]:.1f}" for name in names)],
    ]
    holes = text_["psnr_in_holes"]
    commands = [
        ["x4, zebra, 2000 steps", "PSNR (dB)", f"bicubic {small['bicubic']:.2f}", f"{small['dip']:.2f}"],
        ["x4, zebra, 2000 steps", "PSNR of Y (dB)", f"bicubic {small['bicubic_y']:.2f}", f"{small['dip_y']:.2f}"],
        ["text, kate, 2000 steps", "PSNR in the holes (dB)", f"biharmonic {holes['biharmonic']:.2f}", f"{holes['DIP']:.2f}"],
        ["flash, cave, 601 steps", "roughness", f"input {pair['spread_noflash']:.4f}", f"{pair['spread_restored']:.4f}"],
    ]
    return f"""# The core, measured

{provenance(records["core-f16"], "python -m benchmarks.core")}

## Denoising, f16[200:328, 200:328], the authors' noise of σ = 25 (clipped)

{markdown(["", "noisy", *names], scores)}

DIP is the paper's hourglass after {max(map(int, curve))} steps, its average (0.99); the average peaks at {peak:.2f} dB after
{peak_step} steps and then fits the noise.

{markdown(["step", *curve], [["average (dB)", *(f"{value:.2f}" for value in curve.values())]])}

![curves](core-f16-curves.png)

## From the command line, crops of 128 pixels

{markdown(["task", "measure", "simple method", "DIP"], commands)}

Roughness is the standard deviation of the second difference along rows.

## What the loop costs

`solve` takes {over["ratio_to_first"]["solve"]:.3f} times a plain loop over the same network (medians of
{len(over["seconds"]["solve"])} runs in turn), and {over["peak_megabytes"]["solve"]:.0f} MB at its peak where the plain loop
takes {over["peak_megabytes"]["plain loop"]:.0f} MB. `import dipops` adds {found["import"]["added_seconds"]:.2f} s to torch's
{found["import"]["torch_seconds"]:.2f} s.
"""


if __name__ == "__main__":
    chosen = sys.argv[1:]
    records = run([task for task in TASKS if not chosen or task.name in chosen])
    for name, record in records.items():
        print(name, record["result"])
    if len(records) == len(TASKS):
        write_whole(RESULTS / "core.md", lambda file: file.write(report(records).encode()))
