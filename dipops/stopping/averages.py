"""Averages of the outputs of a solve."""

from dataclasses import dataclass

from torch import Tensor

from dipops.errors import BadValue, require_integer, require_number
from dipops.stopping.interface import Averaging, Mean


@dataclass(frozen=True)
class Average(Averaging):
    """The exponential average of the outputs: a ← decay a + (1 - decay) x. The paper's decay is 0.99.

    Raises:
        BadType: the decay is no number.
        BadValue: it is not in [0, 1).
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        wanted = ("at least 0 and below 1", "0.99 averages about the last 100 outputs")
        require_number("decay", self.decay, lambda decay: 0 <= decay < 1, *wanted)

    def start(self, steps: int) -> "ExponentialMean":
        return ExponentialMean(self.decay)


class ExponentialMean(Mean):
    """An exponential average at work."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self._decay, self.lag = decay, round(decay / (1 - decay))

    def update(self, image: Tensor) -> None:
        self.average = image.clone() if self.average is None else self.average.lerp_(image, 1 - self._decay)


@dataclass(frozen=True)
class Posterior(Averaging):
    """Mean and standard deviation of the outputs after ``burn_in`` steps: of the posterior, if Langevin makes them.

    Until then the last output is the average.

    Raises:
        BadType: burn_in is no integer.
        BadValue: it is negative; on start, it leaves fewer than two steps.
    """

    burn_in: int = 1000

    def __post_init__(self) -> None:
        require_integer("burn_in", self.burn_in, 0, "leave out the steps before the fit is good")

    def start(self, steps: int) -> "PlainMean":
        if self.burn_in > steps - 2:
            came = f"burn_in = {self.burn_in} in a solve of {steps} steps"
            raise BadValue(came, "at least two steps after it", "lower burn_in or raise steps")
        return PlainMean(self.burn_in)


class PlainMean(Mean):
    """Mean and spread at work, by Welford's update."""

    state = ("average", "_seen", "_squares")

    def __init__(self, burn_in: int) -> None:
        super().__init__()
        self._burn_in, self._seen = burn_in, 0
        self._squares: Tensor | None = None

    def update(self, image: Tensor) -> None:
        self._seen += 1
        count = self._seen - self._burn_in
        if count <= 1 or self.average is None or self._squares is None:
            self.average, self._squares = image.clone(), image.new_zeros(image.shape)
            return
        before = image - self.average
        self.average = self.average + before / count
        self._squares = self._squares + before * (image - self.average)

    @property
    def spread(self) -> Tensor | None:
        degrees = self._seen - self._burn_in - 1
        return None if self._squares is None or degrees < 1 else (self._squares / degrees).sqrt()
