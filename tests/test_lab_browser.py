"""The lab in a headless Chromium, as wide as a desk and as narrow as a telephone. Run with -m browser."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
_PATIENCE = 180.0
_QUIET = ("background-networking", "component-update", "sync", "gpu", "dev-shm-usage", "quic")


def wait_for(happened: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE
    while not (value := happened()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a lab listens, in a process of its own, which ends with exit code 0."""
    pytest.importorskip("nicegui", reason="NiceGUI is not installed: pip install nicegui")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "dipops", "lab", "--no-browser", "--port", str(port)]
    folder = tmp_path_factory.mktemp("lab")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}  # it would notice
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        wait_for(lambda: _listens(port) or server.poll() is not None)
        yield f"http://127.0.0.1:{port}/"
        server.terminate()
        _, error = server.communicate(timeout=_PATIENCE)
    assert (server.returncode, error) == (0, "")
    assert not list(folder.iterdir())


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Any]:
    """A browser at the lab."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    if not chromium or not driver:
        pytest.skip("no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    for name in _QUIET:
        options.add_argument(f"--disable-{name}")
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as browser:
        browser.get(address)
        wait_for(lambda: status(browser) == "ready")
        yield browser


def status(page: Any) -> str:
    return page.execute_script("return document.querySelector('.lab-status')?.innerText ?? ''")


def press(page: Any, label: str) -> None:
    find = "return [...document.querySelectorAll('button')].find(b => b.innerText.trim().toLowerCase() == arguments[0])"
    wait_for(lambda: page.execute_script(find, label.lower())).click()


def shown(page: Any) -> list[str]:
    """The addresses of the images that are shown side by side."""
    return page.execute_script(
        "return [...document.querySelectorAll('.lab-images img')].filter(i => i.naturalWidth && i.offsetWidth).map(i => i.src)"
    )


def pull(page: Any, slider: str, share: float) -> None:
    """Press a slider at a share of its length."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    line = page.find_element(By.CSS_SELECTOR, slider)
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", line)
    across = int(line.size["width"] * (share - 0.5))
    ActionChains(page).move_to_element_with_offset(line, across, 0).click().perform()


def outside(page: Any) -> list[str]:
    """The addresses elsewhere that the page has asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "chrome:"))]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_preset_runs_stops_and_continues(page: Any, width: int) -> None:
    from selenium.webdriver.common.by import By

    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    press(page, "Where should I stop?")
    wait_for(lambda: len(shown(page)) == 3 and status(page).startswith("running: step"))
    first = shown(page)
    wait_for(lambda: shown(page) != first)
    wait_for(lambda: int(status(page).rpartition(" ")[2] or 0) >= 60)
    press(page, "Stop")
    wait_for(lambda: status(page) == "stopped")
    assert "oracle" in page.find_element(By.CSS_SELECTOR, ".q-table").text
    newest = shown(page)
    pull(page, ".lab-steps", 0.05)
    wait_for(lambda: shown(page) != newest)
    assert shown(page)[:2] == newest[:2]  # ground truth and measurement
    press(page, "Continue")
    wait_for(lambda: status(page).startswith("running: step"))
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert not outside(page)
    assert not [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_before_after_slider_cuts_where_it_stands(page: Any) -> None:
    press(page, "Sparse-angle CT")
    wait_for(lambda: len(shown(page)) >= 3)
    clip = "return getComputedStyle(document.querySelector('.lab-over')).clipPath"
    for share in (0.2, 0.8):
        pull(page, ".lab-pair-slider", share)
        wait_for(partial(_hides, page, clip, 100 * (1 - share)))


def _hides(page: Any, clip: str, percents: float) -> bool:
    """Whether so much of the left image is cut off at its right."""
    return abs(float(re.findall(r"([\d.]+)%", page.execute_script(clip))[-1]) - percents) < 4


def test_a_text_file_is_refused_in_a_line_and_an_image_is_taken(page: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    from dipops import images

    (tmp_path / "text.png").write_text("this is no image")
    images.save(tmp_path / "photo.png", images.portrait(64))
    field = page.find_element(By.CSS_SELECTOR, ".lab-upload input[type=file]")
    field.send_keys(str(tmp_path / "text.png"))
    fault = wait_for(lambda: page.find_element(By.CSS_SELECTOR, ".lab-fault").text)
    assert fault.startswith("text.png cannot be read")
    assert "\n" not in fault
    page.find_element(By.CSS_SELECTOR, ".lab-upload input[type=file]").send_keys(str(tmp_path / "photo.png"))
    wait_for(lambda: not page.find_element(By.CSS_SELECTOR, ".lab-fault").text)
    wait_for(lambda: "your upload" in page.find_element(By.CSS_SELECTOR, ".lab-settings").text)
    press(page, "Run")
    wait_for(lambda: len(shown(page)) >= 2)


def test_a_second_tab_is_refused_until_the_first_is_closed(page: Any, address: str) -> None:
    from selenium.webdriver.common.by import By

    press(page, "What the network learns first")
    wait_for(lambda: status(page).startswith("running: step"))
    first = page.current_window_handle
    page.switch_to.new_window("tab")
    page.get(address)
    wait_for(lambda: status(page) == "ready")
    press(page, "Run")
    wait_for(lambda: "another tab" in page.find_element(By.CSS_SELECTOR, ".lab-fault").text)
    second = page.current_window_handle
    page.switch_to.window(first)
    page.close()
    page.switch_to.window(second)

    def runs() -> bool:
        press(page, "Run")
        time.sleep(0.5)
        return status(page) != "ready"

    wait_for(runs)
