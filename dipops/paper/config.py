"""How much of an experiment a run makes."""

from dataclasses import dataclass

from dipops.errors import BadValue
from dipops.recipes import Settings


@dataclass(frozen=True)
class RunConfig:
    """How much of an experiment a run makes; by default all of it.

    Attributes:
        crop: images are cut to at most so many pixels a side; None leaves them whole.
        steps: the share of each recipe's steps.
        settings: of the recipes: the paper's, or the light ones.

    Raises:
        BadValue: the crop is under 32 pixels, or the share of the steps is not above 0 and at most 1.
    """

    crop: int | None = None
    steps: float = 1.0
    settings: Settings = "paper"

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop < 32:
            raise BadValue(f"a crop of {self.crop}", "at least 32 pixels", "the paper's images have 256 and more")
        if not 0 < self.steps <= 1:
            raise BadValue(f"{self.steps} of the steps", "a share above 0 and at most 1", "0.1 makes a tenth of them")

    @property
    def is_full_size(self) -> bool:
        """Whether its figures may be compared with the printed ones: whole images and all steps, whatever the settings."""
        return self.crop is None and self.steps == 1

    def steps_of(self, steps: int) -> int:
        """The share of a number of steps, at least one."""
        return max(round(self.steps * steps), 1)

    def __str__(self) -> str:
        crop = "whole images" if self.crop is None else f"crops of {self.crop} pixels"
        steps = "all steps" if self.steps == 1 else f"{100 * self.steps:g}% of the steps"
        settings = "the paper's settings" if self.settings == "paper" else "light settings where there are any"
        return f"{crop}, {steps}, {settings}"
