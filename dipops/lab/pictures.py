"""Images as a page shows them: 8-bit PNG files."""

from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

from torch import Tensor

from dipops import images
from dipops.operators import Radon
from dipops.problem import Problem


@dataclass(frozen=True)
class Picture:
    """A PNG file, 8 bits a channel."""

    png: bytes

    @cached_property
    def address(self) -> str:
        """The file as an address that a page takes for an image."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


def picture(image: Tensor) -> Picture:
    """An image (1, C, H, W) or (C, H, W) as a picture; values outside [0, 1] are clipped."""
    file = BytesIO()
    images.to_pil(image).save(file, "PNG", compress_level=1)
    return Picture(file.getvalue())


def measurement(problem: Problem) -> Picture:
    """What was measured, as an image: of projections their filtered back-projection."""
    operator, y = problem.operator, problem.y
    return picture(operator.fbp(y) if isinstance(operator, Radon) else y)
