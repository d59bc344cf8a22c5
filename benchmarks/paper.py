"""The paper's tables as far as two cores go: ``python -m benchmarks.paper STORE`` with DIPOPS_DATA naming the images.

Runs go to the folder STORE, which several processes may share; finished runs are not made again. ``dipops paper figure`` draws
from there the figures of the experiments that have no score.
"""

import sys
from collections.abc import Sequence

from benchmarks.crops import DATA
from benchmarks.harness import RESULTS
from dipops._tools.files import write_whole
from dipops.paper.config import RunConfig
from dipops.paper.experiments import experiment
from dipops.paper.runs import Run, finished, plan, require_runnable, tasks
from dipops.paper.tables import table
from dipops.study import runner
from dipops.study.store import Store

_REDUCED = [f"x{factor}-{name}" for factor in (4, 8) for name in ("set5", "set14")]
_MATCHED = [f"{name}-matched" for name in _REDUCED]


def _crops(*names: str, steps: float = 1.0, seeds: int = 2) -> list[Run]:
    return plan(names, seeds, RunConfig(128, steps, "light"), images=3)


PAGES = {
    "paper-whole": [
        *plan(["denoise-25"], 1, RunConfig(), contestants=["CBM3D", "NLM"]),
        *plan([*_REDUCED, *_MATCHED], 1, RunConfig(), contestants=["bicubic"]),
        *plan(["missing-50"], 1, RunConfig(), contestants=["sparse coding", "biharmonic", "TV"], images=3),
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
    for page, runs in PAGES.items():
        require_runnable(runs, DATA)
        runner.run(tasks(runs, DATA), store)
        head = "Made by `python -m benchmarks.paper`. What the paper prints is of whole images."
        text = "\n".join([f"{head}\n", *_tables(runs, store)])
        write_whole(RESULTS / f"{page}.md", lambda file, text=text: file.write(text.encode()))
        print(f"Look at {RESULTS / page}.md")


def _tables(runs: Sequence[Run], store: Store) -> list[str]:
    texts = []
    for name, config in dict.fromkeys((run.experiment, run.config) for run in runs):
        row = experiment(name)
        records = {run: record for run, record in finished(row, store).items() if run in runs}
        texts.append(table(row, config, records, store, DATA).markdown())
    return texts


if __name__ == "__main__":
    main(sys.argv[1])
