"""A study: which runs are made of which problems, by which contestants, with which seeds."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from dipops._tools.files import package_version
from dipops._tools.fingerprints import contents
from dipops.contestants import Contestant, draws, outcome_of, require_contestants, require_fitting, require_name, scores
from dipops.errors import BadType, BadValue, DipopsError, first_line, require_instance, require_integer, safe_repr
from dipops.noise import Noise
from dipops.operators import LinearOrDifferentiableOperator
from dipops.problem import Problem, require_problem
from dipops.study.cluster import run_on
from dipops.study.measurement import drawn
from dipops.study.records import Name, Record, Task
from dipops.study.report import Study, study_of
from dipops.study.runner import run as run_here
from dipops.study.store import Store, temporary_store

Shape = tuple[int, ...]
_ADVICE = 'write {"photo": problem}, or {("blur", "photo"): problem}'
_LONGEST, _ROUNDING = 100, 1e-3
_BATCHES_OF_ONE = ((1, 1), (1, 3))


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
        operator, image, contestant: their names; no operator where problems are named by the image alone.
        noise_seed: of the noise that is drawn anew; None where y stays as it is given.
        seed: of the contestant; None where it does not draw.
    """

    operator: str | None
    image: str
    contestant: str
    noise_seed: int | None
    seed: int | None


def problems_of(
    images: Mapping[str, Tensor],
    operators: Mapping[str, Callable[[Shape], LinearOrDifferentiableOperator]],
    noise: Noise | float,
) -> dict[tuple[str, str], Problem]:
    """Every image measured by every operator with one noise, named (operator, image), for :func:`study`.

    Args:
        images: by name, (C, H, W) or another shape without a batch; sizes may differ.
        operators: by name, functions of an image's shape, such as ``Identity`` or
            ``lambda shape: LanczosDownsampler(shape, 4)``.
        noise: a noise model, or σ of normal noise in image units; 0 for none.

    Raises:
        BadType: images or operators are no dicts, an image is no tensor, or an operator no function.
        BadValue: an image has a batch dimension: (1, 1, H, W) or (1, 3, H, W), which would be measured as a volume.
        BadType, BadValue: as for ``Problem.simulate``.
    """
    require_instance(images, Mapping, "images", "a dict of names", 'write {"photo": x}')
    require_instance(operators, Mapping, "operators", "a dict of names", 'write {"noise": Identity}')
    for name, make in operators.items():
        if isinstance(make, LinearOrDifferentiableOperator) or not callable(make):
            came = f"{type(make).__name__} for the operator {safe_repr(name)}"
            raise BadType(came, "a function of an image's shape", "write Identity, or lambda shape: Blur(shape, kernel)")
    for name, x in images.items():
        require_instance(x, Tensor, f"image {safe_repr(name)}", "a tensor", "read a file by images.load")
        if x.ndim == 4 and tuple(x.shape[:2]) in _BATCHES_OF_ONE:
            came = f"image {safe_repr(name)} of shape {tuple(x.shape)}"
            raise BadValue(came, "(C, H, W), without a batch", "pass x[0]; make the Problem of a volume yourself")
    return {
        (operator, image): Problem.simulate(make(tuple(x.shape)), x, noise)
        for operator, make in operators.items()
        for image, x in images.items()
    }


def study(
    problems: Mapping[str, Problem] | Mapping[tuple[str, str], Problem],
    contestants: Mapping[str, Contestant],
    seeds: int | Sequence[int] = 3,
    *,
    noise_seed: int | Literal["given"] | None = None,
    folder: str | Path | None = None,
    client: Any = None,
    progress: bool = True,
) -> Study:
    """Solve many problems by many contestants with several seeds, and compare the results.

    Each run goes into a folder. Runs that are there already are not made again, so that the same call continues after an
    interruption, and several processes may share the work. A contestant that raises on one problem fails there alone: the
    table shows the reason, and the next call tries it again.

    Run k has the seed k for its contestant, and a y that is drawn anew from the ground truth with seed k where the noise is
    known and not zero. A contestant that does not draw is run once for each y.

    Args:
        problems: by the name of an image, or by (operator, image), each of one image with its ground truth. With pairs the
            table has a part for each operator. Sizes may differ, channels not. See :func:`problems_of`.
        contestants: by name, each a prior, solved by its default method; a recipe; or a function of a problem, and of ``seed``
            where it draws at random, which gives an image (1, *in_shape), a Result, or a prior or a recipe. Results are
            corrected for clipped noise where ``recipes.debiased`` applies; images of functions are taken as they are.
        seeds: how many, counted from 0, or which.
        noise_seed: draws the same noise in every run, so that the deviations are those of the contestants alone; "given"
            keeps the y of each problem, such as a real measurement.
        folder: of the runs; without one they are kept only as long as the Study.
        client: of a Dask cluster whose workers make the runs, see :func:`dask_client`; functions and operators of your own
            must be importable there.
        progress: whether to show a bar.

    Raises:
        BadType: something is not what it is called.
        BadValue: a problem has no ground truth or several images, channels differ, an image is too small for a contestant,
            there is no seed, or a name does not fit into a table; nothing is run then.
        BadFile: the folder cannot be used.
    """
    named = _require_problems(problems)
    chosen = require_contestants(contestants, "contestant")
    _require_fitting(named, chosen)
    numbers = _require_seeds(seeds)
    if noise_seed not in (None, "given"):
        require_integer("noise_seed", noise_seed, 0, "leave it out, or write 0")
    planned = {
        Run(*name, contestant, *draw): (problem, chosen[contestant])
        for name, problem in named.items()
        for contestant in chosen
        for draw in _draws(problem, chosen[contestant], numbers, noise_seed)
    }
    tasks = _tasks(planned)
    store = temporary_store() if folder is None else Store(folder)
    if client is None:
        run_here(tasks, store, str(next(iter(named.values())).y.device), progress)
    else:
        run_on(client, tasks, store, progress)
    return study_of(named, [task.key for task in tasks], store)


def perform(
    run: Run, problem: Problem, contestant: Contestant, target: str = "cpu", progress: bool = False
) -> tuple[Record, Tensor | None]:
    """Make a run: its record and the answer (1, *in_shape); where the contestant raises, the reason and None."""
    record: Record = {"run": asdict(run), "settings": safe_repr(contestant), "operator": safe_repr(problem.operator)}
    started = time.perf_counter()
    try:
        posed = drawn(problem.to(target), run.noise_seed)
        outcome = outcome_of(contestant, posed, run.seed, progress)
        values = {column: scores(posed, image) for column, (image, _) in outcome.columns.items()}
    except Exception as error:  # one contestant must not end the work of all others
        return {**record, "scores": {}, "failure": f"{type(error).__name__}: {first_line(error)}"}, None
    result = outcome.result
    return {
        **record,
        "settings": outcome.settings,
        "scores": values,
        "at": {column: step for column, (_, step) in outcome.columns.items()},
        "data_psnr": float(result.data_psnr[0]),
        "steps": result.steps,
        "ended": result.message,
        "seconds": round(time.perf_counter() - started, 3),
    }, result.image


def _require_problems(problems: object) -> dict[Name, Problem]:
    """The problems by operator and image."""
    if not isinstance(problems, Mapping):
        raise BadType(f"a {type(problems).__name__} for the problems", "a dict of names", _ADVICE)
    if not problems:
        raise BadValue("no problems", "at least one", _ADVICE)
    pairs = [name for name in problems if isinstance(name, tuple)]
    if (pairs and len(pairs) < len(problems)) or any(len(name) != 2 for name in pairs):
        raise BadValue(f"the names {safe_repr(list(problems))[:80]}", "all images, or all pairs (operator, image)", _ADVICE)
    named: dict[Name, Problem] = {}
    for name, problem in problems.items():
        operator, image = name if isinstance(name, tuple) else (None, name)
        for word in (operator, image):
            if word is not None or pairs:
                require_name(word)
        require_problem(problem)
        _require_one_image(image, problem)
        named[operator, image] = problem
    _require_one_kind({image: problem.operator.in_shape for (_, image), problem in named.items()})
    return named


def _require_one_kind(shapes: Mapping[str, Shape]) -> None:
    """Refuse images that differ in channels or in the number of dimensions."""
    (first, shape), *others = shapes.items()
    for name, other in others:
        if (len(other), other[:-2]) != (len(shape), shape[:-2]):
            came = f"{first} of shape {tuple(shape)} and {name} of shape {tuple(other)}"
            raise BadValue(came, "images of the same channels", "convert them, or make two studies")


def _require_one_image(image: str, problem: Problem) -> None:
    if problem.truth is None:
        raise BadValue(
            f"problem {image!r} without its ground truth", "one to score by", "pass truth=x, or use Problem.simulate"
        )
    least, largest = float(problem.truth.min()), float(problem.truth.max())
    if least < -_ROUNDING or largest > 1 + _ROUNDING:
        came = f"problem {image!r} whose ground truth has values from {least:.3g} to {largest:.3g}"
        raise BadValue(came, "[0, 1], in which images are scored", "divide 8-bit values by 255, and σ too")
    if len(problem.y) != 1:
        raise BadValue(f"problem {image!r} of {len(problem.y)} images", "one image", "make a problem of each, with a name")


def _require_fitting(problems: Mapping[Name, Problem], contestants: Mapping[str, Contestant]) -> None:
    """Refuse images that a prior cannot start on, each shape once."""
    tried = set()
    for (_, image), problem in problems.items():
        for name, contestant in contestants.items():
            case = (name, problem.operator.in_shape)
            if case not in tried:
                tried.add(case)
                try:
                    require_fitting(contestant, problem)
                except DipopsError as error:
                    came, expected, advice = error.args[:3]
                    raise type(error)(f"{name} on {image}: {came}", expected, advice) from error


def _require_seeds(seeds: object) -> list[int]:
    advice = "write 3 for the seeds 0, 1 and 2"
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        numbers = [require_integer("seed", seed, 0, advice) for seed in seeds]
        if not numbers or len(set(numbers)) < len(numbers):
            raise BadValue(f"seeds = {numbers}", "at least one, each once", advice)
        return numbers
    return list(range(require_integer("seeds", seeds, 1, advice)))


def _draws(
    problem: Problem, contestant: Contestant, seeds: Sequence[int], noise_seed: int | str | None
) -> list[tuple[int | None, int | None]]:
    """The seeds of the noise and of the contestant in each of its runs on a problem."""
    own: Sequence[int | None] = seeds if draws(contestant, problem) else [None] * len(seeds)
    if not problem.is_noisy or noise_seed == "given":
        noises: list[int | None] = [None] * len(seeds)
    else:
        noises = [seed if noise_seed is None else int(noise_seed) for seed in seeds]
    return list(dict.fromkeys(zip(noises, own, strict=True)))


def _tasks(planned: Mapping[Run, tuple[Problem, Contestant]]) -> list[Task]:
    """The tasks of the runs, whose keys differ wherever a result may."""
    problems = {id(problem): problem for problem, _ in planned.values()}
    contestants = {id(contestant): contestant for _, contestant in planned.values()}
    settings = {key: contents(contestant) for key, contestant in contestants.items()}
    posed = {(key, redrawn): _posed(problem, redrawn) for key, problem in problems.items() for redrawn in (True, False)}
    return [
        Task(
            key=_key(run, settings[id(contestant)], posed[id(problem), run.noise_seed is not None]),
            label=", ".join(name for name in (run.operator, run.image, run.contestant) if name),
            inputs="",
            perform=partial(perform, run, problem, contestant),
        )
        for run, (problem, contestant) in planned.items()
    ]


def _posed(problem: Problem, redrawn: bool) -> str:
    """A digest of a problem, without y where that is drawn anew."""
    return contents((problem.operator, problem.noise, problem.weights, problem.truth, None if redrawn else problem.y))


def _key(run: Run, settings: str, posed: str) -> str:
    """A file name: the names, and a digest of all that the result depends on."""
    names = [name for name in (run.operator, run.image, run.contestant) if name]
    text = repr((asdict(run), settings, posed, package_version("dipops")))
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower())[:_LONGEST].strip("-")
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
