"""A study: seeds, what is run again, what differs, what fails, statistics, tables, figures."""

import csv
import importlib
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from dipops import (
    ClippedGaussian,
    DeepImagePrior,
    Descent,
    Hourglass,
    Identity,
    LanczosDownsampler,
    LinearOperator,
    Mask,
    NoPrior,
    Poisson,
    PrimalDual,
    Problem,
    TotalVariation,
    compare,
    images,
    metrics,
    plot,
    recipes,
)
from dipops._tools import tables
from dipops._tools.fingerprints import contents
from dipops.contestants import BestWeight, draws, outcome_of
from dipops.errors import BadType, BadValue
from dipops.images.writing import to_pil
from dipops.recipes import Recipe
from dipops.stopping import Discrepancy
from dipops.study import Store, dask_client, problems_of, study
from dipops.study.statistics import deviation, difference, least_p, mean
from dipops.testing.examples import EXAMPLES
from dipops.tune import Discrepancy as DiscrepancyRule

PHOTO = images.portrait(32)
SMALL = DeepImagePrior(Hourglass((4,)))
DIP = Recipe(SMALL, Descent(average=0.9), 4, (), "a few steps")


def noisy(problem: Problem) -> Tensor:
    return problem.y


def grey(problem: Problem) -> Tensor:
    return torch.full_like(problem.y, 0.5)


def two_images(noise: float = 0.1) -> dict[str, Problem]:
    crops = {"left": PHOTO[:, :, :20], "right": PHOTO[:, 8:, 12:]}
    return {name: Problem.simulate(Identity(x.shape), x, noise) for name, x in crops.items()}


def seeds_of(found, contestant: str) -> set[tuple[int | None, int | None]]:
    runs = [record["run"] for record in found.records.values()]
    return {(run["noise_seed"], run["seed"]) for run in runs if run["contestant"] == contestant}


@pytest.mark.parametrize(
    ("noise", "noise_seed", "of_dip", "of_noisy"),
    [
        (0.1, None, {(0, 0), (1, 1)}, {(0, None), (1, None)}),
        (0.1, 5, {(5, 0), (5, 1)}, {(5, None)}),
        (0.1, "given", {(None, 0), (None, 1)}, {(None, None)}),
        (0.0, None, {(None, 0), (None, 1)}, {(None, None)}),
    ],
)
def test_noise_and_contestants_have_seeds_of_their_own(noise: float, noise_seed, of_dip: set, of_noisy: set) -> None:
    contestants = {"noisy": noisy, "DIP": DIP}
    found = study({"left": two_images(noise)["left"]}, contestants, 2, noise_seed=noise_seed, progress=False)
    assert seeds_of(found, "DIP") == of_dip
    assert seeds_of(found, "noisy") == of_noisy


def test_the_noise_is_drawn_with_its_seed_or_kept() -> None:
    problem = replace(two_images()["left"], y=0.3 + 0 * two_images()["left"].y)
    for noise_seed, expected in {
        None: [Problem.simulate(problem.operator, PHOTO[:, :, :20], 0.1, seed=seed).y for seed in (3, 4)],
        "given": [problem.y],
    }.items():
        found = study({"left": problem}, {"noisy": noisy}, range(3, 5), noise_seed=noise_seed, progress=False)
        scores = [record["scores"]["answer"]["psnr"] for record in found.records.values()]
        assert scores == [float(metrics.psnr(y.clamp(0, 1), problem.truth)) for y in expected]


def test_which_contestants_draw() -> None:
    problem = two_images()["left"]
    assert [draws(c, problem) for c in (DIP, SMALL, NoPrior(), lambda p, seed: p.y)] == [True] * 4
    assert [draws(c, problem) for c in (TotalVariation(0.1), recipes.limit(TotalVariation), noisy)] == [False] * 3


def test_a_function_whose_prior_draws_must_take_the_seed() -> None:
    found = study({"left": two_images()["left"]}, {"blind": lambda p: DIP, "DIP": lambda p, seed: DIP}, 1, progress=False)
    failed, made = found.records.values()
    assert "lambda problem, seed" in failed["failure"]
    assert (
        made["scores"] == study({"left": two_images()["left"]}, {"DIP": DIP}, 1, progress=False).records.popitem()[1]["scores"]
    )


def test_finished_runs_are_not_made_again_and_failed_ones_are(tmp_path: Path) -> None:
    calls, repaired = tmp_path / "calls", tmp_path / "repaired"

    def fragile(problem: Problem) -> Tensor:
        with calls.open("a") as file:
            file.write("x")
        if problem.operator.in_shape[1] < 32 and not repaired.exists():
            raise ZeroDivisionError("too small\nand more")
        return problem.y

    first = study(two_images(), {"grey": grey, "fragile": fragile}, 2, folder=tmp_path / "runs", progress=False)
    assert calls.read_text() == "x" * 4
    assert [row["images"] for row in first.table()] == [2, 1]
    assert "fragile (1 of 2 images)" in first.markdown()
    assert first.failures() == ["fragile failed on right: ZeroDivisionError: too small"]
    assert "right,fragile,1" in first.csv()
    first.figure()
    repaired.touch()
    second = study(two_images(), {"grey": grey, "fragile": fragile}, 2, folder=tmp_path / "runs", progress=False)
    assert calls.read_text() == "x" * 6
    assert second.failures() == []
    assert second.table()[1]["images"] == 2
    assert not any((tmp_path / "runs" / "failed").iterdir())
    second.store.discard()
    assert len(second.store.runs()) == 8


def test_an_interruption_ends_a_study_and_keeps_what_is_finished(tmp_path: Path) -> None:
    asked = tmp_path / "asked"

    def interrupted(problem: Problem) -> Tensor:
        if not asked.exists():
            asked.touch()
            raise KeyboardInterrupt
        return problem.y

    call = partial(study, two_images(), {"grey": grey, "other": interrupted}, 1, folder=tmp_path / "runs", progress=False)
    with pytest.raises(KeyboardInterrupt):
        call()
    (kept,) = Store(tmp_path / "runs").runs()
    before = (tmp_path / "runs" / f"{kept}.json").stat().st_mtime_ns
    assert len(call().records) == 4
    assert (tmp_path / "runs" / f"{kept}.json").stat().st_mtime_ns == before


def test_a_study_without_a_folder_leaves_nothing() -> None:
    found = study({"left": two_images()["left"]}, {"grey": grey}, 1, progress=False)
    folder = found.store.folder
    assert folder.exists()
    del found
    assert not folder.exists()


def scaled(factor: float) -> Callable[[Problem], Tensor]:
    return lambda problem: factor * problem.y


def scaled_and_moved(factor: float | None, shift: float | None) -> Callable[[Problem], Tensor]:
    return lambda problem: (factor or 1) * problem.y + (shift or 0)


class Scaling:
    """A function of a problem that keeps its setting to itself."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def __call__(self, problem: Problem) -> Tensor:
        return self._factor * problem.y


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, problem: Problem) -> Tensor:
        return self.factor * problem.y


class Lighter(Scaling):
    factors = torch.tensor([0.5])


SCALING = Scaling(0.5)


def by_scaling(problem: Problem) -> Tensor:
    return SCALING(problem)


def darker() -> type[Scaling]:
    """A class of the same name with other factors."""

    class Lighter(Scaling):
        factors = torch.tensor([0.4])

    Lighter.__qualname__, Lighter.__module__ = "Lighter", __name__
    return Lighter


class Doubled(LinearOperator):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def doubled_otherwise() -> type[LinearOperator]:
    """A class of the same name whose code is another."""

    class Doubled(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return 3 * x

    Doubled.__qualname__, Doubled.__module__ = "Doubled", __name__
    return Doubled


OTHER_PROBLEMS = {
    "σ": lambda p: Problem.simulate(p.operator, PHOTO, 0.11),
    "noise model": lambda p: Problem.simulate(p.operator, PHOTO, ClippedGaussian(0.1)),
    "truth": lambda p: Problem.simulate(p.operator, PHOTO.flip(1), 0.1),
    "weights": lambda p: Problem.simulate(p.operator, PHOTO, 0.1, weights=0.5 + PHOTO),
    "operator": lambda p: Problem.simulate(Mask(PHOTO[0] > 0.3, 3), PHOTO, 0.1),
    "mask": lambda p: Problem.simulate(Mask(PHOTO[0] > 0.4, 3), PHOTO, 0.1),
    "class": lambda p: Problem.simulate(Doubled(PHOTO.shape), PHOTO, 0.1),
    "its code": lambda p: Problem.simulate(doubled_otherwise()(PHOTO.shape), PHOTO, 0.1),
}
OTHER_CONTESTANTS = {
    "steps": replace(DIP, steps=5),
    "network": replace(DIP, prior=DeepImagePrior(Hourglass((5,)))),
    "average": replace(DIP, method=Descent(average=0.8)),
    "rule": replace(DIP, callbacks=(Discrepancy(),)),
    "rate": replace(DIP, method=Descent(partial(torch.optim.Adam, lr=0.1), average=0.9)),
    "optimiser": replace(DIP, method=Descent(lambda parameters: torch.optim.Adam(parameters, lr=0.1), average=0.9)),
    "its code": replace(DIP, method=Descent(lambda parameters: torch.optim.Adam(parameters, lr=0.2), average=0.9)),
    "adapt": replace(DIP, adapt=lambda recipe, problem: recipe),
    "prior": TotalVariation(0.1),
    "weight": TotalVariation(0.2),
    "function": grey,
    "code": lambda problem: problem.y,
    "closure": scaled(0.5),
    "its value": scaled(0.6),
    "a closure over None": scaled_and_moved(None, 0.5),
    "the other one": scaled_and_moved(0.5, None),
    "a private attribute": Scaling(0.5),
    "its own value": Scaling(0.6),
    "a slot": Slotted(0.5),
    "what is in it": Slotted(0.6),
    "a cached function": lru_cache(scaled(0.5)),
    "what is cached": lru_cache(scaled(0.6)),
    "a tensor of a class": Lighter(0.5),
    "its values": darker()(0.5),
    "best weight": BestWeight(TotalVariation),
    "best rule": BestWeight(TotalVariation, DiscrepancyRule()),
}


def test_keys_differ_wherever_the_result_may(tmp_path: Path) -> None:
    """One run of each would overwrite another's, or be taken for it, where two keys were the same."""
    problem = Problem.simulate(Identity(PHOTO.shape), PHOTO, 0.1)
    given = replace(problem, y=problem.y.flip(1))
    cases = [(problem, grey, seed, None) for seed in (0, 1)] + [(problem, grey, 0, "given"), (given, grey, 0, "given")]
    cases += [(other(problem), grey, 0, None) for other in OTHER_PROBLEMS.values()]
    cases += [(problem, contestant, 0, None) for name, contestant in OTHER_CONTESTANTS.items() if name != "function"]
    keys = [key_of(*case) for case in cases]
    assert len(set(keys)) == len(keys)
    assert key_of(Problem.simulate(Identity(PHOTO.shape), PHOTO, 0.1), grey, 0, None) == keys[0]
    assert key_of(problem, scaled(0.5), 0, None) == key_of(problem, OTHER_CONTESTANTS["closure"], 0, None)


def test_keys_follow_the_objects_that_a_function_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = two_images()["left"]
    before = key_of(problem, by_scaling, 0, None)
    monkeypatch.setattr(f"{__name__}.SCALING", Scaling(0.6))
    assert key_of(problem, by_scaling, 0, None) != before


def key_of(problem: Problem, contestant, seed: int, noise_seed) -> str:
    """The key of a run, which is not made."""
    with pytest.MonkeyPatch.context() as patch:
        keys: list[str] = []
        patch.setattr("dipops.study.plan.run_here", lambda tasks, *_: keys.extend(task.key for task in tasks))
        patch.setattr("dipops.study.plan.study_of", lambda *_: None)
        patch.setattr("dipops.study.plan.temporary_store", lambda: None)
        study({"photo": problem}, {"x": contestant}, [seed], noise_seed=noise_seed, progress=False)
    (key,) = keys
    return key


CONTENTS = """
from dipops import TotalVariation, recipes
from dipops._tools.fingerprints import contents
from dipops.contestants import BestWeight
WEIGHT = {"a", "b", "c", "d"}
def mine(problem, seed=3):
    return problem if "abc" in {"abc", "def", "ghi"} else WEIGHT
print(contents([recipes.denoise(), BestWeight(TotalVariation), mine]))
"""


def test_contents_are_the_same_in_every_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.py").write_text(CONTENTS)
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, str(tmp_path / "page.py")]
    other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    runpy.run_path(str(tmp_path / "page.py"), run_name="__main__")
    assert capsys.readouterr().out == other


@pytest.mark.parametrize("name", EXAMPLES)
def test_contents_are_the_same_after_use(name: str) -> None:
    operator = EXAMPLES[name]((3, 5, 7), torch.Generator().manual_seed(0))
    before = contents(operator)
    operator(torch.rand(1, *operator.in_shape))
    _ = operator.known, operator.norm() if isinstance(operator, LinearOperator) else None
    assert contents(operator) == before


def test_statistics_are_those_of_scipy() -> None:
    draw = np.random.default_rng(0)
    ours, theirs = ({f"image {k}": {(s, s): float(draw.normal()) for s in range(3)} for k in range(7)} for _ in range(2))
    means = np.array([[np.mean(list(by_draw.values())) for by_draw in scores.values()] for scores in (ours, theirs)])
    found = difference(ours, theirs)
    assert found is not None
    test = scipy.stats.ttest_1samp(means[0] - means[1], 0)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.p == pytest.approx(scipy.stats.wilcoxon(means[0], means[1]).pvalue)
    assert (found.mean, found.images) == (pytest.approx(np.mean(means[0] - means[1])), 7)
    assert mean(ours) == pytest.approx(means[0].mean())
    by_seed = [np.mean([by_draw[s, s] for by_draw in ours.values()]) for s in range(3)]
    assert deviation(ours) == pytest.approx(np.std(by_seed, ddof=1))
    for count in (3, 5):
        positive = scipy.stats.wilcoxon(np.arange(1, count + 1)).pvalue
        assert least_p(count) == pytest.approx(positive)


def test_differences_are_of_the_images_and_the_noise_that_both_have() -> None:
    ours = {"a": {(0, 0): 3.0, (1, 1): 9.0}, "b": {(0, 0): 4.0}, "c": {(0, 0): 7.0}}
    theirs = {"a": {(0, None): 1.0}, "b": {(0, None): 1.0}}
    found = difference(ours, theirs)
    assert found is not None
    assert (found.images, found.mean) == (2, 2.5)
    same = difference(ours, ours)
    assert same is not None
    assert (same.p, same.low, same.high) == (1.0, 0.0, 0.0)
    alone = difference({"a": {(0, 0): 3.0}}, theirs)
    assert alone is not None
    assert (alone.mean, alone.p, alone.low) == (2.0, None, None)
    assert difference({"c": {(0, 0): 3.0}}, theirs) is None
    assert difference({"a": {(0, 0): float("inf")}}, theirs) is None
    assert deviation({"a": {(0, 0): 3.0}}) is None


def test_a_study_of_one_run_says_what_compare_says() -> None:
    problem = two_images()["left"]
    contestants = {"TV": TotalVariation(0.1), "DIP": DIP, "own": noisy, "tuned": BestWeight(TotalVariation)}
    rows = study({"left": problem}, contestants, 1, progress=False).table()
    for row, expected in zip(rows, compare(problem, contestants, progress=False).rows(), strict=True):
        for name in ("psnr", "ssim", "data_psnr", "steps"):
            assert row[name] == pytest.approx(expected[name], abs=1e-5), name
        assert row["ended"] == expected["message"]
    assert compare(problem, {"own": noisy}).results["own"].image.equal(problem.y)


def test_last_average_stopped_and_oracle_are_columns_of_their_own() -> None:
    problem = two_images()["left"]
    outcome = outcome_of(replace(DIP, steps=12), problem, 0, False)
    assert list(outcome.columns) == ["answer", "last", "average", "stopped", "oracle"]
    assert outcome.columns["answer"][0].equal(outcome.result.average)
    assert outcome.columns["last"][0].equal(outcome.result.last)
    assert outcome.columns["oracle"][0].equal(outcome.result.observed[-1].image)
    never = outcome.columns["stopped"]
    assert never[0].equal(outcome.result.image), "a stop that kept nothing has the answer"
    easy = replace(problem, noise=0.6)
    stopped = outcome_of(replace(DIP, steps=12), easy, 0, False).columns["stopped"]
    assert 0 < stopped[1] < 12
    own = outcome_of(replace(DIP, steps=12, callbacks=(Discrepancy(),)), easy, 0, False)
    assert own.columns["stopped"][0].equal(own.result.image)
    assert list(outcome_of(TotalVariation(0.1), problem, None, False).columns) == ["answer"]


def test_answers_are_corrected_for_clipped_noise_and_images_of_functions_are_not() -> None:
    x = 0.2 * PHOTO
    noise = ClippedGaussian(0.2)
    problem = Problem.simulate(Identity(x.shape), x, noise)
    outcome = outcome_of(DIP, problem, 0, False)
    assert bool(outcome.result.debiased.all())
    assert outcome.columns["last"][0].equal(noise.debias(outcome.result.last))
    assert outcome_of(noisy, problem, None, False).columns["answer"][0].equal(problem.y)


def test_signals_volumes_and_two_channels_are_kept_exactly() -> None:
    for shape in ((40,), (2, 12, 12), (1, 6, 12, 12)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        problem = Problem.simulate(Identity(shape), x, 0.5)
        found = study({"x": problem}, {"own": noisy, "TV": TotalVariation(0.1)}, 1, progress=False)
        assert found.failures() == []
        answer = found.answer("own")
        assert answer is not None
        assert answer.equal(problem.y)
        assert found.table()[0]["psnr"] is not None
    assert "own" in found.markdown()


def test_operators_are_parts_of_a_table_and_rows_of_a_figure(tmp_path: Path) -> None:
    crops = {"left": PHOTO[:, :, :20], "right": PHOTO[:, 8:, 12:]}
    problems = problems_of(crops, {"as_it_is": Identity, "x4": lambda shape: LanczosDownsampler(shape, 4)}, 0.1)
    enlarged = lambda problem: torch.full((1, *problem.operator.in_shape), 0.5)  # noqa: E731
    found = study(problems, {"own": enlarged, "DIP": DIP}, 2, progress=False)
    rows = found.table("DIP")
    assert [(row["operator"], row["contestant"]) for row in rows] == [
        (o, c) for o in ("as_it_is", "x4") for c in ("own", "DIP")
    ]
    assert rows[0]["pairs"] == 2
    assert rows[1]["difference"] is None
    assert rows[0]["difference"] == pytest.approx(rows[0]["psnr"] - rows[1]["psnr"])
    assert rows[1]["oracle"] >= rows[1]["psnr"]
    text = found.markdown()
    assert "| as_it_is | own |" in text
    assert "never below 0.5" in text
    assert "- Measured by as_it_is and x4 with noise of σ = 0.1 (25.5/255)." in text
    lines = list(csv.DictReader(io.StringIO(found.csv())))
    assert len(lines) == 2 * 2 * 2 * 2
    scores = [float(line["answer_psnr"]) for line in lines if line["contestant"] == "DIP" and line["operator"] == "x4"]
    assert np.mean(scores) == pytest.approx(rows[3]["psnr"])
    figure = found.figure(rows=3)
    assert [axes.get_title() for axes in figure.axes[:4]] == ["measurement", "own", "DIP", "ground truth"]
    assert len(figure.axes) == 3 * 4
    rows_drawn = [axes.get_ylabel() for axes in figure.axes[::4]]
    assert rows_drawn == ["as_it_is, left", "as_it_is, right", "x4, left"], "the first images of every operator"
    assert re.search(r"\d dB", figure.axes[2].get_xlabel())
    plt.close(figure)
    latex = found.latex()
    assert r"as\_it\_is & own" in latex
    assert latex.count(r"\hline") == 4
    assert re.search(r"\$-\$\d", latex), "a negative difference has a minus sign"
    assert " & 0.5 & " in latex, "p is written in full"
    with pytest.raises(BadValue, match="the reference 'TV'"):
        found.table("TV")


def test_a_contestant_that_did_not_converge_is_named() -> None:
    short = Recipe(TotalVariation(0.1), PrimalDual(), 3, (), "")
    found = study(two_images(), {"short": short, "TV": TotalVariation(0.1)}, 2, progress=False)
    assert "short: 4 of 4 runs ended before they converged." in found.markdown()
    assert "TV: " not in found.markdown()


def test_a_change_of_an_imported_file_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep_one.py").write_text("def level(): return 0.2\n")
    (tmp_path / "near_one.py").write_text("import deep_one\nLAMBDA = 1\ndef image(): return deep_one.level()\n")
    (tmp_path / "mine_one.py").write_text("import near_one\nfrom near_one import image\ndef made(p): return p.y * image()\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module("mine_one").made
    before = contents(made)
    assert contents(made) == before
    for name, text in (("near_one", "import deep_one\nLAMBDA = 2\n"), ("deep_one", "def level(): return 0.3\n")):
        (tmp_path / f"{name}.py").write_text(text)
        assert contents(made) != before
        before = contents(made)


def test_contestants_of_compare_do_not_touch_one_another() -> None:
    problem = two_images()["left"]
    y = problem.y.clone()
    found = compare(problem, {"halved": lambda p: p.y.mul_(0.5), "own": noisy}, progress=False)
    assert problem.y.equal(y)
    assert found.results["own"].image.equal(y)
    with pytest.raises(ZeroDivisionError) as raised:
        compare(problem, {"oops": lambda p: 1 / 0}, progress=False)
    assert raised.value.__notes__ == ["raised by the contestant 'oops'"]


def test_latex_escapes_what_it_would_read_and_compiles(tmp_path: Path) -> None:
    name = r"50%_off & $x^2$ #1 {a} \cmd ~ <b> [c] ± σ"
    text = tables.latex([name, "b"], [[name, 1], [], ["[d]", 2]])
    assert r"50\%\_off \& \$x\textasciicircum{}2\$ \#1 \{a\} \textbackslash{}cmd" in text
    assert "{[}d] & 2" in text, "a bracket after a line break would be read as its length"
    if shutil.which("pdflatex"):
        page = f"\\documentclass{{article}}\\begin{{document}}{text}\\end{{document}}"
        (tmp_path / "page.tex").write_text(page)
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_figures_write_names_as_they_are_and_keep_the_truth_last() -> None:
    image = torch.rand(1, 8, 8)
    rows = {r"a$\frac$": {"y": image, "x": image}, "b": {"y": image, "TV_$^": image, "x": image}}
    figure = plot.grid(rows)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes[:3]] == ["y", "TV_$^", "x"], "one failed on the first image"
    plt.close(figure)


def test_a_function_without_a_signature_takes_a_problem() -> None:
    problem = two_images()["left"]
    found = study({"left": problem}, {"max": max}, 1, progress=False)
    assert "TypeError" in found.failures()[0]


BATCH = Problem.simulate(Identity(PHOTO.shape), torch.stack([PHOTO, PHOTO]), 0.1)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda p: study([p["left"]], {"a": grey}), BadType, "a list for the problems"),
        (lambda p: study({}, {"a": grey}), BadValue, "no problems"),
        (lambda p: study(p, {}), BadValue, "no contestants"),
        (lambda p: study(p, [("a", grey), ("a", grey)]), BadType, "a list for the contestants; expected a dict"),
        (lambda p: study(p, {"a": 3}), BadType, "a int for the contestant 'a'"),
        (lambda p: study(p, {"a|b": grey}), BadValue, "one line without"),
        (lambda p: study(p, {"a": TotalVariation}), BadType, "the class TotalVariation for the contestant 'a'"),
        (lambda p: study(p, {"a": grey}, 0), BadValue, "seeds = 0"),
        (lambda p: study(p, {"a": grey}, [1, 1]), BadValue, r"seeds = \[1, 1\]"),
        (lambda p: study(p, {"a": grey}, noise_seed=-1), BadValue, "noise_seed = -1"),
        (lambda p: study(p | {("b", "c"): p["left"]}, {"a": grey}), BadValue, "all images, or all pairs"),
        (
            lambda p: study(p | {"grey": two_grey()}, {"a": grey}),
            BadValue,
            "left of shape .* and grey of shape .* same channels",
        ),
        (lambda p: study({"a": Problem(p["left"].operator, p["left"].y)}, {"a": grey}), BadValue, "without its ground truth"),
        (lambda p: study({"a": BATCH}, {"a": grey}), BadValue, "of 2 images; expected one image"),
        (lambda p: study({"tiny": tiny()}, {"DIP": DeepImagePrior()}), BadValue, "DIP on tiny: .*16 pixels"),
        (lambda p: study({"a": tiny().y}, {"a": grey}), BadType, "a torch.Tensor for the problem"),
        (lambda p: Problem(Identity(PHOTO.shape), PHOTO, 0.1, truth=PHOTO[:, :20]), BadValue, "truth"),
        (lambda p: problems_of([PHOTO], {"as it is": Identity}, 0.1), BadType, "a list for the images; expected a dict"),
        (
            lambda p: problems_of({"a": to_pil(PHOTO)}, {"as it is": Identity}, 0.1),
            BadType,
            "for the image 'a'; expected a tensor",
        ),
        (lambda p: study(problems_of({"a": 255 * PHOTO}, {"b": Identity}, 25), {"a": grey}), BadValue, "divide 8-bit values"),
        (lambda p: problems_of({"a": PHOTO}, Identity, 0.1), BadType, "the class Identity for the operators"),
        (lambda p: problems_of({"a": PHOTO}, {"b": "identity"}, 0.1), BadType, "str for the operator 'b'"),
        (lambda p: problems_of({"a": PHOTO}, {"b": Identity(PHOTO.shape)}, 0.1), BadType, "a function of an image's shape"),
        (lambda p: problems_of({"a": PHOTO[None]}, {"b": Identity}, 0.1), BadValue, r"expected \(C, H, W\).*pass x\[0\]"),
    ],
)
def test_bad_studies_are_refused_before_anything_runs(call, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        call(two_images())


def two_grey() -> Problem:
    return Problem.simulate(Identity((1, 32, 32)), PHOTO[:1], 0.1)


def tiny() -> Problem:
    return Problem.simulate(Identity((3, 8, 8)), PHOTO[:, :8, :8], 0.1)


@pytest.mark.parametrize(
    ("contestant", "words"),
    [
        (lambda p: p.y[0], "an image of shape"),
        (lambda p: p.y / 0, "NaN or infinity"),
        (lambda p: None, "NoneType for the contestant"),
        (BestWeight(TotalVariation), "use Discrepancy"),
    ],
)
def test_what_a_function_gives_is_checked(contestant, words: str) -> None:
    x = PHOTO.clamp(min=0.1)
    found = study(
        {"x": Problem.simulate(Identity(x.shape), x, Poisson(50))}, {"mine": contestant, "own": noisy}, 1, progress=False
    )
    (failure,) = found.failures()
    assert words in failure
    assert found.table()[0]["psnr"] is None
    assert found.table()[1]["psnr"] is not None


@pytest.mark.slow
def test_the_workers_of_a_cluster_make_the_runs(tmp_path: Path) -> None:
    def fails(problem: Problem) -> Tensor:
        raise ValueError("no")

    with dask_client(None, 1) as client:
        found = study(two_images(), {"DIP": DIP, "bad": fails}, 2, folder=tmp_path, client=client, progress=False)
    alone = study(two_images(), {"DIP": DIP, "bad": fails}, 2, progress=False)
    assert found.table()[0]["psnr"] == pytest.approx(alone.table()[0]["psnr"], abs=1e-6)
    assert found.failures() == alone.failures()
