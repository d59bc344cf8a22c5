"""The paper's tables on whole images, as far as two cores go: ``python -m benchmarks.paper [PART ...]``.

DIPOPS_DATA names the images. A task is an image of an experiment, with all its systems and seeds: a record keeps the scores of
the runs and of what is computed from their images, means and fused ones. The images stay in a folder of finished runs, from
which an interrupted task goes on; several processes may share the work. The page has what is there so far.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.crops import DATA
from benchmarks.harness import DEVICE, Record, Records, Task, chosen, records_of, run, write_report
from dipops._tools.tables import markdown
from dipops.paper.combined import Systems, combined
from dipops.paper.config import RunConfig
from dipops.paper.contestants import ANSWER, AVERAGE, DEBIASED, PROJECTED, STOPPED
from dipops.paper.experiments import MEAN_OF_RUNS, Experiment, experiment, mean_over
from dipops.paper.runs import Run, plan, require_runnable, tasks
from dipops.paper.tables import table_of
from dipops.study import Store, runner, scores_of
from dipops.study.statistics import mean

LIGHT, PAPER = RunConfig(settings="light"), RunConfig()
_FOLDER = Path(tempfile.gettempdir()) / "dipops-paper"
_MINUTES = 10.0  # of an image, as an order of magnitude


LIGHT_RUNS = {
    "denoise-25": 4,
    "x4-set5-matched": 2,
    "denoise-50": 2,
    "missing-50": 2,
    "x4-set5": 2,
    "x4-set14-matched": 2,
    "x4-set14": 2,
    "text": 2,
    "hole": 2,
    "missing-98": 2,
    "library": 2,
    "x8-set5-matched": 1,
    "x8-set14-matched": 1,
}
"""How many runs of an image each experiment has at light settings."""


def whole() -> list[Task]:
    """The tasks: one run of each image first, then several."""
    planned = [
        *(plan([name], 1, LIGHT) for name in LIGHT_RUNS),
        *(plan([name], count, LIGHT) for name, count in LIGHT_RUNS.items() if count > 1),
        plan(["denoise-25"], 1, RunConfig(steps=0.6), contestants=["DIP"]),
        plan(["x4-set5"], 1, PAPER, contestants=["DIP"]),
    ]
    return [task for runs in planned for task in _by_image(runs)]


def _by_image(runs: Iterable[Run]) -> list[Task]:
    of_image: dict[str, list[Run]] = defaultdict(list)
    for each in runs:
        of_image[each.image].append(each)
    return [_task(own) for own in of_image.values()]


def _task(runs: list[Run]) -> Task:
    first, seeds = runs[0], len({each.seed for each in runs})
    name = f"paper-{first.experiment}-{first.image}-{first.config.settings}-{first.config.steps:g}-of{seeds}"
    settings = {"experiment": first.experiment, "image": first.image, "seeds": seeds, "runs": [each.key for each in runs]}
    return Task(name, partial(_scores, runs), settings, len(runs), 60 * _MINUTES, alone=False)


def _scores(runs: Sequence[Run], settings: dict[str, Any]) -> dict[str, Any]:
    """The scores and seconds of each system's runs of an image, and of what is computed from them."""
    require_runnable(runs, DATA)
    store, row = Store(_FOLDER), experiment(runs[0].experiment)
    runner.run(tasks(runs, DATA), store, str(DEVICE), progress=False)
    made = {each: store.record(each.key) for each in runs}
    systems: Systems = {name: {each: own for each, own in made.items() if each.contestant == name} for name in row.contestants}
    every = systems | combined(row, made, store, DATA)
    kept = [
        {"system": name, "run": asdict(each), "scores": own["scores"], "seconds": own["seconds"], "facts": _facts(own)}
        for name, records in every.items()
        for each, own in records.items()
    ]
    return {"systems": kept}


def _facts(record: Record) -> dict[str, Any]:
    """Steps, stops and why a run ended, without its curves."""
    return {name: value for name, value in record.get("facts", {}).items() if name != "curves"}


def tables_of(records: Records, planned: Iterable[Task]) -> dict[tuple[str, RunConfig], Systems]:
    """The systems of each experiment and configuration: of as many images as there are, then of as many runs each."""
    found: dict[tuple[str, RunConfig], dict[int, Systems]] = defaultdict(dict)
    for task in planned:
        if task.name in records:
            record = records[task.name]
            about = {"environment": record["environment"], "device": "cpu" if record["environment"]["gpu"] is None else "cuda"}
            for kept in record["result"]["systems"]:
                each = Run.of(kept["run"])
                systems = found[each.experiment, each.config].setdefault(task.settings["seeds"], defaultdict(dict))
                systems[kept["system"]][each] = {**kept, **about}
    return {key: _fullest(of_seeds) for key, of_seeds in found.items()}


def _fullest(of_seeds: Mapping[int, Systems]) -> Systems:
    """Of the systems by their numbers of runs, those of the most images, then of the most runs."""
    images = {seeds: len({each.image for own in systems.values() for each in own}) for seeds, systems in of_seeds.items()}
    return of_seeds[max(of_seeds, key=lambda seeds: (images[seeds], seeds))]


def report(found: Mapping[tuple[str, RunConfig], Systems]) -> str:
    """A table for each experiment and configuration."""
    head = "Made by `python -m benchmarks.paper`: whole images, each system's scores as the paper takes them."
    made = [table_of(experiment(name), config, systems).markdown() for (name, config), systems in found.items()]
    return "\n".join([f"{head}\n", *made])


def summary(found: Mapping[tuple[str, RunConfig], Systems]) -> str:
    """One row for each experiment at light settings: the best figure that the paper prints of its method, and ours."""
    heads = [
        "experiment",
        "images",
        "printed",
        "ours, one run",
        "ours, mean of the runs",
        "ours - printed",
        "best of the others",
    ]
    rows = [_summed_up(experiment(name), systems) for (name, config), systems in found.items() if config == LIGHT]
    return f"Made by `python -m benchmarks.paper`: whole images, dB.\n\n{markdown(heads, rows)}\n"


def _summed_up(row: Experiment, systems: Systems) -> list[str]:
    first = next(iter(row.contestants))
    answers = {name: answer for name in systems if (answer := _answer(row, systems[name])) is not None}
    covered = {each.image for each in systems[first]}
    others = {name: answers[name] for name in row.contestants if name != first and name in answers}
    best = max(others, key=others.__getitem__, default=None)
    printed = [figure for name in (first, MEAN_OF_RUNS) for figure in row.printed.get(name, {}).values()]
    is_same = all(row.prints_for(figure, covered) for figure in printed)
    wanted = max((mean_over(figure, covered) for figure in printed), default=None) if is_same else None
    one, several = answers.get(first), answers.get(MEAN_OF_RUNS)
    ours = several if several is not None else one
    return [
        row.title,
        f"{len(covered)} of {len(row.images)}",
        *map(_decibels, (wanted, one, several)),
        "–" if wanted is None or ours is None else f"{ours - wanted:+.2f}",
        "–" if best is None else f"{best} {others[best]:.2f}",
    ]


def _answer(row: Experiment, runs: Mapping[Run, Record]) -> float | None:
    """The mean over seeds and images of what a user gets: the answer with its corrections, where it has any."""
    columns = (DEBIASED, PROJECTED, STOPPED, AVERAGE, ANSWER)
    of_image: dict[str, dict[int, float]] = defaultdict(dict)
    for each, record in runs.items():
        scores = scores_of(record)
        column = next((column for column in columns if column in scores), None)
        if column is None or row.metric not in scores[column]:
            return None
        of_image[each.image][each.seed] = scores[column][row.metric]
    return mean(of_image) if of_image else None


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main(parts: Sequence[str]) -> None:
    planned = whole()
    run(chosen(planned, parts))
    found = tables_of(records_of(planned), planned)
    write_report("paper-whole", report(found))
    write_report("paper-summary", summary(found))


if __name__ == "__main__":
    main(sys.argv[1:])
