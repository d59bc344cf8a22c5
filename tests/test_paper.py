"""The paper's experiments: runs of every one, a store that loses nothing, tables, figures and a report."""

import csv
import errno
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from dataclasses import asdict, replace
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from dipops import ClippedGaussian, GuidedInput, Identity, Mask, Problem, images, masks, metrics
from dipops import classical as comparators
from dipops.errors import BadFile, BadValue
from dipops.operators.interface import LinearOperator
from dipops.paper.config import RunConfig
from dipops.paper.contestants import Contestant
from dipops.paper.data import PaperImage
from dipops.paper.experiments import EXPERIMENTS, experiment
from dipops.paper.figures import figure
from dipops.paper.report import report
from dipops.paper.runs import Run, finished, perform, plan, require_runnable, tasks
from dipops.paper.tables import every_run, table, table_of
from dipops.study import runner
from dipops.study.cluster import dask_client, run_on
from dipops.study.store import Store
from tests import commands
from tests.run_all import run_all

TINY = RunConfig(crop=32, steps=0.0005, settings="light")
LONGER = replace(TINY, steps=0.002)  # long enough to be killed in the middle


def data_for(folder: Path, *names: str, count: int | None = None) -> Path:
    """A folder with images, or the first so many, of the right sizes for some experiments, from the bundled photograph."""
    for name in names:
        for image in experiment(name).images[:count]:
            for role, file in image.files.items():
                channels, *size = image.shape_of(role)
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                resized = images.resize(images.photograph(), size)
                images.save(path, resized if channels == 3 else resized.mean(0, keepdim=True))
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_makes_problems_of_its_images(name: str) -> None:
    row = EXPERIMENTS[name]
    for image in row.images[:2]:
        files = {
            role: torch.rand(image.shape_of(role)[0], 64, 96, generator=torch.Generator().manual_seed(0))
            for role in image.files
        }
        problem = row.problem(image.name, files)
        assert isinstance(problem, Problem)
        assert row.score is None or problem.truth is not None
    assert all(contestant.settings("paper") for contestant in row.contestants.values())
    assert {column for figures in row.printed.values() for column in figures} <= {"last", "average", "answer"}


def test_the_paper_is_complete() -> None:
    assert {len(EXPERIMENTS[name].images) for name in ("denoise-25", "denoise-50")} == {9}
    assert [len(EXPERIMENTS[f"x{factor}-{name}"].images) for factor in (4, 8) for name in ("set5", "set14")] == [5, 14, 5, 14]
    assert len(EXPERIMENTS["missing-50"].images) == 11
    matched = [row for row in EXPERIMENTS.values() if row.name.endswith("matched")]
    assert len(matched) == 4
    assert not any(row.printed for row in matched)


@pytest.mark.data
def test_the_small_images_of_the_paper_are_not_those_of_the_operator(data: Path) -> None:
    """The ground truth satisfies Ax = y only to about 43 dB where Pillow has reduced it, and exactly where the operator has."""
    for name, expected in (("x4-set5", 43), ("x4-set5-matched", 90)):
        row, fits = EXPERIMENTS[name], []
        for image in row.images:
            problem = row.problem_for(image.name, data)
            assert isinstance(problem.operator, LinearOperator)
            assert problem.truth is not None
            fits.append(float(-10 * (problem.operator(problem.truth) - problem.y).square().mean().log10()))
        assert min(fits) > 90 if expected == 90 else sum(fits) / len(fits) == pytest.approx(expected, abs=1.5)


@pytest.mark.data
def test_bicubic_has_the_known_score_on_the_papers_small_images(data: Path) -> None:
    row = EXPERIMENTS["x4-set5"]
    assert row.score is not None
    scores = []
    for image in row.images:
        problem = row.problem_for(image.name, data)
        assert problem.truth is not None
        scores.append(float(row.score(comparators.bicubic(problem), problem.truth)))
    assert sum(scores) / len(scores) == pytest.approx(28.71, abs=0.02)


def test_an_unknown_experiment_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(BadValue, match=r"experiment 'denoise25'.*nearest are denoise-25"):
        experiment("denoise25")


def test_all_missing_and_wrong_images_are_named_before_anything_runs(tmp_path: Path) -> None:
    folder = data_for(tmp_path, "hole")
    images.save(folder / "inpainting/reference/vase.png", images.portrait(32))
    (folder / "inpainting/reference/vase_mask.png").unlink()
    with pytest.raises(BadFile, match=r"images are missing or differ: .*vase.png of 32 x 32.*, no file at .*vase_mask.png"):
        require_runnable(plan(["hole"], 1, TINY), folder)
    with pytest.raises(BadFile, match="no folder"):
        require_runnable(plan(["hole"], 1, TINY), tmp_path / "nowhere")
    with pytest.raises(BadFile, match="no file .*weights.alexnet"):
        require_runnable(plan(["preimage"], 1, TINY, ["conv1"]), data_for(tmp_path / "photos", "preimage"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RunConfig(crop=16), "a crop of 16"),
        (lambda: RunConfig(steps=0), "0 of the steps"),
        (lambda: RunConfig(steps=1.5), "1.5 of the steps"),
        (lambda: plan(["hole"], 1, TINY, contestants=["BM4D"]), "the nearest are"),
        (lambda: plan(["preimage"], 1, TINY, layers=["conv1"], contestants=["conv2, TV"]), "nothing to run"),
    ],
)
def test_bad_plans_are_refused(make, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        make()


def test_a_plan_has_every_seed_of_what_is_random_and_one_of_the_rest() -> None:
    runs = plan(["hole"], 3, TINY)
    counts = {name: sum(run.contestant == name for run in runs) for name in EXPERIMENTS["hole"].contestants}
    assert counts == {"DIP": 3, "biharmonic": 1, "TV": 1}
    assert len({run.key for run in runs}) == len(runs)
    layers = plan(["preimage"], 1, TINY, layers=["conv1", "conv5"])
    assert {run.contestant.partition(",")[0] for run in layers} == {"conv1", "conv5"}


def test_a_key_changes_with_all_that_a_result_depends_on() -> None:
    runs = [
        Run("hole", "vase", "DIP", 0, TINY),
        Run("hole", "vase", "DIP", 1, TINY),
        Run("hole", "vase", "DIP", 0, RunConfig(64, 0.0005, "light")),
        Run("hole", "vase", "DIP", 0, RunConfig(32, 0.0005)),
        Run("hole", "vase", "TV", 0, TINY),
    ]
    assert len({run.key for run in runs}) == 5


@pytest.fixture(scope="module")
def hole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the smallest experiment."""
    return data_for(tmp_path_factory.mktemp("data"), "hole")


@pytest.fixture(scope="module")
def study(hole: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, list[Run]]:
    """A finished experiment: its store, its data folder and its runs."""
    store = Store(tmp_path_factory.mktemp("out"))
    runs = plan(["hole"], 2, TINY, contestants=["DIP", "biharmonic"])
    runner.run(tasks(runs, hole), store, progress=False)
    return store, hole, runs


def test_a_run_leaves_a_record_and_an_image(study) -> None:
    store, _, runs = study
    for run in runs:
        record = store.record(run.key)
        assert record["run"] == asdict(run)
        assert images.load(store.image(run.key)).shape == (3, 32, 32)
        columns = {"answer"} if run.contestant == "biharmonic" else {"average", "last", "stopped", "projected", "oracle"}
        assert set(record["scores"]) == columns
        assert record["shape"] == [3, 32, 32]


def test_a_store_is_not_continued_with_other_images_of_the_same_names(study, tmp_path: Path) -> None:
    store, _, runs = study
    folder = data_for(tmp_path, "hole")
    images.save(folder / "inpainting/reference/vase.png", 1 - images.load(folder / "inpainting/reference/vase.png"))
    with pytest.raises(BadFile, match="hole-vase-biharmonic.* made from other files"):
        runner.run(tasks(runs, folder), store, progress=False)


def test_a_finished_run_is_not_made_again(study) -> None:
    store, folder, runs = study
    unwanted = [replace(task, perform=lambda *_: pytest.fail("it was made again")) for task in tasks(runs, folder)]
    runner.run(unwanted, store, progress=False)


def test_an_exact_image_has_an_infinite_score(study) -> None:
    """JSON has no infinity: a record holds it as text."""
    store, *_ = study
    row = EXPERIMENTS["hole"]
    *_, (last, record) = finished(row, store).items()
    exact = {column: dict.fromkeys(scores, "inf") for column, scores in record["scores"].items()}
    assert "| inf |" in table(row, last.config, {last: record | {"scores": exact}}, store).markdown()


def test_a_table_of_a_smaller_version_has_no_printed_figures_beside_it(study) -> None:
    store, folder, runs = study
    row = EXPERIMENTS["hole"]
    drawn = table(row, TINY, finished(row, store), store, folder)
    lines = list(csv.DictReader(io.StringIO(drawn.csv())))
    assert [line["system"] for line in lines] == ["DIP", "biharmonic", "DIP, mean of 2 runs"]
    assert drawn.heads[-1].startswith("oracle")
    scores = [store.record(run.key)["scores"] for run in runs if run.contestant == "DIP"]
    average, spread = map(float, lines[0]["average"].split(" ± "))
    values = [columns["average"]["PSNR"] for columns in scores]
    assert average == pytest.approx(sum(values) / 2, abs=0.006)
    assert spread == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=0.006)
    assert not {"printed", "ours - printed"} & lines[0].keys()
    assert "crops of 32 pixels, 0.05% of the steps, light settings" in drawn.notes
    assert "not to be compared" in drawn.notes
    restored = torch.stack([images.load(store.image(run.key)) for run in runs if run.contestant == "DIP"])
    problem = row.problem_for("vase", folder, 32)
    assert problem.truth is not None
    error = (restored.mean(0) - problem.truth[0]).square().mean()
    assert float(lines[2]["average"]) == pytest.approx(float(-10 * error.log10()), abs=0.006)
    assert float(lines[2]["average, projected onto A x = y"]) > float(lines[2]["average"]), "the known pixels are right"
    assert "| DIP |" in drawn.markdown()
    assert r"\begin{tabular}" in drawn.latex()
    assert len(list(csv.DictReader(io.StringIO(every_run(row, finished(row, store)).csv())))) == 11
    with pytest.raises(BadValue, match="no run of hole at"):
        table(row, RunConfig(), finished(row, store), store)


def test_some_images_are_compared_only_where_the_paper_prints_theirs(study) -> None:
    """Table 1 is printed image by image; of denoising only the mean of nine is."""
    store, _, runs = study
    record = store.record(runs[0].key) | {"scores": {"last": {"PSNR": 40.0}, "average": {"PSNR": 41.0}}}
    lines = {}
    for name, count in (("missing-50", 3), ("denoise-25", 3), ("denoise-25", 9)):
        some = plan([name], 1, RunConfig(), contestants=["DIP"], images=count)
        assert len(some) == count
        drawn = table(EXPERIMENTS[name], RunConfig(), dict.fromkeys(some, record), store)
        lines[name, count] = next(csv.DictReader(io.StringIO(drawn.csv())))
    assert lines["missing-50", 3]["printed"] == "34.81", "the mean of the three"
    assert lines["missing-50", 3]["ours - printed"] == "+5.19"
    assert "ours - printed" not in lines["denoise-25", 3]
    assert lines["denoise-25", 9]["ours - printed"] == "+10.78, +10.57"


def test_a_printed_average_is_compared_with_the_answer_of_what_has_no_average(study) -> None:
    """The mean of runs that stopped by themselves is one image."""
    store, _, runs = study
    record = store.record(runs[0].key) | {"scores": {"stopped": {"PSNR": 31.5}, "debiased": {"PSNR": 31.7}}}
    every = dict.fromkeys(plan(["denoise-25"], 1, RunConfig(), contestants=["DIP"]), record)
    drawn = table_of(EXPERIMENTS["denoise-25"], RunConfig(), {"DIP": every, "mean of the runs": every})
    single, mean, *_ = csv.DictReader(io.StringIO(drawn.csv()))
    assert (mean["printed"], mean["ours - printed"]) == ("31.00", "+0.50")
    assert single["ours - printed"] == "–", "two are printed"


def test_a_mean_is_over_seeds_and_then_over_images(study) -> None:
    """Otherwise an image with more seeds than the others would count more than they."""
    store, _, runs = study
    first, *others = plan(["denoise-25"], 1, RunConfig(), contestants=["DIP"])
    dB = {first: 30.0, replace(first, seed=1): 32.0} | dict.fromkeys(others, 20.0)
    record = store.record(runs[0].key)
    records = {run: record | {"scores": {"average": {"PSNR": value}}} for run, value in dB.items()}
    line = next(csv.DictReader(io.StringIO(table(EXPERIMENTS["denoise-25"], RunConfig(), records, store).csv())))
    assert line["average"] == f"{(31 + 8 * 20) / 9:.2f}", "no deviation, for only one image has two seeds"
    assert line["system"] == "DIP (not every image with every seed)"


def test_a_full_disk_loses_nothing(study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _, (first, *_) = study
    record, image = store.record(first.key), images.load(store.image(first.key))[None]
    out = Store(tmp_path)
    out.save("before", record, image)
    before = _files(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadFile, match="No space left on device.*room on the disk"):
        out.save("after", record, image)
    assert not out.has("after")
    assert _files(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {*before, "locks"}


@pytest.mark.slow
def test_a_run_that_is_killed_five_times_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL at random moments; finished runs stay as they are, to the last byte, and are not touched again."""
    folder, out = data_for(tmp_path / "data", "hole"), tmp_path / "out"
    runs = plan(["hole"], 8, LONGER, contestants=["DIP"])
    draw, finished_files, killed = random.Random(0), {}, 0
    while killed < 5:
        process = multiprocessing.get_context("spawn").Process(target=run_all, args=(runs, out, folder))
        process.start()
        before = len(finished_files)
        deadline = time.monotonic() + 120
        while len(_files(out)) <= before + 1 and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.join()
        killed += 1
        now = _files(out)
        assert {path: now[path] for path in finished_files} == finished_files, "a finished run was made again, or broken"
        finished_files = now
        for run in runs:
            assert not Store(out).has(run.key) or Store(out).record(run.key)["run"] == asdict(run)
    runner.run(tasks(runs, folder), Store(out), progress=False)
    now = _files(out)
    assert {path: now[path] for path in finished_files} == finished_files
    assert len(now) == 2 * len(runs) + 1


def _files(out: Path) -> dict[str, tuple[int, bytes]]:
    """The files of finished runs: when they were written, and their bytes."""
    records = [path for path in out.glob("*.json") if path.exists()]
    restored = [path.with_suffix(".png") for path in records if path.name != "store.json"]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (*records, *restored)}


@pytest.fixture(scope="module")
def forking() -> ForkServerContext:
    """Processes that begin as copies of one in which the package is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.run_all", "distributed"])
    forkserver.ensure_running()
    return context


@pytest.mark.slow
def test_two_processes_share_a_folder(forking: ForkServerContext, hole: Path, tmp_path: Path) -> None:
    runs = plan(["hole"], 3, TINY, contestants=["DIP"])
    both = [forking.Process(target=run_all, args=(runs, tmp_path / "out", hole)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert all(Store(tmp_path / "out").has(run.key) for run in runs)


@pytest.mark.slow
def test_the_runs_of_a_lost_worker_are_made_by_another(forking: ForkServerContext, hole: Path, tmp_path: Path) -> None:
    """One of two is killed as soon as the first run is finished."""
    import distributed  # noqa: F401  it adds its settings to those of Dask
    from dask import config

    store, runs = Store(tmp_path), plan(["hole"], 3, LONGER, contestants=["DIP"])
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with config.set(method), dask_client(None, 2) as client:
        processes = client.run(os.getpid)

        def kill() -> None:
            while not any(store.has(run.key) for run in runs):
                time.sleep(0.01)
            os.kill(next(iter(processes.values())), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        run_on(client, tasks(runs, hole), store, progress=False)
        killer.join()
    assert all(store.has(run.key) for run in runs)


def test_a_store_of_another_format_or_folder_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text(json.dumps({"dipops store": 99}))
    with pytest.raises(BadFile, match="of format 99; expected format 3"):
        Store(tmp_path / "store")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.json").write_text("{}")
    with pytest.raises(BadFile, match=r"without store\.json"):
        Store(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFile, match="cannot make"):
        Store(tmp_path / "file" / "store")


def test_a_file_that_is_no_run_is_ignored(tmp_path: Path) -> None:
    (Store(tmp_path).folder / "notes.json").write_text("{}")
    assert Store(tmp_path).runs() == []


def test_a_scheduler_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dipops.study.cluster._PATIENCE", 1)
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        with pytest.raises(BadValue, match="without a worker"), dask_client(address, None):
            pass


def test_a_scheduler_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dipops.study.cluster._PATIENCE", 1)
    with pytest.raises(BadValue, match="no scheduler at tcp://127"), dask_client("tcp://127.0.0.1:9", None):
        pass


def test_a_record_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("run", {"scores": {}}, torch.rand(1, 3, 16, 16))
    (tmp_path / "run.json").write_text('{"scores": ')
    with pytest.raises(BadFile, match="delete it to make the run again"):
        store.record("run")


ALIKE = ("denoise-50", "x8-set5", "x8-set14", "x4-set14", *(name for name in EXPERIMENTS if "matched" in name))
WITH_WEIGHTS = ("preimage", "maximise")


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in (*ALIKE, *WITH_WEIGHTS)])
def test_every_kind_of_table_and_figure_is_made(name: str, tmp_path: Path) -> None:
    """With images that the project may ship, one of each experiment, and the systems whose packages are installed."""
    row, folder = EXPERIMENTS[name], data_for(tmp_path / "data", name, count=1)
    ready = [system for system, contestant in row.contestants.items() if _is_ready(contestant, folder)]
    planned = plan([name], 1, TINY, contestants=ready, images=1)
    store = Store(tmp_path / "out")
    runner.run(tasks(planned, folder), store, progress=False)
    runs = finished(row, store)
    assert len(runs) == len(planned) == len(ready)
    assert [cells[0] for cells in table(row, TINY, runs, store, folder).rows][: len(ready)] == ready
    drawing = figure(row, TINY, runs, store, folder)
    assert drawing.get_axes()
    plt.close(drawing)


def _is_ready(contestant: Contestant, folder: Path) -> bool:
    try:
        contestant.require(folder)
    except BadValue:
        return False
    return True


@pytest.mark.parametrize(
    ("restore", "package"),
    [
        (comparators.non_local_means, "skimage"),
        (comparators.bm3d, "bm3d"),
        (comparators.wavelet, "pywt"),
        (comparators.biharmonic, "skimage"),
        (comparators.convolutional_sparse_coding, "sporco"),
        (comparators.guided_filter, "cv2"),
        (comparators.joint_bilateral_filter, "cv2"),
    ],
)
def test_every_comparator_restores(restore, package: str) -> None:
    pytest.importorskip(package)
    x = images.portrait(64)
    if restore is comparators.convolutional_sparse_coding:
        x = x.mean(0, keepdim=True)
    holes = restore in (comparators.biharmonic, comparators.convolutional_sparse_coding)
    guided = restore in (comparators.guided_filter, comparators.joint_bilateral_filter)
    operator = Mask(masks.random((64, 64), keep=0.5), len(x)) if holes else GuidedInput(x) if guided else Identity(x.shape)
    problem = Problem.simulate(operator, x, 0 if holes else ClippedGaussian(0.1))
    before, after = (float(metrics.psnr(image.clamp(0, 1), x[None])) for image in (problem.y, restore(problem)))
    assert after > before + (10 if holes else 2)


def test_a_crop_has_known_and_unknown_pixels(tmp_path: Path) -> None:
    """Letters near a corner: the cut goes to the nearest of them."""
    known = torch.ones(1, 96, 128)
    known[:, 70:80, 100:110] = 0
    images.save(tmp_path / "mask.png", known)
    cut = PaperImage("a", {"mask": "mask.png"}, (1, 96, 128)).read(tmp_path, 32)["mask"]
    assert cut.shape == (1, 32, 32)
    assert 0.05 <= float((cut < 0.5).float().mean()) <= 0.1


def test_networks_are_inverted_and_their_preimages_classified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights: the run is made and scored."""
    from dipops.operators.networks import AlexNet, SqueezeNet
    from dipops.paper import networks

    monkeypatch.setattr(
        networks, "_load", lambda network, data: AlexNet(complete=False) if network is AlexNet else SqueezeNet()
    )
    folder = data_for(tmp_path, "preimage")
    record, image = perform(Run("preimage", "monkey", "conv1, DIP", 0, RunConfig(64, 0.001)), folder)
    assert image.shape == (1, 3, 64, 64)
    assert set(record["scores"]["answer"]) == {"error", "probability"}


def test_the_files_of_an_image_are_cut_alike_in_the_middle(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 48, 64).contiguous()
    images.save(tmp_path / "a.png", ramp)
    files = PaperImage("a", {"truth": "a.png", "mask": "a.png"}, (1, 48, 64)).read(tmp_path, 32)
    assert files["truth"].shape == (1, 32, 32)
    assert files["truth"].equal(files["mask"])
    torch.testing.assert_close(files["truth"], images.load(tmp_path / "a.png")[:, 8:40, 16:48])


def command(*arguments: object) -> int:
    """Exit code of ``dipops paper`` with these arguments, in this process."""
    return commands.run("paper", *arguments)


SMALL = ("--crop", 32, "--steps", 0.0005, "--light")


def test_the_command_runs_prints_draws_and_scores(hole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = hole, tmp_path / "out"
    options = ("--data", folder, "--out", out, *SMALL)
    assert command("run", "hole", *options, "--seeds", 2, "--only", "DIP", "--only", "biharmonic", "--quiet") == 0
    assert command("table", "hole", *options) == 0
    shown = capsys.readouterr().out
    assert "| DIP, mean of 2 runs |" in shown
    assert command("table", "hole", *options, "--form", "runs") == 0
    assert len(capsys.readouterr().out.splitlines()) == 12
    assert command("figure", "hole", *options, "--output", tmp_path / "hole.png") == 0
    assert images.load(tmp_path / "hole.png").shape[0] == 3
    assert command("report", *options[:4], "--output", tmp_path / "paper.html") == 0
    page = (tmp_path / "paper.html").read_text()
    assert page.count('type="range"') == 1
    assert page.count("<polyline") == 2
    assert "http" not in page
    images.save(tmp_path / "out" / "vase.png", images.load(folder / "inpainting/reference/vase.png"))
    assert command("score", "hole", "--data", folder, "--images", out, "--csv", tmp_path / "scores.csv") == 0
    assert "| vase | inf |" in capsys.readouterr().out
    assert (tmp_path / "scores.csv").read_text().startswith("image,PSNR")


def test_inputs_are_written_and_images_of_another_system_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, inputs = data_for(tmp_path / "data", "x4-set5"), tmp_path / "inputs"
    assert command("inputs", "x4-set5", "--data", folder, "--output", inputs) == 0
    assert images.load(inputs / "head.png").shape == (3, 64, 64)
    larger = tmp_path / "larger"
    larger.mkdir()
    images.save(larger / "head.png", images.resize(images.load(inputs / "head.png"), (256, 256)).clamp(0, 1))
    assert command("score", "x4-set5", "--data", folder, "--images", larger) == 0
    shown = capsys.readouterr().out
    assert "1 of 5 images" in shown
    assert "printed" not in shown, "the printed mean is over five"
    images.save(larger / "head.png", torch.rand(3, 512, 512))
    assert command("score", "x4-set5", "--data", folder, "--images", larger) == 2
    assert "512 x 512 pixels; expected 256 x 256" in capsys.readouterr().err


def test_the_command_lists_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in EXPERIMENTS)
    assert command("list", "hole") == 0
    assert "inpainting/reference/vase.png, inpainting/reference/vase_mask.png" in capsys.readouterr().out
    assert command("list", "preimage") == 0
    assert "  conv5, TV\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "denoise"), "the nearest are denoise-"),
        (("run", "hole"), "images are missing"),
        (("table", "hole"), "no runs in"),
        (("run", "hole", "--only", "BM4D"), "system 'BM4D'; expected one that dipops paper list shows"),
        (("run", "preimage", "--layers", "conv9"), "layer 'conv9'"),
        (("figure", "hole", "--output", "figure.xyz"), "with suffix"),
        (("score", "jpeg", "--images", "."), "has no ground truth"),
        (("run", "hole", "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"), "one of them"),
        (("run", "hole", "--device", "cpu", "--workers", "2"), "leave --device out"),
        (("run", "hole", "--crop", "8"), "a crop of 8"),
        (("run", "hole", "--steps", "2"), "2.0 of the steps"),
    ],
)
def test_bad_commands_end_with_a_line_and_code_2(arguments, words: str, tmp_path: Path, capsys) -> None:
    data = ("--data", tmp_path) if arguments[0] != "list" else ()
    out = ("--out", tmp_path / "none") if arguments[0] in ("run", "table", "figure") else ()
    assert command(*arguments, *data, *out) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_the_slider_of_the_report_can_be_dragged(study, tmp_path: Path) -> None:
    """In a headless Chromium, as wide as a desk and as narrow as a telephone: the image follows, and nothing is cut off."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver here")
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    store, folder, _ = study
    (tmp_path / "paper.html").write_text(report(store, folder)[0])
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as page:
        for width in (1280, 390):
            page.set_window_size(width, 900)
            page.get((tmp_path / "paper.html").as_uri())
            slider = page.find_element(By.CSS_SELECTOR, "input[type=range]")
            page.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
            clips = [_clip(page)]
            for pull in (0.4, -0.4):  # from the middle of the slider
                across = int(slider.size["width"] * pull)
                webdriver.ActionChains(page).click_and_hold(slider).move_by_offset(across, 0).release().perform()
                clips.append(_clip(page))
            assert clips[0] == 50
            assert clips[1] > 75
            assert clips[2] < 25
            assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def _clip(page) -> float:
    """How much of the answer is hidden, in percent from the left."""
    style = page.execute_script("return getComputedStyle(document.querySelector('.after')).clipPath")
    return float(style.replace(")", "").replace("px", "").split()[-1].rstrip("%"))


def test_a_store_that_another_process_makes_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glob = Path.glob

    def late(folder: Path, pattern: str) -> list[Path]:
        monkeypatch.undo()
        Store(tmp_path)
        return list(glob(folder, pattern))

    monkeypatch.setattr(Path, "glob", late)
    assert Store(tmp_path).runs() == []
