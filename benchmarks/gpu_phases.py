"""The measurements of a run on a GPU, by phases, most valuable first."""

from collections.abc import Callable
from typing import Any

from benchmarks import gpu_work as work
from benchmarks.gpu_work import Settings
from benchmarks.harness import Task
from benchmarks.speed import RECIPES

WAYS: dict[str, Settings] = {
    "float32": {"precision": "full", "tf32": False, "capture": False, "compile": False},
    "TF32": {"precision": "full", "tf32": True, "capture": False, "compile": False},
    "mixed": {"precision": "mixed", "tf32": False, "capture": False, "compile": False},
    "TF32, captured": {"precision": "full", "tf32": True, "capture": True, "compile": False},
    "float32, captured": {"precision": "full", "tf32": False, "capture": True, "compile": False},
    "captured": {"precision": "mixed", "tf32": False, "capture": True, "compile": False},
    "compiled": {"precision": "mixed", "tf32": False, "capture": False, "compile": True},
    "compiled and captured": {"precision": "mixed", "tf32": False, "capture": True, "compile": True},
}
"""How a step is taken; "captured" is mixed precision, recorded as a CUDA graph, which is what ``solve`` does."""
MEMBERS = (1, 4, 8)
BEST_FIRST = ("house", "peppers", "f16", "kodim03", "lena", "kodim02", "kodim12", "kodim01", "baboon")
STEPS = 1800


class Phases:
    """The tasks of each phase; small ones show on any machine that all of them work."""

    def __init__(self, small: bool = False) -> None:
        self.small = small
        self.common: Settings = {"size": 32 if small else 512, "narrow": small}
        self.timed = {"warm_up": 1, "rounds": 1, "steps": 1} if small else {"warm_up": 12, "rounds": 5, "steps": 8}
        self.images = ("portrait",) if small else BEST_FIRST

    def all(self) -> dict[str, list[Task]]:
        """By the phase's name."""
        names = ("steps", "whole", "bits", "profile", "compiled")
        return {name: list(getattr(self, name)()) for name in names}

    def steps(self) -> list[Task]:
        """The machine, the floors, and a step in every way that needs no compiler."""
        ways = ("captured", "mixed", "TF32", "float32", "TF32, captured", "float32, captured")
        batches = [task for members in MEMBERS[1:] for way in ("captured", "mixed") for task in both(self.step, way, members)]
        return [
            self.machine(),
            self.loop(),
            *both(self.floor, "mixed"),
            *both(self.floor, "float32"),
            *(task for way in ways for task in both(self.step, way, 1)),
            self.step("light", "captured", 1, "Muon"),
            *batches,
        ]

    def whole(self) -> list[Task]:
        """Solves from beginning to end."""
        light, paper = ([self.solve(recipe, image) for image in self.images] for recipe in ("light", "paper"))
        return [*light[:4], *paper[:2], self.many(1, STEPS), self.many(8, STEPS // 4), *light[4:], *paper[2:]]

    def bits(self) -> list[Task]:
        """Two solves of one seed."""
        return [
            self.twice(recipe, precision, deterministic, capture)
            for deterministic in (True, False)
            for capture in (True, False)
            for recipe in RECIPES
            for precision in ("mixed", "full")
        ]

    def profile(self) -> list[Task]:
        """Where the time goes."""
        return [*both(self.kernels, "captured"), *both(self.kernels, "mixed")]

    def compiled(self) -> list[Task]:
        """Last, for each network takes about a minute to compile."""
        return [task for way in ("compiled and captured", "compiled") for task in both(self.step, way, 1)]

    def machine(self) -> Task:
        sizes = {"side": 64, "bytes": 2**20} if self.small else {"side": 8192, "bytes": 2**30}
        return Task("gpu-run-machine", work.machine, sizes, 1, 3)

    def loop(self) -> Task:
        settings = {"size": 64, "steps": [0, 1]} if self.small else {"size": 512, "steps": [5, 45]}
        return Task("gpu-run-loop", work.loop, settings, 60, 0.05)

    def step(self, recipe: str, way: str, members: int, optimizer: str = "Adam") -> Task:
        settings = self.started(recipe, way, members, optimizer) | self.timed
        name = f"gpu-run-step-{recipe}-{way}-{members}-{optimizer}"
        seconds = {"compiled and captured": 60, "compiled": 20}.get(way, 5)  # compiled a second time from a cache
        return Task(name, work.needing_cuda(work.step), settings, 1, seconds)

    def floor(self, recipe: str, way: str) -> Task:
        return Task(f"gpu-run-floor-{recipe}-{way}", work.floor, self.started(recipe, way), 2, 1)

    def kernels(self, recipe: str, way: str) -> Task:
        settings = self.started(recipe, way) | {"warm_up": 1 if self.small else 12, "steps": 1 if self.small else 5, "rows": 15}
        return Task(f"gpu-run-kernels-{recipe}-{way}", work.needing_cuda(work.kernels), settings, 1, 4)

    def solve(self, recipe: str, image: str) -> Task:
        settings = {"image": image, "sigma": "25/255", "recipe": recipe, "narrow": self.small}
        settings |= {"size": 32, "steps": 2, "warm_up": 1} if self.small else {"steps": None, "warm_up": 5}
        return Task(f"gpu-run-whole-{recipe}-{image}", work.whole, settings, 1, {"light": 5, "paper": 30}[recipe])

    def many(self, members: int, steps: int) -> Task:
        settings = {
            "recipe": "light",
            "members": members,
            "steps": 2 if self.small else steps,
            "warm_up": 1 if self.small else 5,
        }
        return Task(f"gpu-run-many-{members}", work.many_steps, settings | self.common, 1, 8)

    def twice(self, recipe: str, precision: str, deterministic: bool, capture: bool) -> Task:
        settings = {"recipe": recipe, "precision": precision, "deterministic": deterministic, "capture": capture}
        settings |= {"size": 32, "steps": 1} if self.small else {"size": 128, "steps": 50}
        name = f"gpu-run-bits-{recipe}-{precision}-{deterministic}-{capture}"
        return Task(name, work.needing_cuda(work.bits), settings | {"narrow": self.small}, 1, 3)

    def started(self, recipe: str, way: str, members: int = 1, optimizer: str = "Adam") -> Settings:
        """What an iteration is started with."""
        return {"recipe": recipe, "way": way, "members": members, "optimizer": optimizer, **WAYS[way], **self.common}


def both(make: Callable[..., Task], *rest: Any) -> list[Task]:
    """A task with each recipe."""
    return [make(recipe, *rest) for recipe in RECIPES]
