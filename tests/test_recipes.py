"""The recipes hold the paper's settings, and run on images of any size."""

import pickle
from copy import deepcopy

import pytest
import torch

from dipops import DeepImagePrior, GuidedInput, Identity, LanczosDownsampler, Problem, images, recipes
from dipops.errors import BadType, BadValue
from dipops.operators import Activation
from dipops.priors.generators import ResNet, UNet, encoder_decoder
from dipops.recipes import Recipe

SIX = (16, 32, 64, 128, 128, 128)


def _denoise_at(sigma: float) -> Recipe:
    """The paper's settings for this σ, of pixels from 0 to 255."""
    return recipes.denoise("paper").at(Problem(Identity((3, 8, 8)), torch.rand(3, 8, 8), sigma / 255))


# the recipe, its rate, steps, noise on z, channels of the image, and parameters, as PAPER's section 1 has them
ROWS: dict[str, tuple[Recipe, float, int, float, int, int]] = {
    "denoise 25": (_denoise_at(25), 0.01, 3000, 1 / 30, 3, 2_217_831),
    "denoise 50": (_denoise_at(50), 0.01, 3000, 1 / 20, 3, 2_217_831),
    "JPEG": (recipes.jpeg("paper"), 0.01, 2400, 1 / 30, 3, 572_827),
    "upscale 4": (recipes.upscale(4, "paper"), 0.01, 2000, 0.03, 3, 2_217_831),
    "upscale 8": (recipes.upscale(8, "paper"), 0.01, 4000, 0.05, 3, 2_217_831),
    "comparison of priors": (recipes.upscale_three_channels(), 0.01, 2000, 1 / 30, 3, 2_184_307),
    "text": (recipes.inpaint_text("paper"), 0.01, 6001, 0.03, 3, 3_002_627),
    "50% missing": (recipes.inpaint_random("paper"), 0.001, 11000, 0.03, 1, 2_217_573),
    "98% missing": (recipes.inpaint_sparse("paper"), 0.01, 1000, 0.0, 3, 1_027_379),
    "large hole": (recipes.inpaint_hole("paper"), 0.01, 5001, 0.03, 3, 2_157_955),
    "study, depth 6": (recipes.architecture_study(encoder_decoder()), 0.01, 3001, 0.0, 3, 2_996_467),
    "study, depth 4": (recipes.architecture_study(encoder_decoder(SIX[:4])), 0.01, 3001, 0.0, 3, 1_060_339),
    "study, depth 2": (recipes.architecture_study(encoder_decoder(SIX[:2])), 0.01, 3001, 0.0, 3, 59_635),
    "study, U-Net": (recipes.architecture_study(UNet()), 0.001, 3001, 0.0, 3, 1_616_315),
    "study, ResNet": (recipes.architecture_study(ResNet()), 0.001, 3001, 0.0, 3, 158_979),
    "pre-image": (recipes.preimage(), 0.001, 3100, 0.0, 3, 2_606_763),
    "activation": (recipes.maximise(Activation((96, 55, 55), 3)), 0.001, 3100, 0.03, 3, 2_948_567),
    "flash": (recipes.flash("paper"), 0.1, 601, 0.0, 3, 2_184_307),
    "noise impedance": (recipes.noise_impedance(), 0.01, 2400, 0.0, 3, 2_217_831),
}
LIGHTS = {
    "denoise": recipes.denoise(),
    "JPEG": recipes.jpeg(),
    "upscale": recipes.upscale(4),
    "text": recipes.inpaint_text(),
    "50% missing": recipes.inpaint_random(),
    "98% missing": recipes.inpaint_sparse(),
    "large hole": recipes.inpaint_hole(),
    "flash": recipes.flash(),
}


def problem_of(name: str, shape: tuple[int, int, int]) -> Problem:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return Problem(GuidedInput(image) if name == "flash" else Identity(shape), image)


@pytest.mark.parametrize("name", ROWS)
def test_recipes_hold_the_papers_settings(name: str) -> None:
    recipe, rate, steps, perturbation, channels, parameters = ROWS[name]
    recipe.prior.start(problem_of(name, (channels, 32, 32)), [0])
    assert sum(p.numel() for p in recipe.prior.parameters()) == parameters
    optimizer = recipe.method.optimizer(recipe.prior.parameters())
    assert isinstance(optimizer, torch.optim.Adam)
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"], optimizer.defaults["eps"]) == (rate, (0.9, 0.999), 1e-8)
    assert (recipe.steps, recipe.prior.perturbation) == (steps, perturbation)
    assert (recipe.method.average, recipe.callbacks) == (0.99, ())
    assert not recipe.method.warm_up
    assert not recipe.projects
    assert not recipe.debiases


@pytest.mark.parametrize(("sigma", "perturbation"), [(0, 1 / 30), (25, 1 / 30), (50, 1 / 20)])
def test_the_papers_noise_on_z_follows_that_of_y_for_any_operator(sigma: float, perturbation: float) -> None:
    problem = Problem(LanczosDownsampler((3, 16, 16), 2), torch.rand(3, 8, 8), sigma / 255)
    recipe = recipes.restore("paper").at(problem)
    assert isinstance(recipe.prior, DeepImagePrior)
    assert (recipe.prior.perturbation, recipe.steps) == (perturbation, 3000)
    assert recipes.restore().at(problem).prior.perturbation == 1 / 30, "that of the light one does not"


@pytest.mark.parametrize("name", [*ROWS, *(f"light {name}" for name in LIGHTS)])
def test_every_recipe_takes_an_odd_size(name: str) -> None:
    task = name.removeprefix("light ")
    recipe = LIGHTS[task] if name.startswith("light ") else ROWS[name][0]
    prior = deepcopy(recipe.prior)
    prior.start(problem_of(task, (3, 45, 70)), [0])
    with torch.no_grad():
        assert prior().shape == (1, 3, 45, 70)
    assert "Deep Image Prior" in recipe.source or "benchmarks" in recipe.source


@pytest.mark.parametrize("channels", [1, 3])
def test_a_recipe_solves(channels: int) -> None:
    result = LIGHTS["flash"].solve(problem_of("flash", (channels, 33, 45)), steps=3, progress=False)
    assert result.image.shape == (1, channels, 33, 45)
    assert result.steps == 3


@pytest.mark.parametrize("name", LIGHTS)
def test_light_recipes_are_light(name: str) -> None:
    light, paper = LIGHTS[name], ROWS["denoise 25"][0]
    counts = []
    for recipe in (light, paper):
        recipe.prior.start(problem_of(name, (3, 32, 32)), [0])
        counts.append(sum(p.numel() for p in recipe.prior.parameters()))
    assert counts[0] < counts[1] / 3
    assert light.steps <= 4000


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: recipes.denoise("papers"), BadValue, 'write settings="paper"'),
        (lambda: recipes.upscale(1), BadValue, "factor = 1"),
        (lambda: recipes.upscale(2.5), BadType, "factor = 2.5"),
    ],
)
def test_recipes_refuse(make, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_a_copied_recipe_is_the_same_for_a_problem() -> None:
    x = images.portrait(32)
    clean = Problem.simulate(Identity(x.shape), x, 0)
    recipe = recipes.restore()
    assert recipe.at(clean).callbacks == pickle.loads(pickle.dumps(recipe)).at(clean).callbacks == ()
