"""The page as a whole, and the server."""

import os
import secrets
from functools import partial
from importlib.resources import files

from nicegui import app, run, ui
from nicegui.events import UploadEventArguments

from dipops.errors import DipopsError
from dipops.lab.exports import archive_of, record_of
from dipops.lab.limits import LimitedBody
from dipops.lab.page.controls import Controls
from dipops.lab.page.results import Results
from dipops.lab.presets import PRESETS, Preset
from dipops.lab.script import python_of
from dipops.lab.settings import MAX_BYTES, Photo, require_small, uploaded
from dipops.lab.solving import Desk, Snapshot, Solving

_SHOW_EVERY = 0.2
_CLOSED_AFTER = 3.0
_FORM = 2**16  # bytes of an upload besides the file
_TOO_LARGE = f"the file is too large; expected at most {MAX_BYTES // 2**20} MB; reduce the image, or save it as JPEG"
_HINT = (
    "An image is degraded by an operator and noise, and restored with one to three priors. Choose a preset above, or "
    "choose settings and press Run. Images and curves appear while the solves run."
)
_STATES = {"waits": "waiting for its turn", "runs": "running", "stopped": "stopped", "done": "done", "failed": "failed"}


def serve(host: str, port: int, opens_browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    desk = Desk(os.cpu_count() or 1)
    app.add_middleware(LimitedBody, most=MAX_BYTES + _FORM)
    try:
        ui.run(
            partial(lab_page, desk),
            host=host,
            port=port,
            title="dipops lab",
            show=opens_browser,
            reload=False,
            show_welcome_message=False,
            reconnect_timeout=_CLOSED_AFTER,
            storage_secret=secrets.token_hex(),
        )
    finally:
        desk.close()


def lab_page(desk: Desk) -> None:
    """The page of one tab."""
    ui.add_css((files("dipops") / "lab" / "page" / "lab.css").read_text())
    _Page(desk, str(app.storage.browser["id"]))


class _Page:
    """One tab: its fields, its solve and what is shown of it."""

    def __init__(self, desk: Desk, visitor: str) -> None:
        self._desk, self._visitor = desk, visitor
        self._solving: Solving | None = None
        self._photo: Photo | None = None
        self._shown = -1
        with ui.header().classes("lab-header"):
            ui.label("dipops lab").classes("text-lg font-medium")
            self._status = ui.label("ready").classes("lab-status").mark("status")
            with ui.row().classes("no-wrap gap-2"):
                self._run = ui.button("Run", on_click=self.begin).mark("run")
                self._stop = ui.button("Stop", on_click=self.stop, color="red-9").mark("stop")
                self._continue = ui.button("Continue", on_click=self.go_on).mark("continue")
        with ui.element("div").classes("lab-presets"):
            for preset in PRESETS:
                ui.button(preset.title, on_click=partial(self.present, preset)).props("outline no-caps").mark("preset")
        self._look = ui.label("").classes("lab-look").mark("look")
        self._fault = ui.label("").classes("lab-fault").mark("fault")
        with ui.element("div").classes("lab-main"):
            with ui.column().classes("lab-settings"):
                self._controls = Controls(
                    self.upload, lambda: self._say(f"a file of more than {MAX_BYTES // 2**20} MB was refused")
                )
            self._hint = ui.label(_HINT).classes("lab-hint").mark("hint")
            with ui.column().classes("lab-results") as self._place:
                self._results = Results()
                with ui.row().classes("gap-2"):
                    ui.button("Copy the Python", on_click=self.show_python).props("outline no-caps").mark("python")
                    self._downloads = [
                        ui.button("Download images", on_click=self.download_images).props("outline no-caps").mark("images-zip"),
                        ui.button("Download JSON", on_click=self.download_record).props("outline no-caps").mark("json"),
                    ]
        self._place.set_visibility(False)
        self._say("")
        self._enable("")
        ui.timer(_SHOW_EVERY, self.show)
        ui.context.client.on_delete(self.end)

    def present(self, preset: Preset) -> None:
        """Fill in a preset, and run it."""
        self._controls.fill(preset.settings)
        self.begin()
        self._look.set_text(preset.look)

    def begin(self) -> None:
        """Run the settings; a solve that runs in this tab ends."""
        self._look.set_text("")
        try:
            settings = self._controls.settings()
            solving = Solving(settings, self._photo, self._desk.turns)
            self._desk.start(self._visitor, solving, instead_of=self._solving)
        except DipopsError as error:
            self._say(str(error))
            return
        self._say("")
        self._solving, self._shown = solving, -1
        self._hint.set_visibility(False)
        self._place.set_visibility(True)
        self._results.begin(settings)
        self.show()

    def stop(self) -> None:
        """Stop the solve, which can go on later."""
        if self._solving is not None:
            self._solving.stop()
            self._status.set_text("stopping")

    def go_on(self) -> None:
        """Continue a stopped solve."""
        if self._solving is None:
            return
        try:
            self._desk.start(self._visitor, self._solving)
            self._say("")
        except DipopsError as error:
            self._say(str(error))

    def end(self) -> None:
        """End the solve of a tab that was closed."""
        if self._solving is not None:
            self._solving.end()

    def show(self) -> None:
        """Show the newest snapshot, if it is new."""
        if self._solving is None or self._solving.snapshot.version == self._shown:
            return
        snapshot = self._solving.snapshot
        self._shown = snapshot.version
        self._status.set_text(_status(snapshot))
        self._enable(snapshot.state)
        if snapshot.state == "failed":
            self._say(snapshot.message)
        self._results.show(snapshot)

    async def upload(self, event: UploadEventArguments) -> None:
        """Take an uploaded image, or say why not."""
        try:
            require_small(event.file.name, event.file.size())
            content = await event.file.read()
            self._photo = await run.io_bound(uploaded, event.file.name, content)
        except DipopsError as error:
            self._say(str(error))
            self._controls.clear_upload()
            return
        self._say("")
        self._controls.offer_upload()

    def show_python(self) -> None:
        """Show the program that repeats the run, to copy it."""
        try:
            settings = self._controls.settings() if self._solving is None else self._solving.settings
        except DipopsError as error:
            self._say(str(error))
            return
        code = python_of(settings, self._photo_name())
        ui.clipboard.write(code)
        with ui.dialog(value=True) as dialog, ui.card().classes("lab-dialog"):
            ui.label("This Python repeats the run. It was copied to the clipboard, if the browser allows it.")
            ui.code(code, language="python").classes("w-full").mark("code")
            ui.button("Close", on_click=dialog.close).props("outline no-caps")

    def download_images(self) -> None:
        """Give the browser a ZIP file of the images."""
        if self._solving is not None:
            content = archive_of(self._solving.settings, self._solving.snapshot, self._photo_name())
            ui.download.content(content, "dipops-lab.zip")

    def download_record(self) -> None:
        """Give the browser settings and scores."""
        if self._solving is not None:
            ui.download.content(record_of(self._solving.settings, self._solving.snapshot), "dipops-lab.json")

    def _photo_name(self) -> str:
        return "photo.png" if self._photo is None else self._photo.name

    def _say(self, fault: str) -> None:
        """Show a line about what is wrong, or none."""
        self._fault.set_text(fault)
        self._fault.set_visibility(bool(fault))

    def _enable(self, state: str) -> None:
        """Offer the buttons that make sense in a state."""
        self._stop.set_enabled(state in ("waits", "runs"))
        self._continue.set_enabled(state == "stopped")
        for button in self._downloads:
            button.set_enabled(bool(state))


def _status(snapshot: Snapshot) -> str:
    """What a solve does, in a few words."""
    if snapshot.state == "runs":
        for track in snapshot.tracks.values():
            if track.state in ("solves", "chooses the weight"):
                at = f" step {track.curve[-1].step}" if track.curve else ""
                return {"solves": f"running:{at}", "chooses the weight": "choosing the weight by a rule"}[track.state]
    return _STATES[snapshot.state]
