"""The paper's tables on whole images, as far as two cores go: ``python -m benchmarks.paper [PART ...]``.

DIPOPS_DATA names the images. A task is an image of an experiment, with all its systems and seeds: a record keeps the scores of
the runs and of what is computed from their images, means and fused ones. The images stay in a folder of finished runs, from
which an interrupted task goes on; several processes may share the work. The page has what is there so far.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.crops import DATA
from benchmarks.harness import DEVICE, Record, Records, Task, chosen, records_of, run, write_report
from dipops.paper.combined import Systems, combined
from dipops.paper.config import RunConfig
from dipops.paper.experiments import experiment
from dipops.paper.runs import Run, plan, require_runnable, tasks
from dipops.paper.tables import table_of
from dipops.study import Store, runner

LIGHT, PAPER = RunConfig(settings="light"), RunConfig()
_FOLDER = Path(tempfile.gettempdir()) / "dipops-paper"
_MINUTES = 10.0  # of an image, as an order of magnitude


def whole() -> list[Task]:
    """The tasks, most valuable first."""
    matched = [f"x4-{name}-matched" for name in ("set5", "set14")]
    planned = [
        plan(["denoise-25"], 4, LIGHT),
        plan(["denoise-50"], 2, LIGHT),
        *(plan([name], 2, LIGHT) for name in [*matched, "x4-set5", "x4-set14"]),
        plan(["missing-50"], 2, LIGHT),
        *(plan([name], 2, LIGHT) for name in ("text", "hole", "missing-98", "library")),
        *(plan([f"x8-{name}-matched"], 1, LIGHT) for name in ("set5", "set14")),
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
    first = runs[0]
    name = f"paper-{first.experiment}-{first.image}-{first.config.settings}-{first.config.steps:g}"
    settings = {"experiment": first.experiment, "image": first.image, "runs": [each.key for each in runs]}
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


def report(records: Records, planned: Iterable[Task]) -> str:
    """A table for each experiment and configuration of which there is an image."""
    found: dict[tuple[str, RunConfig], Systems] = {}
    for task in planned:
        if task.name in records:
            record = records[task.name]
            for kept in record["result"]["systems"]:
                each = Run.of(kept["run"])
                about = {
                    "environment": record["environment"],
                    "device": "cpu" if record["environment"]["gpu"] is None else "cuda",
                }
                systems = found.setdefault((each.experiment, each.config), defaultdict(dict))
                systems[kept["system"]][each] = {**kept, **about}
    head = "Made by `python -m benchmarks.paper`: whole images, each system's scores as the paper takes them."
    made = [table_of(experiment(name), config, systems).markdown() for (name, config), systems in found.items()]
    return "\n".join([f"{head}\n", *made])


def main(parts: Sequence[str]) -> None:
    planned = whole()
    run(chosen(planned, parts))
    write_report("paper-whole", report(records_of(planned), planned))


if __name__ == "__main__":
    main(sys.argv[1:])
