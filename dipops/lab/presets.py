"""Settings for a lecture, each of which ends within two minutes on two cores."""

from dataclasses import dataclass

from dipops.lab.settings import Choice, Settings


@dataclass(frozen=True)
class Preset:
    """Settings with what to look at."""

    title: str
    look: str
    settings: Settings


PRESETS = (
    Preset(
        "DIP against TV on noise",
        "Total variation draws flat patches with sharp edges; the network keeps more texture. The discrepancy principle "
        "stops the network before it draws the noise. Compare the two with the before/after slider.",
        Settings("portrait", 64, noise=Choice("clipped", {"sigma": 25}), priors=("tv", "dip"), steps=600, stops=True),
    ),
    Preset(
        "What the network learns first",
        "Drag the step slider: first colours and large shapes, then edges, and last the noise. After about 100 "
        "steps the PSNR falls, while the residual goes on falling. The dip at 50 steps is where the optimiser changes "
        "from Muon to Adam.",
        Settings("portrait", 64, noise=Choice("gaussian", {"sigma": 50}), priors=("dip",), steps=800),
    ),
    Preset(
        "x4 with three priors",
        "The measurement has a sixteenth as many pixels. All answers agree with it to a few percent; the prior "
        "decides the detail between its pixels.",
        Settings(
            "astronaut", 96, Choice("lanczos", {"factor": 4}), Choice("none"), priors=("tikhonov", "tv", "dip"), steps=500
        ),
    ),
    Preset(
        "Sparse-angle CT",
        "Twenty projections are too few for filtered back-projection, which leaves streaks. Both priors remove them. Watch "
        "how late the network overtakes total variation. The weight of total variation is what SURE finds, in a minute.",
        Settings(
            "head",
            64,
            Choice("radon", {"angles": 20}),
            Choice("gaussian", {"sigma": 50}),
            priors=("tv", "dip"),
            weight=0.3,
            steps=700,
        ),
    ),
    Preset(
        "Where should I stop?",
        "Upright lines show the step that each rule keeps. The oracle knows the ground truth; the discrepancy principle knows "
        "the noise; the variance of the outputs knows neither. All come within thirty steps of one another here: try another "
        "image, or less noise, where they do not.",
        Settings("portrait", 64, noise=Choice("clipped", {"sigma": 40}), priors=("dip",), steps=800),
    ),
)
