"""What a solve shows: images, curves, sliders and scores."""

from typing import Any

from nicegui import events, ui

from dipops.lab.charts import COLOURS, chart
from dipops.lab.choices import PRIORS
from dipops.lab.pictures import Picture
from dipops.lab.settings import Settings
from dipops.lab.solving import Snapshot, Track

_MEASURED, _TRUTH = "measurement", "ground truth"
_CUT = "(value) => document.getElementById('{id}').style.setProperty('--cut', value + '%')"
_COLUMNS = [
    {"name": name, "label": label, "field": name, "align": "left" if name == "prior" else "right"}
    for name, label in {"prior": "prior", "psnr": "PSNR (dB)", "ssim": "SSIM", "steps": "steps", "seconds": "seconds"}.items()
]

_RULES = {
    "discrepancy": "↳ discrepancy principle",
    "variance": "↳ variance of outputs",
    "oracle": "↳ oracle",
}


class Results:
    """The images of a solve side by side, its curves, a step slider, a before/after slider and its scores."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._follows = True
        self._panels: dict[str, _Panel] = {}
        self._grid = ui.element("div").classes("lab-images").mark("images")
        with ui.column().classes("w-full gap-0 lab-group"):
            self._step_text = ui.label("step slider: the outputs on the way").classes("text-sm").mark("step-text")
            self._slider = ui.slider(min=0, max=1, value=1).props("color=blue-grey-8").classes("lab-steps").mark("step-slider")
            self._slider.on("update:model-value", self._choose_step, throttle=0.05)
        with ui.element("div").classes("lab-charts"):
            self._charts = {
                curve: ui.echart(chart(None, curve)).classes("lab-chart").mark(curve) for curve in ("psnr", "residual")
            }
        with ui.element("div").classes("lab-charts"):
            self._comparison = _BeforeAfter()
            with ui.column().classes("w-full gap-1 lab-group"):
                ui.label("Scores").classes("lab-title")
                self._table = (
                    ui.table(columns=_COLUMNS, rows=[], row_key="prior").props("flat dense hide-bottom").classes("w-full")
                )
                self._table.mark("scores")

    def begin(self, settings: Settings) -> None:
        """Make room for the solves of some settings."""
        self._follows = True
        self._grid.clear()
        is_small = settings.operator.key == "lanczos"
        names = {_TRUTH: "ground truth", _MEASURED: "measurement (enlarged)" if is_small else "measurement"}
        if settings.operator.key == "radon":
            names[_MEASURED] = "filtered back-projection"
        names |= {prior: PRIORS[prior] for prior in settings.priors}
        with self._grid:
            self._panels = {key: _Panel(name, COLOURS.get(key, "#334155")) for key, name in names.items()}
        self._comparison.begin(names, settings.priors[-1])

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        self._snapshot = snapshot
        for curve, place in self._charts.items():
            place.options.update(chart(snapshot, curve))
            place.update()
        steps = _kept_steps(snapshot)
        self._slider.props(f"max={max(1, len(steps) - 1)}")
        if self._follows:
            self._slider.set_value(max(1, len(steps) - 1))
        self._show_images(snapshot, steps)
        self._table.rows = [row for prior, track in snapshot.tracks.items() if track.record for row in _rows(prior, track)]

    def _choose_step(self, event: events.GenericEventArguments) -> None:
        if self._snapshot is None:
            return
        steps = _kept_steps(self._snapshot)
        self._follows = event.args >= len(steps) - 1
        self._show_images(self._snapshot, steps)

    def _show_images(self, snapshot: Snapshot, steps: list[int]) -> None:
        """The images at the step that is chosen, or the newest."""
        place = min(round(self._slider.value or 0), len(steps) - 1)
        step = None if self._follows or not steps else steps[place]
        self._step_text.set_text("newest outputs" if step is None else f"outputs of step {step}, or the last before it")
        shown: dict[str, Picture] = {}
        for key, picture in {_TRUTH: snapshot.truth, _MEASURED: snapshot.measured}.items():
            if picture is not None:
                shown[key] = picture
                self._panels[key].show(picture, "")
        for prior, track in snapshot.tracks.items():
            picture, text = _at(track, step)
            self._panels[prior].show(picture, text)
            if picture is not None:
                shown[prior] = picture
        self._comparison.show(shown)


class _Panel:
    """One image with its name, and what is known of it."""

    def __init__(self, name: str, colour: str) -> None:
        with ui.column().classes("gap-0 min-w-0"):
            ui.label(name).classes("lab-name").style(f"color:{colour}")
            self._image = ui.element("img").classes("lab-image").props(f'alt="{name}"').mark("image")
            self._image.set_visibility(False)
            self._text = ui.label("").classes("lab-caption")
        self._shown: Picture | None = None

    def show(self, picture: Picture | None, text: str) -> None:
        """Show a picture, if there is one, and a line below it."""
        self._text.set_text(text)
        if picture is not None and picture is not self._shown:
            self._shown = picture
            self._image.props["src"] = picture.address
            self._image.set_visibility(True)


class _BeforeAfter:
    """Two images on top of each other, of which a slider shows the left part of one and the right part of the other."""

    def __init__(self) -> None:
        with ui.column().classes("w-full gap-1 lab-group"):
            ui.label("Before and after").classes("lab-title")
            with ui.row().classes("w-full no-wrap gap-2"):
                self._sides = [
                    ui.select({}, label=label, on_change=self._show).props("dense outlined options-dense").classes("lab-half")
                    for label in ("left", "right")
                ]
            with ui.element("div").classes("lab-pair") as pair:
                self._images = [ui.element("img").classes(f"lab-image lab-{place}") for place in ("under", "over")]
                for image in self._images:
                    image.set_visibility(False)
            slider = (
                ui.slider(min=0, max=100, value=50).props("color=blue-grey-8").classes("lab-pair-slider").mark("before after")
            )
            slider.on("update:model-value", js_handler=_CUT.format(id=pair.html_id))
        self._pictures: dict[str, Picture] = {}

    def begin(self, names: dict[str, str], last: str) -> None:
        """Offer these images, the measurement and the last prior first."""
        self._pictures = {}
        for side, value in zip(self._sides, (_MEASURED, last), strict=True):
            side.set_options(names, value=value)

    def show(self, pictures: dict[str, Picture]) -> None:
        """Show the chosen two of these."""
        self._pictures = pictures
        self._show()

    def _show(self) -> None:
        left, right = (self._pictures.get(str(side.value)) for side in self._sides)
        for image, picture in zip(self._images, (right, left), strict=True):
            if picture is not None and image.props.get("src") != picture.address:
                image.props["src"] = picture.address
                image.set_visibility(True)


def _kept_steps(snapshot: Snapshot) -> list[int]:
    """The steps of which an output of any prior was kept."""
    return sorted({step for track in snapshot.tracks.values() for step, _ in track.kept})


def _at(track: Track, step: int | None) -> tuple[Picture | None, str]:
    """The output at a step, or the newest, and what is known of it."""
    if step is None:
        if track.record:
            corrected = ", corrected for clipping" if track.record["corrected for clipped noise"] else ""
            return track.shown, f"{track.record['psnr']:.2f} dB, step {track.record['step of the image']}{corrected}"
        if not track.curve:
            return track.shown, track.state
        return track.shown, f"{track.curve[-1].psnr:.2f} dB, step {track.curve[-1].step}"
    earlier = [pair for pair in track.kept if pair[0] <= step] or list(track.kept[:1])
    if not earlier:
        return track.shown, track.state
    index, picture = earlier[-1]
    psnr = next((point.psnr for point in track.curve if point.step == index), None)
    return picture, f"step {index}" if psnr is None else f"{psnr:.2f} dB, step {index}"


def _rows(prior: str, track: Track) -> list[dict[str, Any]]:
    """The scores of the answer, and of what each stopping rule keeps."""
    record = track.record
    answer = {
        "prior": PRIORS[prior],
        "psnr": f"{record['psnr']:.2f}",
        "ssim": f"{record['ssim']:.3f}" if "ssim" in record else "",
        "steps": record["steps"],
        "seconds": f"{record['seconds']:.1f}",
    }
    rules = [{"prior": _RULES[mark.rule], "psnr": f"{mark.psnr:.2f}", "steps": mark.step} for mark in track.marks]
    if rules and record["corrected for clipped noise"]:
        rules.append({"prior": "↳ rules: before the correction", "psnr": "", "steps": ""})
    return [answer, *rules]
