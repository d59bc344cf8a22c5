"""One visitor's solve under way: a thread that replaces a snapshot, which a page shows when it likes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dipops.contestants import scores
from dipops.errors import BadValue, DipopsError, first_line
from dipops.lab.pictures import Picture, measurement, picture
from dipops.lab.settings import Photo, Settings
from dipops.methods import ConjugateGradient, Method, PrimalDual
from dipops.priors import Prior
from dipops.problem import Problem
from dipops.recipes import VARIANCE, Recipe
from dipops.solver import Result
from dipops.stopping import Discrepancy, Observe, Oracle, Step, StopRule

_MOST_KEPT = 38
_SHOWN_EVERY = 0.15
_READ_EVERY = 5
_TURN_EVERY = 0.2


class _Ended(Exception):
    """The visitor has stopped it while a weight was chosen."""


@dataclass(frozen=True)
class Point:
    """A point of the curves: PSNR of the answer so far in dB, and root mean square of the residual of the last output."""

    step: int
    psnr: float
    residual: float


@dataclass(frozen=True)
class Mark:
    """What a stopping rule that is done keeps: the step of the answer, and its PSNR in dB."""

    rule: str
    step: int
    psnr: float


@dataclass(frozen=True)
class Track:
    """What is known of one prior.

    Attributes:
        state: "waits", "chooses the weight", "solves", "stopped" or "done".
        curve: the points so far.
        kept: answers on the way, by step, at most 40, which lie ever further apart.
        marks: what the stopping rules keep, once the solve has ended or was stopped.
        shown: the newest answer.
        record: settings and scores of the answer as plain values, once there are any.
    """

    state: str = "waits"
    curve: tuple[Point, ...] = ()
    kept: tuple[tuple[int, Picture], ...] = ()
    marks: tuple[Mark, ...] = ()
    shown: Picture | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """All that a page shows.

    Attributes:
        version: another one for each snapshot of a solve.
        state: "waits", "runs", "stopped", "done" or "failed".
        message: why it failed, or else empty.
        measured, truth: the images before any prior.
        noise_level: the residual of the ground truth.
        tracks: by prior.
    """

    version: int = 0
    state: str = "waits"
    message: str = ""
    measured: Picture | None = None
    truth: Picture | None = None
    noise_level: float = 0.0
    tracks: dict[str, Track] = field(default_factory=dict)


class Desk:
    """Who solves now: one solve for each visitor, and so many at once on this machine.

    Args:
        most: how many solves run at once; others wait for their turn.
    """

    def __init__(self, most: int) -> None:
        self.turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._running: dict[str, Solving] = {}

    def start(self, visitor: str, solving: "Solving", instead_of: "Solving | None" = None) -> None:
        """Begin or continue a visitor's solve, and end the one that it replaces.

        Raises:
            BadValue: another one of theirs runs, in another tab; nothing has ended then.
        """
        with self._lock:
            other = self._running.get(visitor)
            if other is not None and other is not solving and other is not instead_of and other.is_running:
                raise BadValue("a solve in another tab", "one solve at a time", "stop it there, or close that tab")
            if instead_of is not None:
                instead_of.end()
            running = {key: value for key, value in self._running.items() if value.is_running}
            self._running = {**running, visitor: solving}
            solving.start()

    def close(self) -> None:
        """End all solves."""
        with self._lock:
            for solving in self._running.values():
                solving.end()


class Solving:
    """The solves of one run of the lab, one prior after another, in a thread of their own.

    The thread replaces ``snapshot`` and knows no page. ``stop`` ends it within a few steps, and ``start`` goes on from there
    with the same bits; ``end`` stops it for good and removes what it has saved.

    Args:
        settings: what to solve.
        photo: the uploaded image, where the settings name it.
        turns: how many may run at once.
    """

    def __init__(self, settings: Settings, photo: Photo | None, turns: threading.BoundedSemaphore) -> None:
        self.settings, self.photo = settings, photo
        self.snapshot = Snapshot(tracks={prior: Track() for prior in settings.priors})
        self._turns, self._stopped = turns, threading.Event()
        self._thread: threading.Thread | None = None
        self._saved: TemporaryDirectory[str] | None = None
        self._problem: Problem | None = None
        self._chosen: dict[str, Recipe] = {}
        self._has_ended = False

    @property
    def is_running(self) -> bool:
        """Whether its thread is at work, and was not told to end."""
        return self._thread is not None and self._thread.is_alive() and not self._has_ended

    def start(self) -> None:
        """Begin, or go on after ``stop``."""
        self.wait()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="dipops lab")
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop after the next few steps."""
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until its thread has ended."""
        if self._thread is not None:
            self._thread.join(seconds)

    def end(self) -> None:
        """Stop for good; what was saved is removed once the thread has ended."""
        self._has_ended = True
        self.stop()
        threading.Thread(target=self._remove).start()

    def _remove(self) -> None:
        self.wait()
        if self._saved is not None:
            self._saved.cleanup()

    def _show(self, **changes: Any) -> None:
        """Replace the snapshot."""
        self.snapshot = replace(self.snapshot, version=self.snapshot.version + 1, **changes)

    def _show_track(self, prior: str, **changes: Any) -> None:
        track = replace(self.snapshot.tracks[prior], **changes)
        self._show(tracks={**self.snapshot.tracks, prior: track})

    def _run(self) -> None:
        """All priors that are not done, in turn with other visitors."""
        self._show(state="waits", message="")
        while not self._turns.acquire(timeout=_TURN_EVERY):
            if self._stopped.is_set():
                return self._show(state="stopped")
        try:
            self._show(state="runs")
            problem = self._begun()
            for prior in self.settings.priors:
                if self.snapshot.tracks[prior].state != "done" and not self._stopped.is_set():
                    self._solve(prior, problem)
            done = all(track.state == "done" for track in self.snapshot.tracks.values())
            self._show(state="done" if done else "stopped")
        except _Ended:
            self._show(state="stopped")
        except DipopsError as error:
            self._show(state="failed", message=str(error))
        except Exception as error:  # whatever else a solve meets: the page says so, and the server goes on
            self._show(state="failed", message=f"{type(error).__name__}: {first_line(error)}")
        finally:
            self._turns.release()
        return None

    def _begun(self) -> Problem:
        """The problem, made and shown once."""
        if self._problem is None:
            problem = self.settings.problem(self.photo)
            assert problem.truth is not None
            level = float(problem.rms_residual(problem.truth))
            self._show(measured=measurement(problem), truth=picture(problem.truth), noise_level=level)
            self._problem = problem
        return self._problem

    def _solve(self, prior: str, problem: Problem) -> None:
        if prior not in self._chosen:
            self._show_track(prior, state="chooses the weight" if prior in ("tv", "tikhonov") else "solves")
            self._chosen[prior] = self.settings.recipe(prior, problem, self._watched)
        recipe = self._chosen[prior]
        rules = {} if recipe.prior.on_pixels else _rules(problem)
        self._show_track(prior, state="solves")
        callbacks: list[Any] = [*recipe.callbacks, self._told(prior, problem), *rules.values()]
        followed = replace(recipe, method=_read_often(recipe.method), callbacks=callbacks)
        result = followed.solve(problem, checkpoint=self._checkpoint(prior), progress=False)
        self._finish(prior, problem, result, list(rules))

    def _checkpoint(self, prior: str) -> Path:
        """Where a solve saves itself, to go on after a stop."""
        if self._saved is None:
            self._saved = TemporaryDirectory(prefix="dipops-lab-")
        return Path(self._saved.name) / prior

    def _watched(self, prior: Prior) -> Prior:
        if self._stopped.is_set():
            raise _Ended
        return prior

    def _told(self, prior: str, problem: Problem) -> Callable[[Step], str | None]:
        """The callback of a solve: it shows the step, and ends the solve where the visitor wants that."""
        shown_at = 0.0

        def told(step: Step) -> str | None:
            nonlocal shown_at
            answer = step.image if step.average is None else step.average
            track, now = self.snapshot.tracks[prior], time.monotonic()
            point = Point(step.index, float(step.psnr) if step.psnr is not None else 0.0, _residual(problem, step.image))
            curve = (*(other for other in track.curve if other.step < step.index), point)
            keeps = not track.kept or step.index >= track.kept[-1][0] * _ratio(track.kept[0][0], step.steps)
            if keeps or now - shown_at > _SHOWN_EVERY:
                shown_at, shown = now, picture(answer)
                kept = (*track.kept, (step.index, shown)) if keeps else track.kept
                self._show_track(prior, curve=curve, shown=shown, kept=kept)
            else:
                self._show_track(prior, curve=curve)
            return "stopped by hand" if self._stopped.is_set() else None

        return told

    def _finish(self, prior: str, problem: Problem, result: Result, rules: list[str]) -> None:
        track = self.snapshot.tracks[prior]
        marks = tuple(
            Mark(rule, int(seen.image_steps[0]), scores(problem, seen.image)["psnr"])
            for rule, seen in zip(rules, result.observed, strict=True)
            if int(seen.image_steps[0]) and (rule == "oracle" or bool(seen.stopped[0]))
        )
        stopped = self._stopped.is_set() and result.message == "stopped by hand"
        record = {
            "settings": repr(self._chosen[prior].prior),
            "source": self._chosen[prior].source,
            "steps": result.steps,
            "step of the image": int(result.image_steps[0]),
            "seconds": result.seconds,
            "ended": result.message,
            "corrected for clipped noise": bool(result.debiased.any()),
            "data psnr": float(result.data_psnr),
            **scores(problem, result.image),
            "rules": {mark.rule: {"step": mark.step, "psnr": mark.psnr} for mark in marks},
        }
        shown = picture(result.image)
        kept = tuple(pair for pair in track.kept if pair[0] < result.steps)
        kept = kept if stopped else (*kept, (result.steps, shown))
        self._show_track(prior, state="stopped" if stopped else "done", marks=marks, shown=shown, kept=kept, record=record)


def _read_often(method: Method) -> Method:
    """The method, with more points of its curves where it makes few steps."""
    return replace(method, every=_READ_EVERY) if isinstance(method, PrimalDual | ConjugateGradient) else method


def _rules(problem: Problem) -> dict[str, StopRule | Observe]:
    """The stopping rules that are followed, by the names on the page; the oracle comes last, as solve puts it in order."""
    discrepancy = {"discrepancy": Observe(Discrepancy())} if problem.is_noisy else {}
    return {**discrepancy, "variance": Observe(VARIANCE), "oracle": Oracle()}


def _residual(problem: Problem, image: Tensor) -> float:
    with torch.no_grad():
        return float(problem.rms_residual(image))


def _ratio(first: int, steps: int) -> float:
    """How much further each kept step is than the last, so that they do not become too many."""
    return max(1.0, (steps / first) ** (1 / _MOST_KEPT))
