"""Systems that are computed from images of finished runs: means of runs, fused and debiased ones."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dipops import classical, images
from dipops.paper.contestants import ANSWER, DEBIASED, projected
from dipops.paper.experiments import MEAN_OF_RUNS, Experiment
from dipops.paper.runs import Run
from dipops.problem import Problem
from dipops.solver.corrections import debias
from dipops.study import Record, Store, scores_of

_CLASSICAL = ("NLM", "CBM3D")

Systems = dict[str, dict[Run, Record]]


@dataclass(frozen=True)
class _Stored:
    """Runs of one image and system as one: their mean, the column of their answers, and the seconds of all."""

    run: Run
    image: Tensor
    column: str
    seconds: float


def combined(row: Experiment, runs: Mapping[Run, Record], store: Store, data: Path) -> Systems:
    """Systems made of the first contestant's images, of as many seeds as every image has, and of classical denoisers' ones.

    They are the mean of the runs, where there are several; what it gives when it is fused with a denoiser, see
    ``classical.fused``; and the denoisers debiased, where the noise is clipped. Each is of the images whose runs are there.

    Args:
        row: the experiment; without a score nothing is combined.
        runs: of one configuration, in the order of their seeds.
        store: has their images, of 8 bits: that costs 0.007 dB at 31 dB, and less where several are averaged.
        data: the folder of the paper's images.

    Returns:
        by name the runs, as if one run had made each image, with their records.
    """
    systems: Systems = defaultdict(dict)
    if row.score is None:
        return systems
    first = next(iter(row.contestants))
    of_image = _by_image_and_system([run for run in runs if run.contestant in (first, *_CLASSICAL)])
    count = min((len(own[first]) for own in of_image.values() if first in own), default=0)
    for name, own in of_image.items():
        if count < 2 and own.keys() == {first}:
            continue  # nothing to combine
        stored = {system: _stored(same[: count if system == first else 1], runs, store) for system, same in own.items()}
        problem = row.problem_for(name, data, next(iter(stored.values())).run.config.crop)
        for key, run, record in _of_image(row, problem, first, count, stored):
            systems[key][run] = record
    return systems


def _by_image_and_system(runs: Iterable[Run]) -> dict[str, dict[str, list[Run]]]:
    by_image: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_image.setdefault(run.image, {}).setdefault(run.contestant, []).append(run)
    return by_image


def _stored(own: list[Run], runs: Mapping[Run, Record], store: Store) -> _Stored:
    mean = torch.stack([images.load(store.image(run.key)) for run in own]).mean(0, keepdim=True)
    column = next(iter(scores_of(runs[own[0]])))  # the answer, which is kept as a file
    return _Stored(own[0], mean, column, sum(runs[run]["seconds"] for run in own))


def _of_image(
    row: Experiment, problem: Problem, first: str, count: int, stored: Mapping[str, _Stored]
) -> Iterator[tuple[str, Run, Record]]:
    """Each system's name for what is printed, its run of one image and its record."""
    clipped = problem.is_clipped[0]
    answer = stored.get(first)
    if answer is not None:
        label = f"{first}, mean of {count} runs" if count > 1 else first
        if count > 1:
            values = {answer.column: answer.image, **projected(problem, answer.image)}
            values |= {DEBIASED: debias(problem, answer.image)[0]} if clipped else {}
            yield MEAN_OF_RUNS, *_scored(row, problem, label, values, [answer])
        for system in _CLASSICAL:
            if system in stored:
                image = classical.fused(problem, answer.image, stored[system].image)
                parts, column = [answer, stored[system]], DEBIASED if clipped else ANSWER
                yield f"{MEAN_OF_RUNS} + {system}", *_scored(row, problem, f"{label} + {system}", {column: image}, parts)
    for system in _CLASSICAL:
        if clipped and system in stored:
            name, image = f"{system}, debiased", debias(problem, stored[system].image)[0]
            yield name, *_scored(row, problem, name, {DEBIASED: image}, [stored[system]])


def _scored(
    row: Experiment, problem: Problem, label: str, values: Mapping[str, Tensor], parts: Iterable[_Stored]
) -> tuple[Run, Record]:
    """A run that stands for several, and its record."""
    assert row.score is not None
    assert problem.truth is not None
    parts = list(parts)
    scores = {column: {str(row.metric): float(row.score(image.clamp(0, 1), problem.truth))} for column, image in values.items()}
    return replace(parts[0].run, contestant=label), {"scores": scores, "seconds": sum(part.seconds for part in parts)}
