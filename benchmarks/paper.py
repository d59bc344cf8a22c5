"""The paper's tables as far as two cores go: ``python -m benchmarks.paper STORE`` with DIPOPS_DATA naming the pictures.

Runs go to the folder STORE, which several processes may share; what is finished there is not run again. The figures of the
experiments that have no score are drawn from there by ``dipops paper figure``.
"""

import sys
from collections.abc import Sequence

from benchmarks.crops import DATA
from benchmarks.harness import RESULTS
from dipops._tools.files import write_whole
from dipops.paper.experiments import experiment
from dipops.paper.runner import require_runnable, run
from dipops.paper.store import Store
from dipops.paper.tables import finished, table
from dipops.paper.tasks import Size, Task, plan
from dipops.recipes import Variant

_REDUCED = [f"x{factor}-{name}" for factor in (4, 8) for name in ("set5", "set14")]
_MATCHED = [f"{name}-matched" for name in _REDUCED]


def _crops(*names: str, steps: float = 1.0, seeds: int = 2) -> list[Task]:
    return plan(names, seeds, Size(128, steps, Variant.LIGHT), pictures=3)


PAGES = {
    "paper-whole": [
        *plan(["denoise-25"], 1, Size(), contestants=["CBM3D", "NLM"]),
        *plan([*_REDUCED, *_MATCHED], 1, Size(), contestants=["bicubic"]),
        *plan(["missing-50"], 1, Size(), contestants=["sparse coding", "biharmonic", "TV"], pictures=3),
    ],
    "paper-crops": [
        *_crops("denoise-25", "denoise-50"),
        *_crops(*_REDUCED, "x4-set5-matched", steps=0.5),
        *_crops("priors-x4", steps=0.25),
        *_crops("missing-50", "missing-98", "text", "hole"),
        *_crops("library", steps=0.1, seeds=1),
    ],
}


def main(folder: str) -> None:
    store = Store(folder)
    for page, tasks in PAGES.items():
        require_runnable(tasks, DATA)
        run(tasks, store, DATA)
        head = "Made by `python -m benchmarks.paper`. What the paper prints is of whole pictures."
        text = "\n".join([f"{head}\n", *_tables(tasks, store)])
        write_whole(RESULTS / f"{page}.md", lambda file, text=text: file.write(text.encode()))
        print(f"Look at {RESULTS / page}.md")


def _tables(tasks: Sequence[Task], store: Store) -> list[str]:
    keys = {task.key for task in tasks}
    made = []
    for name, size in dict.fromkeys((task.experiment, task.size) for task in tasks):
        row = experiment(name)
        runs = [one for one in finished(row, store) if one.task.key in keys]
        made.append(table(row, size, runs, store, DATA).markdown())
    return made


if __name__ == "__main__":
    main(sys.argv[1])
