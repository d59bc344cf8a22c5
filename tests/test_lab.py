"""The lab: what a visitor sets is what is solved, and what the Python repeats; a solve stops, continues and ends."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dipops import images
from dipops.cli import lab as command
from dipops.errors import BadFile, BadValue
from dipops.lab.charts import chart
from dipops.lab.choices import IMAGES, NOISES, OPERATORS
from dipops.lab.exports import archive_of, record_of
from dipops.lab.limits import LimitedBody
from dipops.lab.presets import PRESETS
from dipops.lab.script import python_of
from dipops.lab.settings import MAX_BYTES, UPLOAD, Choice, Photo, Settings, uploaded
from dipops.lab.solving import Desk, Solving
from tests.commands import run

_PATIENCE = 120.0
SMALL = Settings(side=64, noise=Choice("clipped"), priors=("tv", "dip"), weight=0.06, steps=30)


def wait_for(happened: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def solved(settings: Settings, photo: Photo | None = None) -> Solving:
    solving = Solving(settings, photo, Desk(1).turns)
    solving.start()
    solving.wait()
    assert solving.snapshot.state == "done", solving.snapshot.message
    return solving


def executed(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "lab.py", "exec"), names)
    return names


@pytest.fixture(scope="module")
def finished() -> Solving:
    return solved(SMALL)


SETTINGS = [
    *(Settings(image=image, operator=Choice("random")) for image in IMAGES),
    *(Settings(operator=Choice(key), noise=Choice(noise)) for key in OPERATORS for noise in OPERATORS[key].noises),
    *(preset.settings for preset in PRESETS),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.image}-{s.operator.key}-{s.noise.key}")
def test_the_python_makes_the_problem_that_the_lab_solves(settings: Settings) -> None:
    code = python_of(settings)
    of_code = executed(code[: code.index("compared =")])
    problem = settings.problem(None)
    assert torch.equal(of_code["problem"].y, problem.y)
    assert of_code["problem"].noise == problem.noise
    assert len(of_code["priors"]) == len(settings.priors)


@pytest.mark.parametrize("stops", [False, True])
def test_the_python_repeats_the_run(
    finished: Solving, stops: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    solving = solved(replace(SMALL, noise=Choice("clipped", {"sigma": 100}), stops=True, steps=120)) if stops else finished
    rows = executed(python_of(solving.settings))["compared"].rows()
    assert (tmp_path / "lab.png").exists()
    for row, track in zip(rows, solving.snapshot.tracks.values(), strict=True):
        assert row["psnr"] == pytest.approx(track.record["psnr"], abs=0.02)
    network = solving.snapshot.tracks["dip"].record
    assert rows[-1]["steps"] == network["steps"]
    assert rows[-1]["psnr"] == pytest.approx(network["psnr"], abs=1e-5)
    assert network["steps"] < solving.settings.steps or not stops
    assert f"{rows[-1]['psnr']:.2f}" in capsys.readouterr().out


def test_the_python_repeats_a_run_of_an_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images.save('it\'s "mine".png', images.portrait(128)[:, 10:110])
    content = Path('it\'s "mine".png').read_bytes()
    photo, settings = uploaded('it\'s "mine".png', content), replace(SMALL, image=UPLOAD, priors=("none",))
    code = python_of(settings, photo.name)
    assert torch.equal(executed(code[: code.index("compared =")])["problem"].y, settings.problem(photo).y)


def test_curves_and_outputs_grow_and_the_rules_are_marked(finished: Solving) -> None:
    network = finished.snapshot.tracks["dip"]
    assert [point.step for point in network.curve] == [10, 20, 30]
    assert [step for step, _ in network.kept][-1] == 30
    assert "oracle" in {mark.rule for mark in network.marks}
    assert all(1 <= mark.step <= 30 for mark in network.marks)
    assert finished.snapshot.noise_level == pytest.approx(25 / 255, rel=0.2)
    options = chart(finished.snapshot, "psnr")
    assert [len(line["data"]) for line in options["series"]][1] == 3
    assert {line["xAxis"] for line in options["series"][1]["markLine"]["data"]} == {mark.step for mark in network.marks}
    json.dumps([options, chart(finished.snapshot, "residual")], allow_nan=False)


def test_at_most_forty_outputs_are_kept() -> None:
    enlarged = Settings(operator=Choice("lanczos"), noise=Choice("none"), priors=("tv",))
    steps = [step for step, _ in solved(enlarged).snapshot.tracks["tv"].kept]
    assert 20 < len(steps) <= 40
    assert steps == sorted(set(steps))


def test_a_stopped_solve_continues_with_the_bits_of_one_that_was_not(finished: Solving) -> None:
    solving = Solving(SMALL, None, Desk(1).turns)
    solving.start()
    wait_for(lambda: solving.snapshot.tracks["dip"].curve)
    solving.stop()
    solving.wait()
    stopped = solving.snapshot
    assert stopped.state == stopped.tracks["dip"].state == "stopped"
    assert stopped.tracks["tv"].state == "done"
    assert stopped.tracks["dip"].record["steps"] < 30
    solving.start()
    solving.wait()
    whole, continued = finished.snapshot.tracks["dip"], solving.snapshot.tracks["dip"]
    assert solving.snapshot.state == "done"
    assert continued.curve == whole.curve
    assert continued.marks == whole.marks
    assert continued.shown == whole.shown


def test_the_choice_of_a_weight_is_stopped_too() -> None:
    settings = Settings(image="head", operator=Choice("radon", {"angles": 4}), noise=Choice("gaussian"), priors=("tv",))
    solving = Solving(settings, None, Desk(1).turns)
    solving.start()
    wait_for(lambda: solving.snapshot.tracks["tv"].state == "chooses the weight")
    solving.stop()
    solving.wait()
    assert solving.snapshot.state == "stopped"


def test_an_ended_solve_leaves_no_thread_and_no_files() -> None:
    solving = Solving(replace(SMALL, steps=3000), None, Desk(1).turns)
    solving.start()
    wait_for(lambda: solving.snapshot.tracks["dip"].curve)
    folder = solving._checkpoint("dip").parent
    assert any(folder.iterdir())
    solving.end()
    assert not solving.is_running
    wait_for(lambda: not folder.exists())


def test_a_visitor_has_one_solve_and_another_visitor_their_own() -> None:
    desk, long = Desk(2), replace(SMALL, steps=3000, priors=("dip",))
    first, second, other = (Solving(long, None, desk.turns) for _ in range(3))
    desk.start("a", first)
    with pytest.raises(BadValue, match="another tab"):
        desk.start("a", second)
    desk.start("b", other)
    wait_for(lambda: first.snapshot.tracks["dip"].curve and other.snapshot.tracks["dip"].curve)
    other.end()
    assert first.is_running
    first.end()
    desk.start("a", second)
    second.end()


def test_solves_wait_for_their_turn() -> None:
    desk = Desk(1)
    first, second = (Solving(replace(SMALL, steps=3000, priors=("dip",)), None, desk.turns) for _ in range(2))
    desk.start("a", first)
    wait_for(lambda: first.snapshot.state == "runs")
    desk.start("b", second)
    second.wait(0.5)
    assert second.snapshot.state == "waits"
    first.end()
    wait_for(lambda: second.snapshot.state == "runs")
    second.end()


def test_a_fault_is_a_line_and_the_turn_is_given_back() -> None:
    desk = Desk(1)
    solving = Solving(Settings(image=UPLOAD), None, desk.turns)
    solving.start()
    solving.wait()
    assert solving.snapshot.state == "failed"
    assert solving.snapshot.message.startswith("no upload yet; expected")
    assert desk.turns.acquire(blocking=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "/etc/passwd"}, "image = '/etc/passwd'"),
        ({"side": 4096}, "side = 4096"),
        ({"operator": Choice("open")}, "operator = 'open'"),
        ({"operator": Choice("radon")}, "clipped to 8 bits noise with Tomography"),
        ({"operator": Choice("radon", {"angles": 10**9}), "noise": Choice("none")}, "number of angles = 1000000000"),
        ({"noise": Choice("gaussian", {"sigma": float("nan")})}, "σ"),
        ({"priors": ()}, "0 priors"),
        ({"priors": ("dip", "tv", "tikhonov", "none")}, "4 priors"),
        ({"priors": ("dip", "dip")}, "2 priors"),
        ({"weight": -1.0}, "weight of total variation = -1"),
        ({"steps": 10**6}, "steps of the deep image prior = 1000000"),
    ],
)
def test_settings_that_are_none_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue) as refused:
        Settings(**changes)
    assert words in str(refused.value)


def png(size: tuple[int, int], mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"this is a text, not an image", BadFile, "x.png cannot be read"),
        (png((10000, 10000), "1"), BadFile, "x.png is too large: 10000 x 10000 pixels"),
        (bytes(MAX_BYTES + 1), BadValue, "x.png of 10 MB"),
        (png((15, 400)), BadValue, "x.png of 15 x 400 pixels"),
    ],
    ids=["text", "100 megapixels", "bytes", "pixels"],
)
def test_uploads_that_are_none_are_refused(content: bytes, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as refused:
        uploaded("x.png", content)
    assert words in str(refused.value)


def test_what_a_visitor_takes_home(finished: Solving) -> None:
    record = json.loads(record_of(finished.settings, finished.snapshot))
    assert record["settings"]["operator"] == {"key": "identity", "values": {}}
    assert record["priors"]["Deep image prior"]["psnr"] == pytest.approx(finished.snapshot.tracks["dip"].record["psnr"])
    with zipfile.ZipFile(io.BytesIO(archive_of(finished.settings, finished.snapshot, "x.png"))) as archive:
        assert {"ground-truth.png", "measurement.png", "tv.png", "dip.png", "dip-step-00030.png", "lab.json", "lab.py"} <= set(
            archive.namelist()
        )
        assert images.from_bytes(archive.read("dip.png")).shape == (3, 64, 64)


@pytest.mark.parametrize(("headers", "bodies"), [([(b"content-length", b"11")], []), ([], [b"x" * 6, b"x" * 5])])
def test_a_body_over_the_limit_is_not_read(headers: list[tuple[bytes, bytes]], bodies: list[bytes]) -> None:
    read, sent = [], []

    async def application(scope: object, receive: Any, send: object) -> None:
        while (message := await receive())["type"] == "http.request":
            read.append(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": bodies.pop(0)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("status"))

    asyncio.run(LimitedBody(application, 10)({"type": "http", "headers": headers}, receive, send))
    assert (read, sent) == (([], [413, None]) if headers else ([b"x" * 6], []))


def test_without_nicegui_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert run("lab") == 2
    assert "pip install 'dipops[lab]'" in capsys.readouterr().err


def test_an_address_that_is_not_here_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nicegui")
    assert run("lab", "--host", "192.0.2.1") == 2
    error = capsys.readouterr().err
    assert "cannot listen at 192.0.2.1:0" in error
    assert len(error.splitlines()) == 1


def test_two_tabs_of_the_page_without_a_browser() -> None:
    """Run, a refused second tab, stop and continue, and a solve that ends with its tab."""
    pytest.importorskip("nicegui", reason="NiceGUI is not installed: pip install nicegui")
    pytest.importorskip("httpx")
    from nicegui.testing import User
    from nicegui.testing.user_simulation import user_simulation

    from dipops.lab.page.serving import lab_page

    desk = Desk(1)

    def set_value(user: User, marker: str, value: object) -> None:
        user.find(marker=marker).elements.pop().value = value  # pyright: ignore[reportAttributeAccessIssue]

    async def visit() -> None:
        async with user_simulation(partial(lab_page, desk)) as user:
            client = await user.open("/")
            set_value(user, "prior-tv", False)
            set_value(user, "steps", 3000)
            user.find(marker="run").click()
            await user.should_see("running: step", retries=600)
            user.find(marker="stop").click()
            await user.should_see("stopped", retries=600)
            user.find(marker="continue").click()
            await user.should_see("running: step", retries=600)
            other = User(user.http_client)
            await other.open("/")
            other.find(marker="run").click()
            await other.should_see("a solve in another tab")
            await user.should_not_see("a solve in another tab")
            client.delete()

    asyncio.run(visit())
    wait_for(lambda: not any(solving.is_running for solving in desk._running.values()))


def test_every_noise_of_an_operator_is_one_of_the_noises() -> None:
    assert {noise for choice in OPERATORS.values() for noise in choice.noises} == set(NOISES)


def test_a_refused_run_leaves_the_stopped_one_of_its_tab() -> None:
    desk = Desk(2)
    mine, other = (Solving(Settings(steps=3000, priors=("dip",)), None, desk.turns) for _ in range(2))
    desk.start("a", mine)
    mine.stop()
    mine.wait()
    desk.start("a", other)
    with pytest.raises(BadValue, match="another tab"):
        desk.start("a", Solving(Settings(), None, desk.turns), instead_of=mine)
    other.stop()
    other.wait()
    desk.start("a", mine)
    mine.stop()
    mine.wait()
    assert mine.snapshot.state == "stopped", mine.snapshot.message
    desk.close()
    mine.end()
