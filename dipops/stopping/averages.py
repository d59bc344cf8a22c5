"""Averages of the outputs of a solve."""

from torch import Tensor

from dipops._tools.state import Stateful
from dipops.errors import BadValue


class Mean(Stateful):
    """An average of the outputs.

    Attributes:
        average: of the outputs so far (N, *in_shape), or None before the first.
        lag: mean age of its outputs, in steps.
    """

    state = ("average", "lag")

    def __init__(self) -> None:
        self.average: Tensor | None = None
        self.lag = 0.0

    def start(self, steps: int) -> None:
        """Begin a solve of at most ``steps`` steps."""

    def update(self, image: Tensor) -> None:
        """Add the output of a step."""
        raise NotImplementedError

    @property
    def std(self) -> Tensor | None:
        """The standard deviation of the outputs, pixel by pixel, or None where it is not computed."""
        return None


class ExponentialMean(Mean):
    """The exponential average a ← d a + (1 - d) x of the outputs x.

    Args:
        decay: d, from 0 up to 1.
        warm_up: step t takes min(decay, (1 + t) / (10 + t)) for d, so that the first outputs, which are random, fade soon.
            Without it a begins with the first output and d is ``decay`` from then on.
    """

    state = (*Mean.state, "_count")

    def __init__(self, decay: float, warm_up: bool = True) -> None:
        super().__init__()
        self._decay, self._warm_up, self._count = decay, warm_up, 0

    def update(self, image: Tensor) -> None:
        decay = min(self._decay, (1 + self._count) / (10 + self._count)) if self._warm_up else self._decay
        self._count += 1
        if self.average is None:
            self.average = image.clone()
        else:
            self.average.lerp_(image, 1 - decay)
            self.lag = decay * (self.lag + 1)


class PosteriorMean(Mean):
    """Mean and standard deviation of the outputs after ``burn_in`` steps, by Welford's update.

    Until then the last output is the average.
    """

    state = (*Mean.state, "_count", "_squares")

    def __init__(self, burn_in: int) -> None:
        super().__init__()
        self._burn_in, self._count = burn_in, 0
        self._squares: Tensor | None = None

    def start(self, steps: int) -> None:
        if self._burn_in > steps - 2:
            came = f"burn_in = {self._burn_in} in a solve of {steps} steps"
            raise BadValue(came, "at least two steps after it", "lower burn_in or raise steps")

    def update(self, image: Tensor) -> None:
        self._count += 1
        count = self._count - self._burn_in
        if count <= 1 or self.average is None or self._squares is None:
            self.average, self._squares = image.clone(), image.new_zeros(image.shape)
            return
        difference = image - self.average
        self.average = self.average + difference / count
        self._squares = self._squares + difference * (image - self.average)

    @property
    def std(self) -> Tensor | None:
        degrees = self._count - self._burn_in - 1
        return None if self._squares is None or degrees < 1 else (self._squares / degrees).sqrt()
