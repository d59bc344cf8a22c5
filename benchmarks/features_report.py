"""The figures and the table of what layers know: ``python -m benchmarks.features_report``, after ``benchmarks.features``."""

from statistics import mean
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.core import DATA, save_figure
from benchmarks.features import (
    DIP_STEPS,
    EXCITED,
    LAYERS,
    MONKEY,
    PIXEL_STEPS,
    TUNED_ON,
    TUNING,
    UNITS,
    WEIGHTS,
    picture_of,
)
from benchmarks.harness import RESULTS, markdown, provenance, record_of, require_measured, result_of
from dipops import images
from dipops._tools.files import write_whole
from dipops.paper import preimages
from dipops.paper.preimages import TV_WEIGHT, Preimage


def main() -> None:
    mpl.use("Agg")
    tasks = [*TUNING.values(), *MONKEY.values(), *EXCITED.values()]
    require_measured(tasks, "python -m benchmarks.features")
    write_whole(RESULTS / "features.md", lambda file: file.write(report().encode()))
    photo = images.load(DATA / "feature_inversion" / "monkey.jpg")
    save_figure("pictures/features-monkey", preimages.figure(photo, [_preimage(*key) for key in MONKEY]))
    save_figure("pictures/features-units", draw_units())
    print(f"Look at {RESULTS / 'features.md'} and {RESULTS / 'pictures'}")


def report() -> str:
    """The measurements as Markdown."""
    found = [_preimage(*key) for key in MONKEY]
    own, other = ([one for one in found if one.layer in LAYERS[name]] for name in ("AlexNet", "SqueezeNet"))
    return f"""# What the layers of a network know

{provenance(record_of(next(iter(MONKEY.values()))), "python -m benchmarks.features")} Pictures of 227 x 227 pixels. "Error" is
‖Φ(x) − Φ(x₀)‖ / ‖Φ(x₀)‖ at the inverted layer; "probability" is what SqueezeNet 1.0, another network, gives for the
pre-image to the class it sees in the photo.

## The weight of TV, chosen on the building

Probability after 1000 steps, and the error in brackets.

{tuning()}

The best mean probability is that of {best_weight():g}; {TV_WEIGHT:g} is used below.

## The monkey from the layers of Caffe's AlexNet

{preimages.table(own)}

## Deep layers

Weights of fc6 to fc8 are not at hand: SqueezeNet's own deep layers stand in for them, and it is the judge of itself here.
Steps of DIP and of pixels: {DIP_STEPS["SqueezeNet"]} and {PIXEL_STEPS["SqueezeNet"]} here, {DIP_STEPS["AlexNet"]} and
{PIXEL_STEPS["AlexNet"]} above.

{preimages.table(other)}

## Units

What the unit answers, in parts of the target, and what SqueezeNet sees in the picture.

{units()}
"""


def tuning() -> str:
    rows = []
    for layer in TUNED_ON:
        found = [result_of(TUNING[layer, weight]) for weight in WEIGHTS]
        rows.append([layer, *(f"{one['probability']:.3f} ({one['error']:.3f})" for one in found)])
    rows.append(["mean", *(f"{_mean_probability(weight):.3f}" for weight in WEIGHTS)])
    return markdown(["layer", *(f"{weight:g}" for weight in WEIGHTS)], rows)


def best_weight() -> float:
    return max(WEIGHTS, key=_mean_probability)


def units() -> str:
    rows = []
    for (name, prior), task in EXCITED.items():
        one = result_of(task)
        rows.append([name, prior, f"{one['answer_of_target']:.2f}", one["class"], f"{one['probability']:.2f}"])
    return markdown(["unit", "prior", "answer", "class seen", "its probability"], rows)


def draw_units() -> Any:
    priors = list(dict.fromkeys(prior for _, prior in EXCITED))
    figure, grid = plt.subplots(len(priors), len(UNITS), figsize=(2.3 * len(UNITS), 2.4 * len(priors)), layout="compressed")
    for (name, prior), task in EXCITED.items():
        axes = grid[priors.index(prior)][list(UNITS).index(name)]
        axes.imshow(images.to_pil(images.load(picture_of(task.settings))))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name if prior == priors[0] else "", fontsize=11)
        axes.set_ylabel(prior if name == next(iter(UNITS)) else "", fontsize=11)
    return figure


def _mean_probability(weight: float) -> float:
    return mean(result_of(TUNING[layer, weight])["probability"] for layer in TUNED_ON)


def _preimage(network: str, layer: str, prior: str) -> Preimage:
    task = MONKEY[network, layer, prior]
    return Preimage(image=images.load(picture_of(task.settings)), **result_of(task))


if __name__ == "__main__":
    main()
