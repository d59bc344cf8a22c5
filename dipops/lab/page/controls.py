"""What a visitor sets."""

from collections.abc import Callable, Sequence
from math import log10

from nicegui import ui
from nicegui.events import UploadEventArguments

from dipops.lab.choices import IMAGES, NOISES, OPERATORS, PRIORS, SIDES, Parameter
from dipops.lab.settings import MAX_BYTES, STEPS, UPLOAD, WEIGHT, Choice, Settings

_UPLOADED = "your upload"
_LOWEST, _HIGHEST = log10(WEIGHT.least), log10(WEIGHT.most)


class Controls:
    """The fields from which ``settings`` is read, and into which ``fill`` puts a preset.

    Args:
        on_upload: is given what was uploaded.
        on_refused: is called where the browser itself refuses a file, which is too large.
    """

    def __init__(self, on_upload: Callable[[UploadEventArguments], object], on_refused: Callable[[], object]) -> None:
        usual = Settings()
        with _group("Image"):
            self._image = _select("image", {key: choice.label for key, choice in IMAGES.items()}, usual.image)
            self._side = _select("side (pixels)", {side: str(side) for side in SIDES}, usual.side)
            self._upload = ui.upload(
                label=f"or upload one, at most {MAX_BYTES // 2**20} MB",
                auto_upload=True,
                max_file_size=MAX_BYTES,
                on_upload=on_upload,
                on_rejected=on_refused,
            )
            self._upload.props("flat bordered accept=image/*").classes("w-full lab-upload").mark("upload")
        with _group("Measurement"):
            self._operator = _select("operator", {key: choice.label for key, choice in OPERATORS.items()}, "identity")
            self._operator_values = _Numbers()
            self._noise = _select("noise", {}, None)
            self._noise_values = _Numbers()
        with _group("Priors, at most three"):
            self._priors = {key: ui.checkbox(label).mark(f"prior-{key}") for key, label in PRIORS.items()}
            for box in self._priors.values():
                box.props("dense")
        with _group("Total variation"):
            self._by_hand = ui.checkbox("weight by hand, not by a rule").props("dense").mark("by-hand")
            with ui.column().classes("w-full gap-0") as place:
                self._weight = ui.slider(min=_LOWEST, max=_HIGHEST, step=0.05, value=-1).props("color=blue-grey-8")
                self._weight.mark("weight")
                ui.label().classes("text-sm").bind_text_from(self._weight, "value", lambda place: f"weight {_weight(place):g}")
            place.bind_visibility_from(self._by_hand, "value")
        with _group("Deep image prior"):
            self._steps = _number(STEPS, STEPS.usual)
            self._stops = ui.checkbox("let a stopping rule end it").props("dense").mark("stops")
        self._operator.on_value_change(self._show_operator)
        self._noise.on_value_change(self._show_noise)
        self.fill(usual)

    def fill(self, settings: Settings) -> None:
        """Show settings."""
        self._image.set_value(settings.image)
        self._side.set_value(settings.side)
        self._operator.set_value(settings.operator.key)
        self._show_operator()
        self._operator_values.fill(settings.operator)
        self._noise.set_value(settings.noise.key)
        self._show_noise()
        self._noise_values.fill(settings.noise)
        for key, box in self._priors.items():
            box.set_value(key in settings.priors)
        self._by_hand.set_value(settings.weight is not None)
        self._weight.set_value(log10(WEIGHT.usual if settings.weight is None else settings.weight))
        self._steps.set_value(settings.steps)
        self._stops.set_value(settings.stops)

    def settings(self) -> Settings:
        """What is set; BadValue where something is missing or out of range."""
        side = self._side.value
        return Settings(
            image=str(self._image.value),
            side=side if isinstance(side, int) else 0,
            operator=Choice(str(self._operator.value), self._operator_values.values()),
            noise=Choice(str(self._noise.value), self._noise_values.values()),
            priors=[key for key in reversed(PRIORS) if self._priors[key].value],
            weight=_weight(self._weight.value) if self._by_hand.value else None,
            steps=round(self._steps.value or 0),
            stops=bool(self._stops.value),
        )

    def offer_upload(self) -> None:
        """Choose the image that was uploaded, and make room for another one."""
        self._image.set_options({**{key: choice.label for key, choice in IMAGES.items()}, UPLOAD: _UPLOADED}, value=UPLOAD)
        self.clear_upload()

    def clear_upload(self) -> None:
        """Take the file off the list of uploads."""
        self._upload.reset()

    def _show_operator(self) -> None:
        """The parameters of the operator, and the noise models that fit it."""
        choice = OPERATORS[str(self._operator.value)]
        self._operator_values.show(choice.parameters)
        noise = self._noise.value if self._noise.value in choice.noises else choice.noises[0]
        self._noise.set_options({key: NOISES[key].label for key in choice.noises}, value=noise)
        self._show_noise()

    def _show_noise(self) -> None:
        self._noise_values.show(NOISES[str(self._noise.value)].parameters)


class _Numbers:
    """The parameters of a choice."""

    def __init__(self) -> None:
        self._place = ui.column().classes("w-full gap-1")
        self._shown: Sequence[Parameter] = ()
        self._fields: dict[str, ui.number] = {}

    def show(self, parameters: Sequence[Parameter]) -> None:
        """Offer these parameters, with their usual values where they are new."""
        if parameters == self._shown:
            return
        self._shown = parameters
        self._place.clear()
        with self._place:
            self._fields = {parameter.name: _number(parameter, parameter.usual) for parameter in parameters}

    def fill(self, choice: Choice) -> None:
        """Show the values of a choice."""
        for name, value in choice.values.items():
            self._fields[name].set_value(value)

    def values(self) -> dict[str, float]:
        """The values; one that is missing is NaN, which is out of every range."""
        return {name: float("nan") if field.value is None else field.value for name, field in self._fields.items()}


def _weight(place: float | None) -> float:
    """The weight at a place of the slider, which is its logarithm."""
    return float(f"{10 ** (place or 0):.2g}")


def _group(title: str) -> ui.column:
    column = ui.column().classes("w-full gap-1 lab-group")
    with column:
        ui.label(title).classes("lab-title")
    return column


def _select(label: str, options: dict[object, str] | dict[str, str] | dict[int, str], value: object) -> ui.select:
    return (
        ui.select(options, value=value, label=label)
        .props("dense outlined options-dense")
        .classes("w-full")
        .mark(label.split()[0])
    )


def _number(parameter: Parameter, value: float) -> ui.number:
    field = ui.number(parameter.label, value=value, min=parameter.least, max=parameter.most, step=parameter.step)
    return field.props("dense outlined").classes("w-full").mark(parameter.name)
