"""The paper's experiments: rows that can be run, a store that loses nothing, tables that say what they are."""

import csv
import errno
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from dipops import BadFile, BadValue, GuidedInput, Identity, Mask, Problem, cli, images, metrics
from dipops import classical as comparators
from dipops.operators.interface import LinearOperator
from dipops.paper.cluster import cluster, run_on
from dipops.paper.contestants import Contestant
from dipops.paper.experiments import EXPERIMENTS, experiment
from dipops.paper.figures import figure
from dipops.paper.pictures import Case, Source
from dipops.paper.report import write_report
from dipops.paper.runner import require_runnable, run
from dipops.paper.store import Store
from dipops.paper.tables import Run, every_run, finished, table
from dipops.paper.tasks import Size, Task, perform, plan
from dipops.recipes import Variant

TINY = Size(crop=32, steps=0.002, variant=Variant.LIGHT)


def made(folder: Path, *names: str) -> Path:
    """A folder with pictures of the right sizes for some experiments, made from the bundled photograph."""
    for name in names:
        for case in experiment(name).cases:
            for source in case.sources.values():
                path = folder / source.file
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = images.resize(images.photograph(), (source.height, source.width))
                images.save(path, picture if source.channels == 3 else picture.mean(0, keepdim=True))
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_is_a_problem_of_its_pictures(name: str) -> None:
    row = EXPERIMENTS[name]
    for case in row.cases[:2]:
        given = {
            role: torch.rand(source.channels, 64, 96, generator=torch.Generator().manual_seed(0))
            for role, source in case.sources.items()
        }
        problem = row.problem(case.name, given)
        assert isinstance(problem, Problem)
        assert row.score is None or problem.truth is not None
    assert all(contestant.settings(Variant.PAPER) for contestant in row.contestants.values())
    assert {one.column for one in row.printed} <= {"last", "average", "answer"}


def test_the_paper_is_whole() -> None:
    assert {len(EXPERIMENTS[name].cases) for name in ("denoise-25", "denoise-50")} == {9}
    assert [len(EXPERIMENTS[f"x{factor}-{name}"].cases) for factor in (4, 8) for name in ("set5", "set14")] == [5, 14, 5, 14]
    assert len(EXPERIMENTS["missing-50"].cases) == 11
    matched = [row for row in EXPERIMENTS.values() if row.name.endswith("matched")]
    assert len(matched) == 4
    assert not any(row.printed for row in matched)


@pytest.mark.data
def test_the_small_pictures_of_the_paper_are_not_what_the_operator_gives(data: Path) -> None:
    """The truth obeys Lanczos-2 only to about 43 dB where Pillow has reduced it, and wholly where the operator has."""
    for name, expected in (("x4-set5", 43), ("x4-set5-matched", 90)):
        row, fits = EXPERIMENTS[name], []
        for case in row.cases:
            problem = row.problem(case.name, case.read(data))
            assert isinstance(problem.operator, LinearOperator)
            assert problem.truth is not None
            fits.append(float(-10 * (problem.operator(problem.truth) - problem.y).square().mean().log10()))
        assert min(fits) > 90 if expected == 90 else sum(fits) / len(fits) == pytest.approx(expected, abs=1.5)


@pytest.mark.data
def test_bicubic_scores_what_is_known_of_the_papers_small_pictures(data: Path) -> None:
    row = EXPERIMENTS["x4-set5"]
    assert row.score is not None
    scores = []
    for case in row.cases:
        problem = row.problem(case.name, case.read(data))
        assert problem.truth is not None
        scores.append(float(row.score(comparators.bicubic(problem), problem.truth)))
    assert sum(scores) / len(scores) == pytest.approx(28.71, abs=0.02)


def test_an_unknown_experiment_is_told_the_nearest() -> None:
    with pytest.raises(BadValue, match=r"experiment 'denoise25'.*nearest are denoise-25"):
        experiment("denoise25")


def test_missing_and_wrong_pictures_are_all_named_before_anything_runs(tmp_path: Path) -> None:
    folder = made(tmp_path, "hole")
    images.save(folder / "inpainting/reference/vase.png", images.portrait(32))
    (folder / "inpainting/reference/vase_mask.png").unlink()
    with pytest.raises(BadFile, match=r"2 pictures are missing or others: .*vase.png of 32 x 32.*; no file at .*vase_mask.png"):
        require_runnable(plan(["hole"], 1, TINY), folder)
    with pytest.raises(BadFile, match="no folder"):
        require_runnable(plan(["hole"], 1, TINY), tmp_path / "nowhere")
    with pytest.raises(BadFile, match="no file .*weights.alexnet"):
        require_runnable(plan(["preimage"], 1, TINY, ["conv1"]), made(tmp_path / "photos", "preimage"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Size(crop=16), "a crop of 16"),
        (lambda: Size(steps=0), "0 of the steps"),
        (lambda: Size(steps=1.5), "1.5 of the steps"),
        (lambda: plan(["hole"], 1, TINY, contestants=["BM4D"]), "the nearest are"),
        (lambda: plan(["preimage"], 1, TINY, layers=["conv1"], contestants=["conv2, TV"]), "nothing to run"),
    ],
)
def test_bad_plans_are_refused(make, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        make()


def test_a_plan_has_every_seed_of_what_is_random_and_one_of_the_rest() -> None:
    tasks = plan(["hole"], 3, TINY)
    counts = {name: sum(task.contestant == name for task in tasks) for name in EXPERIMENTS["hole"].contestants}
    assert counts == {"DIP": 3, "biharmonic": 1, "TV": 1}
    assert len({task.key for task in tasks}) == len(tasks)
    layers = plan(["preimage"], 1, TINY, layers=["conv1", "conv5"])
    assert {task.contestant.partition(",")[0] for task in layers} == {"conv1", "conv5"}


def test_a_key_changes_with_all_that_a_result_depends_on() -> None:
    task = Task("hole", "vase", "DIP", 0, TINY)
    others = [
        Task("hole", "vase", "DIP", 1, TINY),
        Task("hole", "vase", "DIP", 0, Size(64, 0.002, Variant.LIGHT)),
        Task("hole", "vase", "DIP", 0, Size(32, 0.002)),
        Task("hole", "vase", "TV", 0, TINY),
    ]
    assert len({task.key, *(other.key for other in others)}) == 5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path, list[Task]]:
    """A finished experiment."""
    folder = made(tmp_path_factory.mktemp("data"), "hole")
    found = Store(tmp_path_factory.mktemp("out"))
    tasks = plan(["hole"], 2, TINY, contestants=["DIP", "biharmonic"])
    run(tasks, found, folder, progress=False)
    return found, folder, tasks


def test_a_run_leaves_records_and_pictures(store) -> None:
    found, _, tasks = store
    for task in tasks:
        record = found.record(task.key)
        assert record["task"] == task.values()
        assert images.load(found.picture(task.key)).shape == (3, 32, 32)
        columns = {"answer"} if task.contestant == "biharmonic" else {"average", "last", "stopped", "projected", "oracle"}
        assert set(record["scores"]) == columns
        assert record["shape"] == [3, 32, 32]


def test_other_pictures_of_the_same_names_are_not_taken_for_the_ones_of_before(store, tmp_path: Path) -> None:
    found, _, tasks = store
    folder = made(tmp_path, "hole")
    images.save(folder / "inpainting/reference/vase.png", 1 - images.load(folder / "inpainting/reference/vase.png"))
    with pytest.raises(BadFile, match="made from other pictures of vase"):
        run(tasks, found, folder, progress=False)


def test_what_is_finished_is_not_run_again(store, monkeypatch: pytest.MonkeyPatch) -> None:
    found, folder, tasks = store
    monkeypatch.setattr("dipops.paper.runner.perform", lambda *arguments: pytest.fail("it was run again"))
    run(tasks, found, folder, progress=False)


def test_what_is_exact_is_infinitely_good(store) -> None:
    """JSON has no infinity: a record keeps it as null."""
    folder, *_ = store
    row = EXPERIMENTS["hole"]
    (*_, last) = finished(row, folder)
    exact = {column: dict.fromkeys(found) for column, found in last.record["scores"].items()}
    made = table(row, last.task.size, [replace(last, record=last.record | {"scores": exact})], folder)
    assert "| inf |" in made.markdown()


def test_a_table_says_what_is_printed_and_what_is_ours(store) -> None:
    found, folder, tasks = store
    drawn = table(EXPERIMENTS["hole"], TINY, finished(EXPERIMENTS["hole"], found), found, folder)
    lines = list(csv.DictReader(io.StringIO(drawn.csv())))
    assert [line["system"] for line in lines] == ["DIP", "biharmonic", "DIP, mean of 2 runs"]
    assert drawn.heads[-1].startswith("oracle")
    scores = [found.record(task.key)["scores"] for task in tasks if task.contestant == "DIP"]
    assert lines[0]["printed"] == "27.70"
    average, spread = map(float, lines[0]["average"].split(" ± "))
    values = [one["average"]["PSNR"] for one in scores]
    assert average == pytest.approx(sum(values) / 2, abs=0.006)
    assert spread == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=0.006)
    assert "ours - printed" not in lines[0], "a smaller run is not compared with the paper"
    assert "crops of 32 pixels, 0.2% of the steps, light settings" in drawn.notes
    assert "not to be compared" in drawn.notes
    pictures = [images.load(found.picture(task.key)) for task in tasks if task.contestant == "DIP"]
    problem = EXPERIMENTS["hole"].problem("vase", EXPERIMENTS["hole"].cases[0].read(folder, 32))
    assert problem.truth is not None
    error = (sum(pictures[1:], pictures[0]) / 2 - problem.truth[0]).square().mean()
    assert float(lines[2]["average"]) == pytest.approx(float(-10 * error.log10()), abs=0.006)
    assert "| DIP |" in drawn.markdown()
    assert r"\begin{tabular}" in drawn.latex()
    assert (
        len(list(csv.DictReader(io.StringIO(every_run(EXPERIMENTS["hole"], finished(EXPERIMENTS["hole"], found)).csv())))) == 11
    )
    with pytest.raises(BadValue, match="without a run"):
        table(EXPERIMENTS["hole"], Size(), finished(EXPERIMENTS["hole"], found), found)


def test_some_pictures_are_compared_only_where_the_paper_prints_theirs(store) -> None:
    """Table 1 is printed picture by picture; of denoising only the mean of nine is."""
    folder, _, tasks = store
    record = folder.record(tasks[0].key) | {"scores": {"last": {"PSNR": 40.0}, "average": {"PSNR": 41.0}}}
    lines = {}
    for name, pictures in (("missing-50", 3), ("denoise-25", 3), ("denoise-25", 9)):
        some = plan([name], 1, Size(), contestants=["DIP"], pictures=pictures)
        assert len(some) == pictures
        drawn = table(EXPERIMENTS[name], Size(), [Run(task, record) for task in some], folder)
        lines[name, pictures] = next(csv.DictReader(io.StringIO(drawn.csv())))
    assert lines["missing-50", 3]["printed"] == "34.81", "the mean of the three"
    assert lines["missing-50", 3]["ours - printed"] == "+5.19"
    assert "ours - printed" not in lines["denoise-25", 3]
    assert lines["denoise-25", 9]["ours - printed"] == "+10.78, +10.57"


def test_a_mean_is_over_seeds_and_then_over_pictures(store) -> None:
    """Else a picture with more seeds than the others would count more than they."""
    folder, _, tasks = store
    first, *others = plan(["denoise-25"], 1, Size(), contestants=["DIP"])
    dB = {first: 30.0, replace(first, seed=1): 32.0} | dict.fromkeys(others, 20.0)
    record = folder.record(tasks[0].key)
    runs = [Run(task, record | {"scores": {"average": {"PSNR": value}}}) for task, value in dB.items()]
    line = next(csv.DictReader(io.StringIO(table(EXPERIMENTS["denoise-25"], Size(), runs, folder).csv())))
    assert line["average"] == f"{(31 + 8 * 20) / 9:.2f}", "no deviation, for only one picture has two seeds"
    assert line["system"] == "DIP (not every picture with every seed)"


def test_a_full_disk_loses_nothing(store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, (task, *_) = store
    record, picture = found.record(task.key), images.load(found.picture(task.key))[None]
    out = Store(tmp_path)
    out.keep("before", record, picture)
    kept = _files(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadFile, match="No space left on device.*room on the disk"):
        out.keep("after", record, picture)
    assert not out.has("after")
    assert _files(tmp_path) == kept
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "locks"}


@pytest.mark.slow
def test_a_run_that_is_killed_five_times_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL at random moments; what was finished stays as it is, to the last byte, and is not touched again."""
    folder, out = made(tmp_path / "data", "hole"), tmp_path / "out"
    tasks = plan(["hole"], 8, TINY, contestants=["DIP"])
    draw, kept, killed = random.Random(0), {}, 0
    while killed < 5:
        process = multiprocessing.get_context("spawn").Process(target=_run_in_a_process, args=(tasks, out, folder))
        process.start()
        before = len(kept)
        deadline = time.monotonic() + 120
        while len(_files(out)) <= before + 1 and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.join()
        killed += 1
        now = _files(out)
        assert {path: now[path] for path in kept} == kept, "a finished run was made again, or broken"
        kept = now
        for task in tasks:
            assert not Store(out).has(task.key) or Store(out).record(task.key)["task"] == task.values()
    run(tasks, Store(out), folder, progress=False)
    now = _files(out)
    assert {path: now[path] for path in kept} == kept
    assert len(now) == 2 * len(tasks) + 1


def _files(out: Path) -> dict[str, tuple[int, bytes]]:
    """What is finished: when it was written, and its bytes."""
    records = [path for path in out.glob("*.json") if path.exists()]
    pictures = [path.with_suffix(".png") for path in records if path.name != "store.json"]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (*records, *pictures)}


def _run_in_a_process(tasks: list[Task], out: Path, data: Path) -> None:
    torch.set_num_threads(1)
    run(tasks, Store(out), data, progress=False)


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    folder = made(tmp_path / "data", "hole")
    tasks = plan(["hole"], 3, TINY, contestants=["DIP"])
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_run_in_a_process, args=(tasks, tmp_path / "out", folder)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert all(Store(tmp_path / "out").has(task.key) for task in tasks)


def test_a_lost_worker_is_made_up_for(tmp_path: Path) -> None:
    """One of two is killed as soon as the first run is finished."""
    folder, store = made(tmp_path / "data", "hole"), Store(tmp_path / "out")
    tasks = plan(["hole"], 6, TINY, contestants=["DIP"])
    with cluster(None, 2) as client:
        processes = client.run(os.getpid)

        def kill() -> None:
            while not any(store.has(task.key) for task in tasks):
                time.sleep(0.01)
            os.kill(next(iter(processes.values())), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        run_on(client, tasks, store, folder, progress=False)
        killer.join()
    assert all(store.has(task.key) for task in tasks)


def test_a_store_of_another_format_or_folder_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "store")
    (tmp_path / "store" / "store.json").write_text(json.dumps({"dipops store": 99}))
    with pytest.raises(BadFile, match="of format 99; expected format 2"):
        Store(tmp_path / "store")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.json").write_text("{}")
    with pytest.raises(BadFile, match=r"without store\.json"):
        Store(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFile, match="cannot make"):
        Store(tmp_path / "file" / "store")


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (Store(tmp_path).folder / "notes.json").write_text("{}")
    assert Store(tmp_path).runs() == []


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("dipops.paper.cluster._PATIENCE", 1)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        with pytest.raises(BadValue, match="without a worker"), cluster(address, None):
            pass


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dipops.paper.cluster._PATIENCE", 1)
    with pytest.raises(BadValue, match="no scheduler at tcp://127"), cluster("tcp://127.0.0.1:9", None):
        pass


def test_a_record_that_was_cut_off_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep("run", {"scores": {}}, torch.rand(1, 3, 16, 16))
    (tmp_path / "run.json").write_text('{"scores": ')
    with pytest.raises(BadFile, match="delete it to make it anew"):
        store.record("run")


ALIKE = ("denoise-50", "x8-set5", "x8-set14", "x4-set14", *(name for name in EXPERIMENTS if "matched" in name))
WITH_WEIGHTS = ("preimage", "maximise")


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in (*ALIKE, *WITH_WEIGHTS)])
def test_every_kind_of_table_and_figure_draws(name: str, tmp_path: Path) -> None:
    """With pictures that the project may ship, one of each experiment, and the systems that need no more packages."""
    row, folder = EXPERIMENTS[name], made(tmp_path / "data", name)
    ready = [one for one, contestant in row.contestants.items() if _is_ready(contestant, folder)]
    tasks = plan([name], 1, TINY, contestants=ready, pictures=1)
    found = Store(tmp_path / "out")
    run(tasks, found, folder, progress=False)
    runs = finished(row, found)
    assert len(runs) == len(tasks) == len(ready)
    drawn = table(row, TINY, runs, found, folder)
    assert [line[0] for line in drawn.lines][: len(ready)] == ready
    shown = figure(row, TINY, runs, found, folder)
    assert shown.get_axes()
    plt.close(shown)


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
    operator = Mask(images.random_mask(64, 64, keep=0.5), len(x)) if holes else GuidedInput(x) if guided else Identity(x.shape)
    problem = Problem.simulate(operator, x, 0 if holes else 0.1, clip=not holes)
    before, after = (float(metrics.psnr(image.clamp(0, 1), x[None])) for image in (problem.y, restore(problem)))
    assert after > before + (10 if holes else 2)


def test_a_crop_has_known_and_unknown_pixels(tmp_path: Path) -> None:
    """Letters near a corner: the cut goes to the nearest of them."""
    known = torch.ones(1, 96, 128)
    known[:, 70:80, 100:110] = 0
    images.save(tmp_path / "mask.png", known)
    case = Case("a", {"mask": Source("mask.png", 96, 128, 1)})
    cut = case.read(tmp_path, 32)["mask"]
    assert cut.shape == (1, 32, 32)
    assert 0.05 <= float((cut < 0.5).float().mean()) <= 0.1


def test_networks_are_inverted_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights: what is shown is that the run is made and scored."""
    from dipops import AlexNet, SqueezeNet
    from dipops.paper import networks

    monkeypatch.setattr(networks, "_load", lambda kind, data: kind(complete=False) if kind is AlexNet else SqueezeNet())
    folder = made(tmp_path, "preimage")
    task = Task("preimage", "monkey", "conv1, DIP", 0, Size(64, 0.001))
    record, picture = perform(task, folder)
    assert picture.shape == (1, 3, 64, 64)
    assert set(record["scores"]["answer"]) == {"error", "probability"}


def test_a_case_is_cut_in_the_middle_and_alike(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 48, 64).contiguous()
    images.save(tmp_path / "a.png", ramp)
    case = Case("a", {"truth": Source("a.png", 48, 64, 1), "mask": Source("a.png", 48, 64, 1)})
    given = case.read(tmp_path, 32)
    assert given["truth"].shape == (1, 32, 32)
    assert given["truth"].equal(given["mask"])
    torch.testing.assert_close(given["truth"], images.load(tmp_path / "a.png")[:, 8:40, 16:48])


def command(*arguments: object) -> int:
    """Exit code of ``dipops paper`` with these arguments, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dipops", "paper", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    return int(stopped.value.code or 0)


SMALL = ("--crop", 32, "--steps", 0.002, "--light")


def test_the_command_runs_prints_draws_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = made(tmp_path / "data", "hole"), tmp_path / "out"
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
    assert (tmp_path / "scores.csv").read_text().startswith("picture,PSNR")


def test_inputs_are_written_and_what_is_made_of_them_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, given = made(tmp_path / "data", "x4-set5"), tmp_path / "given"
    assert command("inputs", "x4-set5", "--data", folder, "--output", given) == 0
    assert images.load(given / "head.png").shape == (3, 64, 64)
    larger = tmp_path / "larger"
    larger.mkdir()
    images.save(larger / "head.png", images.resize(images.load(given / "head.png"), (256, 256)).clamp(0, 1))
    assert command("score", "x4-set5", "--data", folder, "--images", larger) == 0
    shown = capsys.readouterr().out
    assert "1 of 5 pictures" in shown
    assert "printed" not in shown, "what is printed is of five"
    images.save(larger / "head.png", torch.rand(3, 512, 512))
    assert command("score", "x4-set5", "--data", folder, "--images", larger) == 2
    assert "512 x 512 pixels; expected 256 x 256" in capsys.readouterr().err


def test_the_command_lists_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("list") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in EXPERIMENTS)
    assert command("list", "preimage") == 0
    assert "  conv5, TV\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "denoise"), "the nearest are denoise-"),
        (("run", "hole"), "pictures are missing"),
        (("table", "hole"), "no runs in"),
        (("run", "hole", "--only", "BM4D"), "system 'BM4D'; expected one that takes part"),
        (("run", "preimage", "--layers", "conv9"), "layer 'conv9'"),
        (("figure", "hole", "--output", "figure.xyz"), "with suffix"),
        (("score", "jpeg", "--images", "."), "has no truth"),
        (("run", "hole", "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"), "one of them"),
        (("run", "hole", "--device", "cpu", "--workers", "2"), "leave --device out"),
        (("run", "hole", "--crop", "8"), "a crop of 8"),
        (("run", "hole", "--steps", "2"), "2.0 of the steps"),
    ],
)
def test_bad_commands_end_with_a_line_and_code_2(arguments, words: str, tmp_path: Path, capsys) -> None:
    given = ("--data", tmp_path) if arguments[0] != "list" else ()
    out = ("--out", tmp_path / "none") if arguments[0] in ("run", "table", "figure") else ()
    assert command(*arguments, *given, *out) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_the_slider_of_the_report_can_be_dragged(store, tmp_path: Path) -> None:
    """In a headless Chromium, as wide as a desk and as narrow as a telephone: the picture follows, and nothing is cut off."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver here")
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    found, folder, _ = store
    write_report(tmp_path / "paper.html", found, folder)
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
